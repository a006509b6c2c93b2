"""What the routes share: the parts of the program, who is asking, and the types of what is sent."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import Depends, Path, Request
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from assistant.api import door
from assistant.errors import NotAllowedError
from assistant.records import Person, Role
from assistant.services import Services


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Parts = Annotated[Services, Depends(_services)]


def current_person(request: Request) -> Person:
    """Who is asking, as the door has found out: every route asks for what is this person's."""
    person = door.person_of(request.scope)
    if person is None:
        raise NotAllowedError("Please sign in.")
    return person


Me = Annotated[Person, Depends(current_person)]


def current_admin(person: Me) -> None:
    """What a router of admins' routes depends on as a whole."""
    if person.role is not Role.ADMIN:
        raise NotAllowedError("This is for administrators.")


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain NUL characters")
    try:
        text.encode()
    except UnicodeEncodeError:  # JSON can spell half a character
        raise ValueError("must be valid Unicode") from None
    return text


Text = Annotated[str, AfterValidator(_storable)]
"""Text that any database can store."""


def _empty(value: object) -> object:
    """A form sends fields that nobody filled in as empty ones."""
    return None if value == "" else value


EMPTY = BeforeValidator(_empty)
"""Reads an empty field as none."""

Day = Annotated[date | None, EMPTY]
LastDay = Annotated[Annotated[date, Field(lt=date.max)] | None, EMPTY]  # up to the day after it is searched

_ID = Field(ge=1, le=2**31 - 1)
DocumentId = Annotated[int, _ID]
DocumentPath = Annotated[int, Path(alias="document_id"), _ID]


class Body(BaseModel):
    """A JSON object of this program's own API: no guessing of types, and an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", strict=True)
