"""Conversations by HTTP: list, search, read, rename, delete, export."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import Field

from assistant import triples
from assistant.api.dependencies import Body, Me, Parts, Text
from assistant.records import Conversation, Exchange, Person
from assistant.services import Services
from assistant.store import exchanges

router = APIRouter(prefix="/api/conversations", tags=["conversations"])


class TitleBody(Body):
    title: Annotated[Text, Field(min_length=1, max_length=1000, pattern=r"\S")]


@router.get("")
def list_conversations(
    services: Parts,
    person: Me,
    search: Annotated[Text, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> dict[str, Any]:
    """Your conversations, the latest first; ``search`` looks in titles, questions and answers."""
    with services.database.read() as session:
        found = exchanges.conversations(session, person_id=person.id, search=search, limit=limit)
    return {"conversations": [_as_json(conversation) for conversation in found]}


@router.get("/{conversation_id}")
def get_conversation(conversation_id: Text, services: Parts, person: Me) -> dict[str, Any]:
    """A conversation with its exchanges in order."""
    conversation, turns = _read(services, person, conversation_id)
    return _as_json(conversation) | {"exchanges": [triples.as_json(exchange) for exchange in turns]}


@router.patch("/{conversation_id}")
def rename_conversation(conversation_id: Text, body: TitleBody, services: Parts, person: Me) -> dict[str, Any]:
    with services.database.write() as session:
        exchanges.rename_conversation(session, conversation_id, person_id=person.id, title=body.title)
        return _as_json(exchanges.get_conversation(session, conversation_id, person_id=person.id))


@router.delete("/{conversation_id}", status_code=204)
def delete_conversation(conversation_id: Text, services: Parts, person: Me) -> Response:
    """Deletes a conversation with its exchanges and their ratings."""
    services.forgetting.conversation(conversation_id, person=person)
    return Response(status_code=204)


@router.get("/{conversation_id}/export")
def export_conversation(
    conversation_id: Text,
    services: Parts,
    person: Me,
    form: Annotated[Literal["json", "markdown"], Query()] = "markdown",
) -> Response:
    """A conversation as a file to keep: Markdown to read, JSON with everything that is known of it."""
    conversation, turns = _read(services, person, conversation_id)
    if form == "markdown":
        content, kind, suffix = "".join(_markdown(conversation, turns)), "text/markdown", "md"
    else:
        whole = _as_json(conversation) | {"exchanges": [triples.as_json(exchange) for exchange in turns]}
        content, kind, suffix = json.dumps(whole, ensure_ascii=False, indent=2), "application/json", "json"
    file = f'attachment; filename="conversation-{conversation.id}.{suffix}"'
    return Response(content, media_type=kind, headers={"Content-Disposition": file})


def _read(services: Services, person: Person, conversation_id: str) -> tuple[Conversation, list[Exchange]]:
    with services.database.read() as session:
        conversation = exchanges.get_conversation(session, conversation_id, person_id=person.id)
        return conversation, exchanges.in_conversation(session, conversation_id, person_id=person.id)


def _as_json(conversation: Conversation) -> dict[str, Any]:
    values = asdict(conversation)
    del values["person_id"]
    return values | {name: values[name].isoformat() for name in ("created_at", "updated_at")}


def _markdown(conversation: Conversation, turns: Sequence[Exchange]) -> Iterator[str]:
    yield f"# {conversation.title}\n"
    for exchange in turns:
        yield f"\n## {exchange.question}\n\n{exchange.answer}\n"
        if exchange.citations:
            yield "\n"
        for citation in exchange.citations:
            page = f", p. {citation.page}" if citation.page is not None else ""
            yield f"- [{citation.n}] {citation.document}{page}: “{' '.join(citation.sentence.split())}”\n"
