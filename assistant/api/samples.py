"""Labelling the judge's verdicts blind by HTTP, for admins: draw sentences, say whether they are supported."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from pydantic import Field

from assistant.api.dependencies import Body, Me, Parts, current_admin
from assistant.store import audit, samples

router = APIRouter(prefix="/api/samples", tags=["judge"], dependencies=[Depends(current_admin)])

_Id = Annotated[int, Path(ge=1, le=2**53)]


class DrawBody(Body):
    count: Annotated[int, Field(ge=1, le=500)] = 20


class LabelBody(Body):
    supported: bool


@router.get("")
def agreements(services: Parts) -> dict[str, Any]:
    """How far each judge agrees with people, and how many sentences wait."""
    with services.database.read() as session:
        found = samples.agreements(session)
        return {"waiting": samples.waiting(session), "agreements": [agreement.as_json() for agreement in found]}


@router.post("")
def draw(body: DrawBody, services: Parts, person: Me) -> dict[str, int]:
    """Puts up a random sentence of each of that many random answers."""
    with services.database.write() as session:
        drawn = samples.draw(session, body.count)
        audit.record(session, "samples drawn", person_id=person.id, subject=drawn)
    return {"drawn": drawn}


@router.put("/{sample_id}", status_code=204)
def label(sample_id: _Id, body: LabelBody, services: Parts, person: Me) -> None:
    """Whether the passages support the sentence. A label stays."""
    with services.database.write() as session:
        samples.label(session, sample_id, supported=body.supported, by=person.id)
