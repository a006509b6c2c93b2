"""A conversation as a file: Markdown to read, JSON to go on working with."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Literal

from fastapi import APIRouter, Response

from assistant.records import Conversation, Exchange
from assistant.services import Services
from assistant.store import exchanges
from assistant.ui import words
from assistant.ui.people import current_person


def routes(services: Services) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/conversations/{conversation_id}/export")
    def export(conversation_id: str, format: Literal["markdown", "json"] = "markdown") -> Response:
        person = current_person(services)
        with services.database.read() as session:
            conversation = exchanges.get_conversation(session, conversation_id, person_id=person.id)
            shown = exchanges.in_conversation(session, conversation_id, person_id=person.id)
        if format == "json":
            return _file(_json(conversation, shown), "application/json", "conversation.json")
        return _file(_markdown(conversation, shown), "text/markdown; charset=utf-8", "conversation.md")

    return router


def _file(content: str, media_type: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(content, media_type=media_type, headers=headers)


def _json(conversation: Conversation, shown: list[Exchange]) -> str:
    turns = [
        {
            "exchange_id": exchange.id,
            "question": exchange.question,
            "answer": exchange.answer,
            "citations": [asdict(citation) for citation in exchange.citations],
            "rating": exchange.rating.value if exchange.rating else None,
            "model": exchange.adapter or exchange.model,
            "asked_at": exchange.created_at.isoformat(),
        }
        for exchange in shown
    ]
    return json.dumps({"title": conversation.title, "exchanges": turns}, ensure_ascii=False, indent=2)


def _markdown(conversation: Conversation, shown: list[Exchange]) -> str:
    parts = [f"# {conversation.title}"]
    for exchange in shown:
        parts += [f"## {exchange.question}", exchange.answer]
        sources = {c.n: c for c in reversed(exchange.citations)}
        parts.append("\n".join(f"> [{n}] {_place(c.document, c.page)}: {_line(c.sentence)}" for n, c in sorted(sources.items())))
    return "\n\n".join(filter(None, parts)) + "\n"


def _place(document: str, page: int | None) -> str:
    return document if page is None else f"{document}, {words.PAGE_SHORT.format(page)}"


def _line(text: str) -> str:
    return " ".join(text.split())
