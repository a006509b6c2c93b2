"""The review queue by HTTP, for admins: decide on ratings, and export what was accepted."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import Field
from starlette.concurrency import iterate_in_threadpool

from assistant import triples
from assistant.api.dependencies import EMPTY, Body, Day, LastDay, Me, Parts, Text, current_admin
from assistant.errors import InputError
from assistant.feedback import CORRECTION
from assistant.records import Reason, Review
from assistant.store import review as store
from assistant.store.review import Filters

router = APIRouter(prefix="/api", tags=["review"], dependencies=[Depends(current_admin)])

_AT_ONCE = 200


# The limits are those of a number that is there: pydantic would compare None with them.
_Number = Annotated[Annotated[int, Field(ge=1, le=2**31 - 1)] | None, EMPTY]
_Share = Annotated[Annotated[float, Field(ge=0, le=1)] | None, EMPTY]


def filters(
    *,
    review: Annotated[Review | None, EMPTY] = None,
    value: Annotated[Literal["1", "-1"] | None, EMPTY] = None,
    reason: Annotated[Reason | None, EMPTY] = None,
    document: _Number = None,
    person: _Number = None,
    adapter: Annotated[Text, Query(max_length=80)] = "",
    since: Day = None,
    until: LastDay = None,
    support_below: _Share = None,
    words: Annotated[Text, Query(max_length=200)] = "",
    held: bool = False,
) -> Filters:
    return Filters(
        review=review,
        value=None if value is None else int(value),
        reason=reason,
        document_id=document,
        person_id=person,
        adapter=adapter,
        since=since,
        until=until,
        support_below=support_below,
        words=words,
        held=held,
    )


Filtered = Annotated[Filters, Depends(filters)]


class SeenBody(Body):
    id: Annotated[int, Field(ge=1, le=2**53)]
    seen: Annotated[datetime, Field(strict=False)]
    """``updated_at`` of the rating when the admin saw it: what changed since is not decided on."""


class DecisionBody(Body):
    ratings: Annotated[list[SeenBody], Field(min_length=1, max_length=_AT_ONCE)]
    decision: Annotated[Review, Field(strict=False)]
    answer: Annotated[Text, Field(max_length=CORRECTION)] = ""
    """The answer to learn in place of the one that was given; for one rating alone."""


@router.post("/review")
def decide(body: DecisionBody, services: Parts, person: Me) -> dict[str, Any]:
    """Accepts or rejects ratings, or makes them pending again."""
    answer = body.answer.strip()
    if answer and (len(body.ratings) > 1 or body.decision is not Review.ACCEPTED):
        raise InputError("An edited answer goes with one rating that is accepted.")
    seen = [(rating.id, rating.seen) for rating in body.ratings]
    with services.database.write() as session:
        return {"changed": store.decide(session, seen, body.decision, by=person.id, answer=answer)}


@router.get("/export", response_class=StreamingResponse)
def export(
    services: Parts, chosen: Filtered, form: Annotated[Literal["raw", "openai", "trl", "kto"], Query()] = "raw"
) -> StreamingResponse:
    """What was accepted, filtered as the queue is, as JSON Lines.

    ``raw``: triples with ratings and lineage; ``openai``: chats for fine-tuning; ``trl``: prompt and completion;
    ``kto``: prompt, completion and label. The last three hold what an adapter may learn to say (kto: or not to say).
    """
    lines = triples.export(services.database, chosen, form=form)
    headers = {"Content-Disposition": f'attachment; filename="fiel-{form}.jsonl"'}
    return StreamingResponse(iterate_in_threadpool(lines), media_type="application/jsonl", headers=headers)
