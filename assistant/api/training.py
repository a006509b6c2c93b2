"""Training by HTTP, for admins: cycles and their progress, the schedule, and the gate with its tickets.

The program itself trains nothing: what is asked for here is a row, which the scheduler picks up.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Path
from fastapi.responses import FileResponse
from pydantic import ValidationError

from assistant import cycles, ledger
from assistant.api.dependencies import Body as Shape
from assistant.api.dependencies import Me, Parts, Text, current_admin
from assistant.cycles import Schedule
from assistant.errors import BusyError, InputError, NotFoundError
from assistant.services import Services
from assistant.store import adapters, gate, runs, stages, turns

router = APIRouter(prefix="/api/training", tags=["training"], dependencies=[Depends(current_admin)])

RunId = Annotated[int, Path(alias="run_id", ge=1, le=2**53)]


class CycleBody(Shape):
    preview: bool = False
    """Only collect and estimate: nothing is trained, nothing is spent."""


@router.get("")
def overview(services: Parts) -> dict[str, Any]:
    """The latest runs, the schedule, and the gate: its size, and the tickets left within a year.

    ``worse``: in what the champion is clearly worse than what answered before it, with the figures.
    """
    now = datetime.now(UTC)
    with services.database.read() as session:
        spent = gate.tickets(session)
        schedule, since = cycles.schedule(session)
        return {
            "runs": [asdict(run) for run in runs.latest(session, limit=20)],
            "schedule": schedule.model_dump(mode="json"),
            "since": since,
            "worse": [] if services.engine.notice else [asdict(t) for t in turns.turns(session, services.engine.model)],
            "gate": gate.counts(session) | {"opened": len(gate.opened(session))},
            "tickets": {
                "left": ledger.left(spent, now),
                "of": ledger.TICKETS,
                "alpha": ledger.ALPHA,
                "next_at": ledger.next_at(spent, now),
                "spent": [asdict(ticket) for ticket in spent],
            },
        }


@router.post("/runs", status_code=202)
def begin(body: CycleBody, services: Parts, person: Me) -> dict[str, Any]:
    """Asks for a cycle. 503 while one waits or is at work: there is never a second."""
    with services.database.write() as session:
        asked = _asked(services) | ({"preview": True} if body.preview else {})
        return asdict(cycles.request(session, by="button", person_id=person.id, asked=asked))


@router.post("/forget", status_code=202)
async def forget(services: Parts, person: Me) -> dict[str, Any]:
    """Takes all adapters out that learnt from what was deleted since, and asks for a cycle without that.

    Until the gate lets a new one through, the latest adapter answers that learnt from nothing deleted, or the base.
    """
    await services.adapters.ready()
    with services.database.read() as session:
        if not adapters.affected(session, services.engine.model):
            raise InputError("No adapter learnt from anything that was deleted.")
        if (other := cycles.unfinished(session)) is not None:
            raise BusyError(f"Run {other.id} may learn from it still. Wait for its end, or cancel it.")
    withdrawn = await services.adapters.forget(person_id=person.id)
    with services.database.write() as session:
        run = cycles.request(session, by="forget", person_id=person.id, asked=_asked(services))
    return {"withdrawn": withdrawn, "live": services.adapters.live, "run": asdict(run)}


@router.get("/runs/{run_id}")
def show(run_id: RunId, services: Parts) -> dict[str, Any]:
    """A run with the stages that are over and what came of them."""
    with services.database.read() as session:
        return asdict(runs.get(session, run_id)) | {"stages": stages.finished(session, run_id)}


@router.post("/runs/{run_id}/cancel", status_code=204)
def cancel(run_id: RunId, services: Parts) -> None:
    """Ends a run. One that is at work ends with its next sign of life."""
    with services.database.write() as session:
        runs.cancel(session, run_id)


@router.get("/runs/{run_id}/report", response_class=FileResponse)
def report(run_id: RunId, services: Parts) -> FileResponse:
    """The report of a run: one HTML file that holds all it needs."""
    return _file(services, run_id, "report.html", "text/html")


@router.get("/runs/{run_id}/log", response_class=FileResponse)
def log(run_id: RunId, services: Parts) -> FileResponse:
    return _file(services, run_id, "log.txt", "text/plain")


@router.put("/schedule")
def set_schedule(body: Annotated[dict[str, Any], Body()], services: Parts, person: Me) -> dict[str, Any]:
    """When cycles begin by themselves; what fell due before is not made up."""
    given = {name: value or None if isinstance(value, str) else value for name, value in body.items()}
    try:
        wanted = Schedule.model_validate(given)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'schedule'}: {e['msg']}" for e in error.errors())
        raise InputError(told.replace("Value error, ", "")) from error
    with services.database.write() as session:
        cycles.set_schedule(session, wanted, person_id=person.id)
    return wanted.model_dump(mode="json")


@router.post("/gate/{exchange_id}/open")
def open_item(exchange_id: Text, services: Parts, person: Me) -> dict[str, Any]:
    """A question of the gate with its passages. Whoever looks at it takes it out of the gate, for good."""
    with services.database.write() as session:
        item = gate.open_item(session, exchange_id, person_id=person.id)
    return {"id": item.id, "question": item.question, "passages": [passage.text for passage in item.passages]}


def _asked(services: Services) -> dict[str, Any]:
    settings = services.settings
    return {"model": settings.model, "training": settings.training.model_dump(mode="json")}


def _file(services: Parts, run_id: int, name: str, kind: str) -> FileResponse:
    path = services.settings.state / "runs" / str(run_id) / name
    if not path.is_file():
        raise NotFoundError("There is no such file yet.")
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # it is text of this machine, and runs nothing
    )
    headers = {"Content-Security-Policy": policy, "Cache-Control": "private, no-store"}
    return FileResponse(path, media_type=kind, headers=headers, content_disposition_type="inline")
