"""Rows of runs: trainings and cycles, of which one at a time is held by a living process.

Whoever claims a run gets a token, larger than all before. Each write names it, so that a process which was taken for
dead, and was only slow, changes nothing any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from assistant.errors import BusyError, InputError, LeaseLostError, NotFoundError
from assistant.records import Run, RunStatus
from assistant.store.tables import RunRow

PATIENCE = timedelta(seconds=60)
"""A run without a sign of life for this long is dead."""

UNFINISHED = (RunStatus.WAITING, RunStatus.RUNNING)
"""Of runs that wait, are at work, or are gone on with because their process has died."""


def add(
    session: Session, *, kind: str, seed: int, parameters: Mapping[str, Any] | None = None, person_id: int | None = None
) -> Run:
    """A run that waits to be claimed; ``person_id`` asked for it, None: the schedule."""
    row = RunRow(
        kind=kind,
        status=RunStatus.WAITING,
        seed=seed,
        parameters=dict(parameters or {}),
        progress={},
        person_id=person_id,
        created_at=datetime.now(UTC),
    )
    session.add(row)
    session.flush()
    return _run(row)


def get(session: Session, run_id: int) -> Run:
    row = session.get(RunRow, run_id)
    if row is None:
        raise NotFoundError("There is no such run.")
    return _run(row)


def latest(session: Session, *, kind: str | None = None, limit: int = 50) -> list[Run]:
    query = select(RunRow).order_by(RunRow.id.desc()).limit(limit)
    return [_run(row) for row in session.scalars(query if kind is None else query.where(RunRow.kind == kind))]


def alive(session: Session) -> Run | None:
    """The run that a living process holds, if any."""
    row = session.scalar(select(RunRow).where(RunRow.status == RunStatus.RUNNING, _beats()).limit(1))
    return None if row is None else _run(row)


def dead(session: Session) -> list[Run]:
    """Runs whose process has died; each may be claimed anew and goes on where it was, or be finished as failed."""
    rows = session.scalars(select(RunRow).where(RunRow.status == RunStatus.RUNNING, ~_beats()))
    return [_run(row) for row in rows]


def unfinished(session: Session) -> list[Run]:
    """The runs whose status is one of ``UNFINISHED``."""
    return [_run(row) for row in session.scalars(select(RunRow).where(RunRow.status.in_(UNFINISHED)))]


def claim(session: Session, run_id: int, *, log: str = "") -> Run:
    """Makes a run that waits, or whose process has died, the caller's.

    Raises BusyError while a living process holds this run or another one, InputError when it has ended.
    """
    if (holder := alive(session)) is not None:
        raise BusyError(f"Run {holder.id} ({holder.kind}) is at work. Wait for its end, or cancel it.")
    status = get(session, run_id).status
    if status not in UNFINISHED:
        raise InputError(f"Run {run_id} is {status} already.")
    row = session.get_one(RunRow, run_id)
    row.status, row.heartbeat = RunStatus.RUNNING, datetime.now(UTC)
    row.token = (session.scalar(select(func.max(RunRow.token))) or 0) + 1
    row.log = log or row.log
    session.flush()
    return _run(row)


def report(
    session: Session,
    run_id: int,
    *,
    token: int,
    stage: str | None = None,
    progress: Mapping[str, Any] | None = None,
    dataset_hash: str | None = None,
) -> bool:
    """A sign of life, with what has changed; returns whether somebody asked for the run to be cancelled.

    Raises LeaseLostError when the run is another process's by now, or has ended.
    """
    values = {"stage": stage, "progress": progress, "dataset_hash": dataset_hash}
    changed = {name: value for name, value in values.items() if value is not None}
    _write(session, run_id, token, heartbeat=datetime.now(UTC), **changed)
    return session.scalar(select(RunRow.cancelling).where(RunRow.id == run_id)) or False


def finish(
    session: Session,
    run_id: int,
    *,
    token: int,
    status: RunStatus,
    problem: str | None = None,
    verdict: Mapping[str, Any] | None = None,
) -> None:
    """Raises LeaseLostError as ``report`` does."""
    _write(session, run_id, token, status=status, problem=problem, verdict=verdict, finished_at=datetime.now(UTC))


def cancel(session: Session, run_id: int) -> None:
    """Ends a run that waits or is dead at once, and asks the process of a living one to end it.

    What a dead one began at a service goes on there, so the run says which job that is.
    """
    get(session, run_id)
    row = session.get_one(RunRow, run_id)
    if (living := alive(session)) is not None and living.id == run_id:
        row.cancelling = True
    elif row.status in UNFINISHED:
        row.status, row.finished_at = RunStatus.CANCELLED, datetime.now(UTC)
        if job := row.progress.get("job"):
            row.problem = f"Its job {job} may still run at the service, and cost. Cancel it there."


def _beats() -> ColumnElement[bool]:
    """Whether the latest sign of life is fresh. One of the future, from before a clock was set back, is not."""
    now = datetime.now(UTC)
    return RunRow.heartbeat.between(now - PATIENCE, now + PATIENCE)


def _write(session: Session, run_id: int, token: int, **values: Any) -> None:
    mine = (RunRow.id == run_id, RunRow.token == token, RunRow.status == RunStatus.RUNNING)
    if session.execute(update(RunRow).where(*mine).values(**values).returning(RunRow.id)).first() is None:
        raise LeaseLostError(f"Run {run_id} was taken over by another process, or has ended.")


def _run(row: RunRow) -> Run:
    return Run(
        id=row.id,
        kind=row.kind,
        status=RunStatus(row.status),
        stage=row.stage,
        parameters=row.parameters,
        progress=row.progress,
        heartbeat=row.heartbeat,
        seed=row.seed,
        dataset_hash=row.dataset_hash,
        verdict=row.verdict,
        problem=row.problem,
        log=row.log,
        token=row.token,
        cancelling=row.cancelling,
        person_id=row.person_id,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )
