"""Starts training cycles when they are due, and goes on with those that were cut off. The only module that knows
APScheduler, which merely ticks: the schedule is a row, the last firing is a row, and so is what has to be done.

Any number of programs may do this on one state folder: a firing is noted in the transaction that asks for the cycle,
and of all processes that are started for a cycle one gets its claim; the others end.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from sqlalchemy.orm import Session

from assistant import cycles
from assistant.cycles import Schedule
from assistant.errors import BusyError, FielError
from assistant.records import Run, RunStatus
from assistant.settings import ROOT, Settings
from assistant.store import runs, stages
from assistant.store.database import Database
from assistant.store.tables import RunRow

_log = logging.getLogger(__name__)

LOOK = 5
"""Seconds between two looks."""
ATTEMPTS = 5
"""How often a cycle whose process died is gone on with, before it counts as failed."""
_ATTEMPTS = "attempts"
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")

Start = Callable[[Run], "subprocess.Popen[bytes]"]


class Scheduler:
    """Looks every few seconds, in a thread of its own, once it was started."""

    def __init__(
        self,
        database: Database,
        start: Start,
        *,
        asked: Mapping[str, Any] | None = None,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        """``start`` starts the process of a run, after ``prepare``; ``asked`` are the parameters of cycles that fall
        due.
        """
        self._database = database
        self._start = start
        self._prepare = prepare
        self._asked = asked or {}
        self._child: tuple[int, subprocess.Popen[bytes]] | None = None
        self._ticks = BackgroundScheduler(timezone=UTC)
        # Without a grace time, ticks that a busy or sleeping machine delays are dropped.
        self._ticks.add_job(
            self.look, "interval", seconds=LOOK, misfire_grace_time=None, coalesce=True, max_instances=1
        )

    def start(self) -> None:
        self._ticks.start()

    def close(self) -> None:
        """Ends the cycle that runs, too: it goes on where it was, after the next start."""
        if self._ticks.running:
            self._ticks.shutdown(wait=True)
        if self._child is not None:
            run_id, process = self._child
            stopped = process.poll() is None
            process.terminate()
            process.wait()
            if stopped:  # it did not die by itself
                with self._database.write() as session:
                    made = _made(session, run_id)
                    stages.finish(session, run_id, _ATTEMPTS, {"number": max(0, made - 1)})

    def look(self, now: datetime | None = None) -> None:
        """One look: asks for a cycle if one is due, and starts what waits."""
        now = now or datetime.now(UTC)
        try:
            with self._database.write() as session:
                fire(session, now, self._asked)
            self._start_next()
        except BusyError:
            _log.info("the database is busy; the next look is in %d s", LOOK)

    def _start_next(self) -> None:
        if self._child is not None and self._child[1].poll() is None:
            return
        self._child = None
        with self._database.write() as session:
            run = startable(session)
            if run is not None and not _counted(session, run):
                return
        if run is not None:
            _log.info("cycle %d is started", run.id)
            try:
                self._prepare()
            except FielError:
                _log.exception("the golden questions are asked with what was found for them before")
            self._child = run.id, self._start(run)


def fire(session: Session, now: datetime, asked: Mapping[str, Any]) -> Run | None:
    """Asks for a cycle if the schedule says so, once for whatever was missed, and notes it; in one transaction."""
    wanted, since = cycles.schedule(session)
    if since is None or since > now:  # it is new, or the clock was turned back
        cycles.fired(session, now)
        return None
    if wanted.paused or wanted.quiet(now.astimezone().time()):
        return None
    by = _due(session, wanted, since, now)
    if by is None or cycles.unfinished(session) is not None:
        return None
    cycles.fired(session, now)
    return cycles.request(session, by=by, person_id=None, asked=asked)


def next_firing(wanted: Schedule, since: datetime) -> datetime | None:
    """The first time after ``since`` that the cron expression names, by this machine's clock."""
    if wanted.cron is None:
        return None
    found: datetime | None = _trigger(wanted.cron).get_next_fire_time(None, since.astimezone())
    return found


def startable(session: Session) -> Run | None:
    """The cycle that waits or was cut off, unless a living process is at work."""
    run = cycles.unfinished(session)
    return None if run is None or runs.alive(session) is not None else run


def process(configuration: Settings) -> Start:
    """Starts a cycle as a process of its own; what it says goes to its log file in the run's folder."""

    def start(run: Run) -> subprocess.Popen[bytes]:
        folder = run_folder(configuration.state, run.id)
        folder.mkdir(parents=True, exist_ok=True)
        settings = folder / "settings.json"
        with os.fdopen(os.open(settings, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(configuration.model_dump_json(exclude={"remote": {"key"}}))
        with (folder / "log.txt").open("ab") as log:
            command = [sys.executable, "-m", "trainer.cycle", str(run.id), "--settings", str(settings)]
            key = {"FIEL_REMOTE__KEY": configuration.remote.key.get_secret_value()}
            return subprocess.Popen(
                command, cwd=ROOT, env=os.environ | key, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    return start


def run_folder(state: Path, run_id: int) -> Path:
    return state / "runs" / str(run_id)


def _due(session: Session, wanted: Schedule, since: datetime, now: datetime) -> str | None:
    if wanted.after is not None and cycles.newly_accepted(session) >= wanted.after:
        return "ratings"
    following = next_firing(wanted, since)
    return "schedule" if following is not None and following <= now else None


def _counted(session: Session, run: Run) -> bool:
    """Counts an attempt; False, and the run has failed, when there were too many."""
    made = _made(session, run.id)
    if made >= ATTEMPTS:
        row = session.get_one(RunRow, run.id)
        row.status, row.finished_at = RunStatus.FAILED, datetime.now(UTC)
        row.problem = f"Its process died {made} times; the log of the run says more."
        return False
    stages.finish(session, run.id, _ATTEMPTS, {"number": made + 1})
    return True


def _made(session: Session, run_id: int) -> int:
    number: int = stages.finished(session, run_id).get(_ATTEMPTS, {}).get("number", 0)
    return number


def _trigger(cron: str) -> CronTrigger:
    minute, hour, day, month, weekday = cron.split()
    return CronTrigger(minute=minute, hour=hour, day=day, month=month, day_of_week=_weekdays(weekday))


def _weekdays(field: str) -> str:
    """By name: cron counts from Sunday, APScheduler from Monday."""
    if field == "*":
        return field
    named: list[str] = []
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = ("0-6" if span == "*" else span).partition("-")
        end = int(last) if last else 6 if step else int(first)
        named += [_DAYS[n] for n in range(int(first), end + 1, int(step or 1))]
    return ",".join(dict.fromkeys(named))
