"""The people by HTTP, for admins: list, invite, role, disable, reset; and the audit log."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from assistant.api.dependencies import Body, Day, LastDay, Me, Parts, Text, current_admin
from assistant.records import Role
from assistant.store import accounts as store
from assistant.store import audit

router = APIRouter(prefix="/api", tags=["people"], dependencies=[Depends(current_admin)])

PersonId = Annotated[int, Field(ge=1, le=2**31 - 1)]


class InviteBody(Body):
    name: Annotated[Text, Field(max_length=200)]
    role: Annotated[Role, Field(strict=False)] = Role.USER


class ChangeBody(Body):
    role: Annotated[Role | None, Field(strict=False)] = None
    disabled: bool | None = None


@router.get("/people")
def list_people(services: Parts) -> dict[str, Any]:
    """Everybody who has an account."""
    with services.database.read() as session:
        found = [asdict(account) for account in store.accounts(session)]
    return {"people": [account | {"created_at": account["created_at"].isoformat()} for account in found]}


@router.post("/people", status_code=201)
def invite(body: InviteBody, services: Parts, admin: Me) -> dict[str, Any]:
    """Adds a person. ``link`` is a path of this server under which they choose a password, once, within three days."""
    person, token = services.accounts.invite(body.name, body.role, by=admin)
    return {"id": person.id, "name": person.name, "role": person.role, "link": f"/invitations/{token}"}


@router.patch("/people/{person_id}", status_code=204)
def change_person(person_id: PersonId, body: ChangeBody, services: Parts, admin: Me) -> Response:
    """Changes the role, or shuts a person out (at once) or lets them in again."""
    if body.role is not None:
        services.accounts.set_role(person_id, body.role, by=admin)
    if body.disabled is not None:
        services.accounts.set_disabled(person_id, body.disabled, by=admin)
    return Response(status_code=204)


@router.post("/people/{person_id}/reset", status_code=201)
def reset_person(person_id: PersonId, services: Parts, admin: Me) -> dict[str, Any]:
    """Ends the person's password, sessions and keys; ``link`` lets them choose a new password."""
    return {"link": f"/invitations/{services.accounts.reset(person_id, by=admin)}"}


@router.get("/audit")
def search_audit(
    services: Parts,
    *,
    action: Annotated[Text, Query(max_length=40)] = "",
    person_id: PersonId | None = None,
    subject: Annotated[Text, Query(max_length=100)] = "",
    since: Day = None,
    until: LastDay = None,
    before: PersonId | None = None,
) -> dict[str, Any]:
    """The audit log, the latest first; ``before`` is the id of the last line of the page before."""
    with services.database.read() as session:
        found = audit.events(
            session, action=action, person_id=person_id, subject=subject, since=since, until=until, before=before
        )
    return {"events": [asdict(event) | {"at": event.at.isoformat()} for event in found]}
