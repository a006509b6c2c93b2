"""Pages for admins: training with its schedule, gate and adapters, and what a run was and found."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse

from assistant import cycles, ledger, verdicts, words
from assistant.api.dependencies import Parts, current_admin
from assistant.api.training import RunId
from assistant.records import Run
from assistant.services import Services
from assistant.store import adapters, exchanges, gate, runs, samples, stages
from assistant.web.render import page

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse, dependencies=[Depends(current_admin)])

_RUNS, _ITEMS, _LOG_LINES, _MOVED = 20, 50, 30, 10


@router.get("/training")
def training(request: Request, services: Parts) -> HTMLResponse:
    return page(request, "training", **_state(request, services))


@router.get("/training/live")
def live(request: Request, services: Parts) -> HTMLResponse:
    """The parts of the page that change while a cycle is at work."""
    return page(request, "training_live", **_state(request, services))


@router.get("/training/runs/{run_id}")
def one_run(run_id: RunId, request: Request, services: Parts) -> HTMLResponse:
    """A run with its verdict, its stages and the validation answers that changed most."""
    with services.database.read() as session:
        run = runs.get(session, run_id)
        done = stages.finished(session, run_id)
        agreements = samples.agreements(session)
        moved = []
        for each in _moved(done.get("screen", {}).get("answers", [])):
            texts = gate.score(session, gate.validation_key(run_id, each["exchange"]))
            found = next(iter(exchanges.by_id(session, [each["exchange"]])), None)
            if texts is not None and found is not None:  # nobody deleted it
                moved.append(each | {"texts": texts, "question": found.question})
    return page(
        request,
        "run",
        run=run,
        stages=list(done),
        moved=moved,
        agreements=agreements,
        said=_said(request, run),
        has_report=(_folder(services, run_id) / "report.html").exists(),
        log=_log(services, run_id),
    )


def _state(request: Request, services: Services) -> dict[str, Any]:
    now = datetime.now(UTC)
    # While the engine starts, it does not know yet what its model is called.
    base = None if services.engine.notice else services.engine.model
    with services.database.read() as session:
        spent = gate.tickets(session)
        listed = runs.latest(session, limit=_RUNS)
        schedule, _ = cycles.schedule(session)
        return {
            "runs": [(run, _said(request, run)) for run in listed],
            "unfinished": cycles.unfinished(session),
            "schedule": schedule,
            "adapters": adapters.for_base(session, base) if base else [],
            "champion": adapters.champion(session, base) if base else None,
            "services": adapters.services(session, base)[:_RUNS] if base else [],
            "counts": gate.counts(session),
            "items": gate.latest_ids(session, limit=_ITEMS),
            "tickets_left": ledger.left(spent, now),
            "next_ticket": ledger.next_at(spent, now),
            "health": _health(services),
        }


def _said(request: Request, run: Run) -> list[str]:
    w = words.LANGUAGES[words.chosen(request.headers)]
    return verdicts.sentences(run.verdict, w) if run.verdict and "decided_by" in run.verdict else []


def _health(services: Services) -> dict[str, str]:
    disk = shutil.disk_usage(services.settings.state)
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    free = int(lines["MemAvailable"].split()[0]) * 1024
    return {
        "engine": services.engine.notice or services.adapters.problem or services.engine.model,
        "disk": f"{disk.free / 1e9:.1f} GB",
        "memory": f"{free / 1e9:.1f} GB",
    }


def _moved(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that improved most, and those that worsened most."""
    ordered = sorted(answers, key=lambda each: each["champion"] - each["candidate"])
    better = [each for each in ordered[:_MOVED] if each["candidate"] > each["champion"]]
    return better + [each for each in ordered[::-1][:_MOVED] if each["candidate"] < each["champion"]]


def _folder(services: Services, run_id: int) -> Path:
    return services.settings.state / "runs" / str(run_id)


def _log(services: Services, run_id: int) -> str:
    path = _folder(services, run_id) / "log.txt"
    if not path.exists():
        return ""
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:])
