"""Runs: one at a time, written to by their holder alone, however slow the one before was."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from assistant.errors import BusyError, InputError, LeaseLostError
from assistant.records import Run, RunStatus
from assistant.store import runs
from assistant.store.database import Database
from assistant.store.tables import RunRow


def add(database: Database) -> Run:
    with database.write() as session:
        return runs.add(session, kind="train", seed=7, parameters={"rank": 16})


def claim(database: Database, run: Run) -> Run:
    with database.write() as session:
        return runs.claim(session, run.id, log="logs/run.log")


def fall_silent(database: Database, run: Run) -> None:
    with database.write() as session:
        session.execute(update(RunRow).where(RunRow.id == run.id).values(heartbeat=datetime.now(UTC) - runs.PATIENCE))


def test_a_run_tells_what_it_is_at_and_what_came_of_it(database: Database) -> None:
    run = claim(database, add(database))
    assert (run.status, run.parameters, run.log) == (RunStatus.RUNNING, {"rank": 16}, "logs/run.log")
    with database.write() as session:
        assert not runs.report(session, run.id, token=run.token, stage="train", dataset_hash="sha256:1")
        assert not runs.report(session, run.id, token=run.token, progress={"step": 3})
    with database.write() as session:
        seen = runs.get(session, run.id)
        assert (seen.stage, seen.progress, seen.dataset_hash, seen.verdict) == ("train", {"step": 3}, "sha256:1", None)
        runs.finish(session, run.id, token=run.token, status=RunStatus.DONE, verdict={"outcome": "rejected"})
    with database.read() as session:
        (seen,) = runs.latest(session)
        assert (seen.status, seen.verdict) == (RunStatus.DONE, {"outcome": "rejected"})
        assert seen.finished_at is not None
    with database.write() as session, pytest.raises(InputError, match="done already"):
        runs.claim(session, run.id)


def test_two_are_never_at_work_at_once(database: Database) -> None:
    first, second = add(database), add(database)
    claim(database, first)
    for run in (first, second):
        with pytest.raises(BusyError, match=f"Run {first.id} "):
            claim(database, run)


def test_who_was_taken_for_dead_cannot_write_any_more(database: Database) -> None:
    slow = claim(database, add(database))
    fall_silent(database, slow)
    with database.read() as session:
        assert runs.alive(session) is None
        assert [run.id for run in runs.dead(session)] == [slow.id]
    taken = claim(database, slow)
    assert taken.token > slow.token
    with database.write() as session, pytest.raises(LeaseLostError):
        runs.report(session, slow.id, token=slow.token, progress={"step": 99})
    with database.write() as session, pytest.raises(LeaseLostError):
        runs.finish(session, slow.id, token=slow.token, status=RunStatus.FAILED)
    with database.read() as session:
        assert runs.get(session, slow.id) == taken


def test_a_sign_of_life_from_the_future_is_none(database: Database) -> None:
    run = claim(database, add(database))
    with database.write() as session:  # the clock was set back by a day
        session.get_one(RunRow, run.id).heartbeat = datetime.now(UTC) + timedelta(days=1)
    with database.read() as session:
        assert runs.alive(session) is None
        assert [dead.id for dead in runs.dead(session)] == [run.id]
    assert claim(database, run).token > run.token


def test_cancelling_asks_the_living_and_ends_the_rest(database: Database) -> None:
    waiting, running, silent = add(database), add(database), add(database)
    claim(database, silent)
    fall_silent(database, silent)
    running = claim(database, running)
    with database.write() as session:
        session.get_one(RunRow, silent.id).progress = {"job": "ftjob-7"}
        for run in (waiting, running, silent):
            runs.cancel(session, run.id)
        assert runs.report(session, running.id, token=running.token), "it hears of it with its next sign of life"
        statuses = [runs.get(session, run.id).status for run in (waiting, running, silent)]
        assert statuses == [RunStatus.CANCELLED, RunStatus.RUNNING, RunStatus.CANCELLED]
        runs.finish(session, running.id, token=running.token, status=RunStatus.CANCELLED)
        runs.cancel(session, running.id)
        assert runs.get(session, running.id).status is RunStatus.CANCELLED
        assert "ftjob-7 may still run" in (runs.get(session, silent.id).problem or "")
        assert runs.get(session, waiting.id).problem is None
