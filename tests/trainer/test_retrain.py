"""A retraining of the program's model, in its own process: from the log to the registry, and what ends it."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import update

from assistant.engines import plain
from assistant.errors import BusyError, FielError, LeaseLostError, RunCancelledError
from assistant.records import Run, RunStatus, Side
from assistant.registry import Registry
from assistant.settings import Remote, Settings
from assistant.store import adapters, runs
from assistant.store.database import Database
from assistant.store.tables import RunRow
from tests.trainer.conftest import QUICK
from tests.trainer.talk import Talk
from trainer import retrain, worker
from trainer.worker import held


@pytest.fixture
def settings(state: Path, model: Path) -> Settings:
    return Settings(state=state, model=str(model), training=QUICK)


@pytest.fixture
def log(database: Database) -> Talk:
    """Rated answers of a few words: the model's window is small."""
    talk = Talk(database)
    with talk.at_once():
        talk.add_documents(2, sections=10)
        for side, count in ((Side.TRAIN, 8), (Side.VALIDATION, 2)):
            for place in talk.places(side, count):
                talk.rate(talk.ask(place))
    return talk


def read(database: Database, run_id: int) -> Run:
    with database.read() as session:
        return runs.get(session, run_id)


def waiting(database: Database) -> Run:
    with database.write() as session:
        return runs.add(session, kind="train", seed=0)


def test_a_dry_run_tells_what_there_is_and_trains_nothing(
    log: Talk, settings: Settings, database: Database, state: Path
) -> None:
    said: list[str] = []
    left = state / "training" / "preview" / "dataset"  # by one that was killed
    left.mkdir(parents=True)
    assert retrain.retrain(settings, dry_run=True, say=said.append) == 0
    told = "\n".join(said)
    assert "thumbs-up 8" in told
    assert "of memory" in told
    with database.read() as session:
        assert runs.latest(session) == []
    assert list((state / "training").iterdir()) == []


def test_an_empty_log_teaches_nothing_and_says_what_to_do(settings: Settings, database: Database) -> None:
    said: list[str] = []
    assert retrain.retrain(settings, dry_run=True, say=said.append) == 1
    assert "Rate answers" in said[-1]
    with pytest.raises(FielError, match="no training example"):
        retrain.retrain(settings, dry_run=False, say=said.append)
    with database.read() as session:
        (run,) = runs.latest(session)
    assert (run.status, run.stage) == (RunStatus.FAILED, "train")
    left = sorted(path.name for path in (settings.state / "training").rglob("*.*"))
    assert left == ["card.json", "left_out.jsonl"], "nothing that people wrote"


