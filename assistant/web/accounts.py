"""Pages: sign in, the link of an invitation, one's account; and for admins the people and the audit log."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from assistant.api.dependencies import Day, LastDay, Me, Parts, Text, current_admin
from assistant.api.door import person_of
from assistant.store import accounts, audit
from assistant.web.render import following_page, page

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

_ADMINS = [Depends(current_admin)]
_EVENTS = 100


@router.get("/login")
def login(request: Request, back: Annotated[Text, Query(alias="next", max_length=2000)] = "/") -> Response:
    target = _own_path(back)
    if person_of(request.scope) is not None:
        return RedirectResponse(target, status_code=303)
    return page(request, "login", target=target)


@router.get("/invitations/{token}")
def invitation(token: Text, request: Request, services: Parts) -> HTMLResponse:
    return page(request, "invitation", name=services.accounts.invited(token), token=token)


@router.get("/account")
def account(request: Request, services: Parts, person: Me) -> HTMLResponse:
    with services.database.read() as session:
        found, keys = accounts.account(session, person.id), accounts.keys(session, person.id)
    return page(request, "account", account=found, keys=keys, local=person == services.local_admin)


@router.get("/people", dependencies=_ADMINS)
def people(request: Request, services: Parts) -> HTMLResponse:
    with services.database.read() as session:
        return page(request, "people", people=accounts.accounts(session))


@router.get("/audit", dependencies=_ADMINS)
def audit_log(
    request: Request,
    services: Parts,
    *,
    action: Annotated[Text, Query(max_length=40)] = "",
    person: Annotated[str, Query(pattern=r"^\d{0,9}$")] = "",
    subject: Annotated[Text, Query(max_length=100)] = "",
    since: Day = None,
    until: LastDay = None,
    before: Annotated[int | None, Query(ge=1, le=2**53)] = None,
) -> HTMLResponse:
    with services.database.read() as session:
        found = audit.events(
            session,
            action=action,
            person_id=int(person) if person else None,
            subject=subject.strip(),
            since=since,
            until=until,
            before=before,
            limit=_EVENTS,
        )
        return page(
            request,
            "audit",
            events=found,
            actions=audit.actions(session),
            people=accounts.accounts(session),
            chosen={"action": action, "person": person, "subject": subject, "since": since, "until": until},
            following=following_page(request, before=found[-1].id) if len(found) == _EVENTS else "",
        )


def _own_path(address: str) -> str:
    """A path of this program, whatever a link says: it must not send anybody elsewhere after they signed in."""
    parts = urlsplit(address.replace("\\", "/"))
    own = not parts.scheme and not parts.netloc and parts.path.startswith("/") and not parts.path.startswith("//")
    return address if own and address.isprintable() else "/"
