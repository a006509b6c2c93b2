"""Who is asking. The one place of the chat page that decides it: every handler works for this person alone."""

from __future__ import annotations

from fastapi import Request
from gradio.context import LocalContext

from assistant.api.door import person_of
from assistant.errors import NotAllowedError
from assistant.records import Person
from assistant.services import Services
from assistant.store import accounts
from assistant.ui import words


def name_of(request: Request) -> str | None:
    """What Gradio notes of each request, and refuses it without: the id of the person whom the door let in."""
    person = person_of(request.scope)
    return None if person is None else str(person.id)


def current_person(services: Services) -> Person:
    """The person of the event that is being handled, looked up anew: who was shut out meanwhile is out.

    Raises NotAllowedError when there is none.
    """
    person = person_or_none(services)
    if person is None:
        raise NotAllowedError(words.SIGNED_OUT)
    return person


def person_or_none(services: Services) -> Person | None:
    request = LocalContext.request.get(None)
    if request is None or request.username is None:
        return None
    with services.database.read() as session:
        return accounts.active(session, int(request.username))
