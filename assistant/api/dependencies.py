"""What the routes share: the parts of the program, who is asking, and the types of what is sent."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from assistant.errors import NotAllowedError
from assistant.records import Person, Role
from assistant.services import Services


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Parts = Annotated[Services, Depends(_services)]


def current_person(services: Parts) -> Person:
    """Who is asking. The one place that decides it: every route asks for what is this person's."""
    return services.local_admin


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

_ID = Field(ge=1, le=2**31 - 1)
DocumentId = Annotated[int, _ID]
DocumentPath = Annotated[int, Path(alias="document_id"), _ID]


class Body(BaseModel):
    """A JSON object of this program's own API: no guessing of types, and an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", strict=True)
