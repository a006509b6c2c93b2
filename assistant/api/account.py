"""One's own account by HTTP: signing in and out, the password, API keys and the consent to learn from private ones."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import Field

from assistant.accounts import SESSION_LASTS
from assistant.api.dependencies import Body, Me, Parts, Text
from assistant.api.door import COOKIE
from assistant.records import ApiKey
from assistant.store import accounts as store

router = APIRouter(prefix="/api", tags=["account"])

Password = Annotated[Text, Field(max_length=1000)]
KeyName = Annotated[Text, Field(min_length=1, max_length=80, pattern=r"\S")]


class SignInBody(Body):
    name: Annotated[Text, Field(max_length=200)]
    password: Password


class NewPasswordBody(Body):
    password: Password


class ChangePasswordBody(Body):
    old: Password
    new: Password


class LeaveBody(Body):
    password: Password


class SharingBody(Body):
    shares_private: bool


class KeyBody(Body):
    name: KeyName


@router.post("/session", status_code=204)
def sign_in(body: SignInBody, request: Request, services: Parts) -> Response:
    """Signs in; the session is a cookie. 403 for a wrong name or password, 429 after too many tries."""
    address = request.client.host if request.client else ""
    return _signed_in(request, services.accounts.sign_in(body.name, body.password, address=address))


@router.delete("/session", status_code=204)
def sign_out(request: Request, services: Parts) -> Response:
    services.accounts.sign_out(request.cookies.get(COOKIE, ""))
    response = Response(status_code=204)
    response.delete_cookie(COOKIE)
    return response


@router.post("/invitations/{token}", status_code=204)
def accept_invitation(token: Text, body: NewPasswordBody, request: Request, services: Parts) -> Response:
    """Sets the password of the person whom the link was made for, and signs them in. The link works once."""
    return _signed_in(request, services.accounts.accept(token, body.password))


@router.get("/account")
def get_account(services: Parts, person: Me) -> dict[str, Any]:
    """You, and your API keys (not the keys themselves: those are shown once)."""
    with services.database.read() as session:
        account = asdict(store.account(session, person.id))
        keys = [_as_json(key) for key in store.keys(session, person.id)]
    return account | {"created_at": account["created_at"].isoformat(), "keys": keys}


@router.post("/account/delete", status_code=204)
def delete_account(body: LeaveBody, services: Parts, person: Me) -> Response:
    """Deletes your account with your conversations, ratings, private documents and keys. There is no way back."""
    services.forgetting.account(person, password=body.password)
    response = Response(status_code=204)
    response.delete_cookie(COOKIE)
    return response


@router.put("/account/password", status_code=204)
def change_password(body: ChangePasswordBody, request: Request, services: Parts, person: Me) -> Response:
    """Changes your password, and signs you out everywhere else."""
    token = request.cookies.get(COOKIE, "")
    services.accounts.change_password(person, old=body.old, new=body.new, token=token)
    return Response(status_code=204)


@router.delete("/account/sessions", status_code=204)
def sign_out_elsewhere(request: Request, services: Parts, person: Me) -> Response:
    """Signs you out of every browser but this one."""
    services.accounts.sign_out_elsewhere(person, token=request.cookies.get(COOKIE, ""))
    return Response(status_code=204)


@router.put("/account/sharing", status_code=204)
def set_sharing(body: SharingBody, services: Parts, person: Me) -> Response:
    """Whether exchanges that rest on your private documents may be reviewed and learnt from; revocable."""
    services.accounts.set_sharing(person, body.shares_private)
    return Response(status_code=204)


@router.post("/account/keys", status_code=201)
def make_key(body: KeyBody, services: Parts, person: Me) -> dict[str, Any]:
    """A new API key, shown this once: send it as ``Authorization: Bearer …``."""
    key, secret = services.accounts.new_key(person, body.name)
    return _as_json(key) | {"key": secret}


@router.delete("/account/keys/{key_id}", status_code=204)
def revoke_key(key_id: int, services: Parts, person: Me) -> Response:
    services.accounts.revoke_key(person, key_id)
    return Response(status_code=204)


def _signed_in(request: Request, token: str) -> Response:
    response = Response(status_code=204)
    response.set_cookie(
        COOKIE,
        token,
        max_age=int(SESSION_LASTS.total_seconds()),
        httponly=True,
        samesite="lax",  # a link in a letter must open the page and not the login
        secure=request.url.scheme == "https",  # a proxy says so by X-Forwarded-Proto
    )
    return response


def _as_json(key: ApiKey) -> dict[str, Any]:
    return {"id": key.id, "name": key.name, "created_at": key.created_at.isoformat()}
