"""The log by HTTP: exchanges, their ratings, and all of them as training triples."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import iterate_in_threadpool

from assistant import triples
from assistant.api.dependencies import Body, Me, Parts, Text
from assistant.store import exchanges

router = APIRouter(prefix="/api", tags=["log"])


class RatingBody(Body):
    value: Literal[1, -1]
    """1: thumbs up, -1: thumbs down."""


@router.get("/exchanges/{exchange_id}")
def get_exchange(exchange_id: Text, services: Parts, person: Me) -> dict[str, Any]:
    """One exchange with its passages, answer, citations, rating, model and timings."""
    with services.database.read() as session:
        return triples.as_json(exchanges.get(session, exchange_id, person_id=person.id))


@router.put("/exchanges/{exchange_id}/rating")
def rate_exchange(exchange_id: Text, body: RatingBody, services: Parts, person: Me) -> dict[str, Any]:
    """Rates an answer, or changes its rating."""
    with services.database.write() as session:
        rating = exchanges.rate(session, exchange_id, person_id=person.id, value=body.value)
    return {"exchange_id": rating.exchange_id, "value": rating.value}


@router.delete("/exchanges/{exchange_id}/rating", status_code=204)
def withdraw_rating(exchange_id: Text, services: Parts, person: Me) -> Response:
    with services.database.write() as session:
        exchanges.withdraw_rating(session, exchange_id, person_id=person.id)
    return Response(status_code=204)


@router.get("/triples", response_class=StreamingResponse)
def stream_triples(services: Parts, person: Me) -> StreamingResponse:
    """Every exchange of yours as JSON Lines, oldest first, with context, question, answer and rating."""
    lines = triples.lines(services.database, person_id=person.id)
    return StreamingResponse(_closing(lines), media_type="application/jsonl")


async def _closing(lines: Iterator[str]) -> AsyncIterator[str]:
    async for line in iterate_in_threadpool(lines):
        yield line
