"""The golden set by HTTP, for admins: questions with the answers that they should get."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from starlette.concurrency import run_in_threadpool

from assistant import golden
from assistant.api.dependencies import Me, Parts, current_admin
from assistant.records import Person
from assistant.services import Services
from assistant.store import audit

router = APIRouter(prefix="/api/golden", tags=["golden set"], dependencies=[Depends(current_admin)])


@router.get("")
def list_golden(services: Parts) -> dict[str, Any]:
    """All questions with their answers."""
    with services.database.read() as session:
        return {"golden": [one.model_dump() for one in golden.listed(session)]}


@router.post("")
async def import_golden(request: Request, services: Parts, person: Me) -> dict[str, int]:
    """Brings in the body: JSON Lines or CSV with ``question`` and ``answer``. Faults are told by line; then nothing is
    brought in."""
    return await run_in_threadpool(_import, await request.body(), services, person)


@router.delete("/{golden_id}", status_code=204)
def delete_golden(golden_id: Annotated[int, Path(ge=1, le=2**53)], services: Parts, person: Me) -> Response:
    """Takes one question out of the set."""
    with services.database.write() as session:
        golden.remove(session, golden_id)
        audit.record(session, "golden question deleted", person_id=person.id, subject=golden_id)
    return Response(status_code=204)


def _import(content: bytes, services: Services, person: Person) -> dict[str, int]:
    found = golden.read(content)
    with services.database.write() as session:
        new, changed = golden.keep(session, found, added_by=person.id)
        audit.record(session, "golden set imported", person_id=person.id, subject=new + changed)
    return {"new": new, "changed": changed, "unchanged": len(found) - new - changed}
