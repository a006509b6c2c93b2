"""Pages for admins: training with its schedule, gate and adapters, and what a run was and found."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse

from assistant import cycles, ledger, verdicts, words
from assistant.api.dependencies import Parts, Text, current_admin
from assistant.api.training import RunId
from assistant.records import Run
from assistant.retrieval import windows
from assistant.services import Services
from assistant.store import adapters, exchanges, gate, runs, samples, stages, turns
from assistant.web.render import page

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse, dependencies=[Depends(current_admin)])

_RUNS, _ITEMS, _LOG_LINES, _MOVED, _LEARNT = 20, 50, 30, 10, 100
_LIVE_LINES, _LEAST_CURVE = 6, 2


@router.get("/training")
def training(request: Request, services: Parts) -> HTMLResponse:
    base = _base(services)
    with services.database.read() as session:
        worse = turns.turns(session, base) if base else []
        affected = adapters.affected(session, base) if base else []
        window = windows.applied(session)
    values = {"worse": worse, "affected": affected, "window": window}
    return page(request, "training", **values, **_state(request, services))


@router.get("/training/adapters/{version}")
def one_adapter(version: Text, request: Request, services: Parts) -> HTMLResponse:
    """An adapter with when it answered and what it learnt from, as far as it is there still."""
    with services.database.read() as session:
        adapter = adapters.get(session, version)
        ids = sorted(adapters.exchanges_of(session, [version]))
        found = exchanges.by_id(session, ids[:_LEARNT])
        return page(
            request,
            "adapter",
            adapter=adapter,
            served=[each for each in adapters.services(session, adapter.base) if each.version == version],
            learnt=len(ids),
            exchanges=[(exchange, adapters.that_saw(session, exchange.id)) for exchange in found],
        )


@router.get("/training/live")
def live(request: Request, services: Parts) -> HTMLResponse:
    """The parts of the page that change while a cycle is at work."""
    return page(request, "training_live", **_state(request, services))


@router.get("/training/standing")
def standing(request: Request, services: Parts) -> HTMLResponse:
    """The parts of the page that change when a cycle ends or somebody decides: gate, adapters and their service."""
    return page(request, "training_standing", **_state(request, services))


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
    now, base = datetime.now(UTC), _base(services)
    with services.database.read() as session:
        spent = gate.tickets(session)
        listed = runs.latest(session, limit=_RUNS)
        schedule, _ = cycles.schedule(session)
        unfinished = cycles.unfinished(session)
        return {
            "runs": [(run, _said(request, run)) for run in listed],
            "unfinished": unfinished,
            "curve": _points(unfinished.progress.get("curve", [])) if unfinished else "",
            "log": _log(services, unfinished.id, lines=_LIVE_LINES) if unfinished else "",
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


def _points(losses: Sequence[float]) -> str:
    """A curve, for a drawing of 300 by 60."""
    sound = [loss for loss in losses if math.isfinite(loss)]
    if len(sound) < _LEAST_CURVE:
        return ""
    low, high = min(sound), max(sound)
    across, up = 300 / (len(sound) - 1), 56 / (high - low or 1.0)
    return " ".join(f"{n * across:.1f},{58 - (loss - low) * up:.1f}" for n, loss in enumerate(sound))


def _base(services: Services) -> str | None:
    """While the engine starts, it does not know yet what its model is called."""
    return None if services.engine.notice else services.engine.model


def _said(request: Request, run: Run) -> list[str]:
    w = words.LANGUAGES[words.chosen(request.headers)]
    return verdicts.sentences(run.verdict, w) if run.verdict and "decided_by" in run.verdict else []


def _health(services: Services) -> dict[str, str]:
    disk = shutil.disk_usage(services.settings.state)
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    free = int(lines["MemAvailable"].split()[0]) * 1024
    return {
        "engine": services.engine.notice or services.adapters.problem or services.engine.model,
        "store": f"{sum(path.stat().st_size for path in services.settings.state.glob('fiel.db*')) / 1e6:,.1f} MB",
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


def _log(services: Services, run_id: int, *, lines: int = _LOG_LINES) -> str:
    path = _folder(services, run_id) / "log.txt"
    if not path.exists():
        return ""
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
