"""What the page shows of a person's own: read from the store, as HTML."""

from __future__ import annotations

from collections.abc import Collection

from markupsafe import Markup

from assistant.records import Document, DocumentStatus, Exchange, Person
from assistant.services import Services
from assistant.store import exchanges
from assistant.ui import answers, lists, render, samples

_UNREAD = (DocumentStatus.QUEUED, DocumentStatus.INDEXING)


def shown_exchanges(services: Services, person: Person, conversation: str) -> list[Exchange]:
    """Raises NotFoundError if the conversation is not this person's; none for no conversation."""
    if not conversation:
        return []
    with services.database.read() as session:
        return exchanges.in_conversation(session, conversation, person_id=person.id)


def transcript(services: Services, person: Person, conversation: str) -> Markup:
    """Raises NotFoundError if the conversation is not this person's."""
    shown = shown_exchanges(services, person, conversation)
    return answers.transcript(shown) if shown else welcome(services.library.documents(person))


def welcome(documents: list[Document]) -> Markup:
    """The empty state. Examples are offered where they are about documents that are there, or where nothing is."""
    with_samples = not documents or samples.are_among(documents)
    return render.welcome(documents=len(documents), examples=samples.questions() if with_samples else ())


def conversations(services: Services, person: Person, *, current: str, search: str) -> Markup:
    with services.database.read() as session:
        listed = exchanges.conversations(session, person_id=person.id, search=search.strip())
    return lists.conversations(listed, current=current, searching=bool(search.strip()))


def notice(services: Services, documents: list[Document], *, chosen: Collection[int], editing: bool) -> Markup:
    waiting = services.engine.notice or ""
    return render.notice(waiting=waiting, unread=unread(documents), chosen=len(chosen), editing=editing)


def unread(documents: list[Document]) -> int:
    return sum(document.status in _UNREAD for document in documents)