def test_killed_it_goes_on_and_ends_in_the_registry(
    log: Talk, settings: Settings, database: Database, state: Path
) -> None:
    training = settings.training.model_copy(update={"epochs": 30})  # long enough to be seen at work
    settings = settings.model_copy(update={"training": training})
    with database.write() as session:
        remote = settings.remote.model_dump(mode="json", exclude={"key"})
        parameters = {"model": settings.model, "training": training.model_dump(mode="json"), "remote": remote}
        run = runs.add(session, kind=retrain.KIND, seed=0, parameters=parameters)
    process = retrain.start(settings, run)
    while read(database, run.id).progress.get("phase") != "training":
        assert process.poll() is None, (state / "logs" / f"run-{run.id}.log").read_text()
        threading.Event().wait(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with pytest.raises(BusyError, match="in a minute"):
        retrain.retrain(settings, dry_run=False)
    with database.read() as session:
        assert [each.id for each in runs.latest(session)] == [run.id], "nothing waits for ever"
    with database.write() as session:  # time passes
        session.execute(update(RunRow).values(heartbeat=datetime.now(UTC) - runs.PATIENCE))
    said: list[str] = []
    assert retrain.retrain(settings, dry_run=False, say=said.append) == 0
    ended = read(database, run.id)
    assert (ended.status, ended.stage, ended.token) == (RunStatus.DONE, "done", 2)
    assert not any("learning rate" in line for line in said), "no rate is tried twice"
    with database.read() as session:
        adapter = adapters.get(session, ended.progress["version"])
    Registry(database, state / "adapters").verify(adapter.version)
    manifest = json.loads((state / "adapters" / adapter.version / plain.MANIFEST).read_text())
    assert manifest["training"]["dataset"] == ended.dataset_hash
    assert adapter.origin == f"run {run.id}"
    left = sorted(path.name for path in (state / "training" / str(run.id)).rglob("*.*"))
    assert left == ["card.json", "left_out.jsonl"], "nothing that people wrote"


def test_a_service_tunes_once_somebody_agreed(database: Database, state: Path, start: Callable[..., Remote]) -> None:
    service = start()
    talk = Talk(database)
    with talk.at_once():
        talk.add_documents(3, sections=10)
        for place in talk.places(Side.TRAIN, 14):
            talk.rate(talk.ask(place))
    training = QUICK.model_copy(update={"trainer": "openai"})
    settings = Settings(state=state, remote=service, training=training)
    said: list[str] = []
    assert retrain.retrain(settings, dry_run=False, say=said.append) == 1
    assert said[-1] == "Nothing was sent."
    with database.read() as session:
        assert runs.latest(session) == []
    assert retrain.retrain(settings, dry_run=False, agree=lambda: True, say=said.append) == 0
    with database.read() as session:
        (run,) = runs.latest(session)
        adapter = adapters.get(session, run.progress["version"])
    assert adapter.base == service.model
    Registry(database, state / "adapters").verify(adapter.version)
    assert "sk-test" not in (state / "logs" / f"run-{run.id}.log").read_text() + str(run)


def test_a_run_shows_life_while_it_is_deep_in_a_step(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "BEAT", 0.01)
    run = waiting(database)
    with held(database, run.id, log="run.log") as holder:
        first = read(database, run.id).heartbeat
        assert first is not None
        while (beat := read(database, run.id).heartbeat) is None or beat <= first:
            threading.Event().wait(0.01)
        holder.stage("train", dataset_hash="sha256:1")
        holder.report({"step": 3})
        with database.write() as session:
            runs.finish(session, run.id, token=holder.run.token, status=RunStatus.DONE)
    ended = read(database, run.id)
    assert (ended.status, ended.stage, ended.log) == (RunStatus.DONE, "train", "run.log")


def test_cancelling_ends_a_run_with_its_next_report(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "BEAT", 0.01)
    run = waiting(database)

    def work() -> None:
        with held(database, run.id) as holder:
            with database.write() as session:
                runs.cancel(session, run.id)
            while True:
                holder.report({"step": 1})

    with pytest.raises(RunCancelledError):
        work()
    assert read(database, run.id).status is RunStatus.CANCELLED


def test_what_fails_is_told_and_leaves_the_run_failed(database: Database) -> None:
    for error, told in ((FielError("The disk is full."), "The disk is full."), (ValueError("x"), "the log says more")):
        run = waiting(database)
        with pytest.raises(type(error)), held(database, run.id):
            raise error
        ended = read(database, run.id)
        assert ended.status is RunStatus.FAILED
        assert told in (ended.problem or "")


def test_who_was_taken_for_dead_stops_and_leaves_the_run_alone(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "BEAT", 0.01)
    run = waiting(database)

    def work() -> None:
        with held(database, run.id) as holder:
            with database.write() as session:
                session.execute(update(RunRow).values(heartbeat=datetime.now(UTC) - runs.PATIENCE))
                runs.claim(session, run.id)
            while True:
                holder.report({"step": 1})

    with pytest.raises(LeaseLostError):
        work()
    seen = read(database, run.id)
    assert (seen.status, seen.token) == (RunStatus.RUNNING, 2)


def test_a_busy_database_does_not_end_a_run(database: Database) -> None:
    run = waiting(database)
    with pytest.raises(BusyError), held(database, run.id):
        raise BusyError("The database is busy. Please try again in a moment.")
    assert read(database, run.id).status is RunStatus.RUNNING  # and is gone on with when its heartbeat is old


def test_who_is_cancelled_while_taken_for_dead_is_cancelled(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job at a service has to be cancelled, too, and not where another process goes on with it."""
    monkeypatch.setattr(worker, "BEAT", 0.01)
    run = waiting(database)

    def work() -> None:
        with held(database, run.id) as holder:
            with database.write() as session:
                session.execute(update(RunRow).values(heartbeat=datetime.now(UTC) - runs.PATIENCE))
                runs.cancel(session, run.id)
            while True:
                holder.report({"step": 1})

    with pytest.raises(RunCancelledError):
        work()
    assert read(database, run.id).status is RunStatus.CANCELLED
