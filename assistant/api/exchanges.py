"""The log by HTTP: exchanges, their ratings, and all of them as training triples."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse
from pydantic import Field
from starlette.concurrency import iterate_in_threadpool

from assistant import triples
from assistant.api.dependencies import Body, Me, Parts, Text
from assistant.feedback import COMMENT, CORRECTION
from assistant.records import Feedback, Reason
from assistant.store import exchanges, ratings

router = APIRouter(prefix="/api", tags=["log"])


class RatingBody(Body):
    value: Literal[1, -1]
    """1: thumbs up, -1: thumbs down."""
    reasons: Annotated[list[Annotated[Reason, Field(strict=False)]], Field(max_length=len(Reason))] = []  # noqa: RUF012  (pydantic copies it)
    comment: Annotated[Text, Field(max_length=COMMENT)] = ""
    correction: Annotated[Text, Field(max_length=CORRECTION)] = ""
    """The answer that it should have been."""
    wrong_passages: Annotated[list[int], Field(max_length=50)] = []  # noqa: RUF012
    """The numbers, from 1, of passages that do not belong there."""


@router.get("/exchanges/{exchange_id}")
def get_exchange(exchange_id: Text, services: Parts, person: Me) -> dict[str, Any]:
    """One exchange with its passages, answer, citations, rating, model and timings."""
    with services.database.read() as session:
        return triples.as_json(exchanges.get(session, exchange_id, person_id=person.id))


@router.delete("/exchanges/{exchange_id}", status_code=204)
def delete_exchange(exchange_id: Text, services: Parts, person: Me) -> Response:
    """Deletes an exchange with its ratings, and what later exchanges repeat of it."""
    services.forgetting.exchange(exchange_id, person=person)
    return Response(status_code=204)


@router.put("/exchanges/{exchange_id}/rating")
def rate_exchange(exchange_id: Text, body: RatingBody, services: Parts, person: Me) -> dict[str, Any]:
    """Rates an answer, or changes its rating; what is not sent is empty. The history of changes is kept."""
    said = body.model_dump() | {"reasons": tuple(body.reasons), "wrong_passages": tuple(body.wrong_passages)}
    rating = services.ratings.rate(person, exchange_id, Feedback(**said))
    return {"exchange_id": rating.exchange_id, **asdict(rating.feedback)}


@router.delete("/exchanges/{exchange_id}/rating", status_code=204)
def withdraw_rating(exchange_id: Text, services: Parts, person: Me) -> Response:
    services.ratings.withdraw(person, exchange_id)
    return Response(status_code=204)


@router.get("/exchanges/{exchange_id}/rating/history")
def rating_history(exchange_id: Text, services: Parts, person: Me) -> dict[str, Any]:
    """What your rating was set to, oldest first; ``feedback`` is null where it was withdrawn."""
    with services.database.read() as session:
        changes = ratings.history(session, exchange_id, person_id=person.id)
    return {
        "changes": [{"at": c.at.isoformat(), "feedback": c.feedback and asdict(c.feedback)} for c in changes],
    }


@router.get("/triples", response_class=StreamingResponse)
def stream_triples(services: Parts, person: Me) -> StreamingResponse:
    """Every exchange of yours as JSON Lines, oldest first, with context, question, answer and rating."""
    lines = triples.lines(services.database, person_id=person.id)
    return StreamingResponse(_closing(lines), media_type="application/jsonl")


async def _closing(lines: Iterator[str]) -> AsyncIterator[str]:
    async for line in iterate_in_threadpool(lines):
        yield line
