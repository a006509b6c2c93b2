"""Tuning at OpenAI and serving from there, against its published schema over a real connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from assistant.engines import plain
from assistant.engines.base import Sampling
from assistant.engines.remote import RemoteEngine
from assistant.errors import ContextError, EngineLostError, FielError, InputError, ModelError, RunCancelledError
from assistant.records import Message, RunStatus
from assistant.registry import Registry
from assistant.settings import Remote
from assistant.store import runs
from assistant.store.database import Database
from tests.trainer import service
from tests.trainer.conftest import QUICK, example, write_dataset
from trainer import remote
from trainer.worker import held

ASKED = [Message("user", "When did it open?")]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    rows = [example(n) for n in range(12)]
    return write_dataset(tmp_path / "dataset", train=rows, validation=[example(n) for n in range(20, 23)])


def offer_of(dataset: Path, settings: Remote, folder: str = "upload") -> remote.Offer:
    return remote.prepare(dataset, remote=settings, settings=QUICK, folder=dataset.parent / folder)


def seen(settings: Remote) -> dict[str, Any]:
    return httpx.get(settings.url.replace("/v1", "/seen")).json()


def test_a_model_is_tuned_registered_and_served(
    start: Callable[..., Remote], dataset: Path, tmp_path: Path, database: Database, state: Path
) -> None:
    settings = start()
    progress: list[Mapping[str, Any]] = []
    offer = offer_of(dataset, settings)
    manifest = remote.train(offer, tmp_path / "made", seed=3, agreed=offer.cost, report=progress.append, pause=0)
    ((job, held),) = seen(settings)["jobs"].items()
    assert manifest["remote"] == f"ft:{service.TUNABLE}:org:fiel:{job}"
    assert (held["seed"], held["hyperparameters"]["n_epochs"]) == (3, 1)
    assert [p["phase"] for p in progress if "phase" in p] == [
        "uploading",
        "asking for the job",
        *(f"at the service: {status}" for status in service.STATES),
    ]
    assert next(p["event"] for p in progress if "event" in p) == f"Created fine-tuning job: {job}"
    assert {"step": 3, "steps": 3, "loss": 1.3}.items() <= [p for p in progress if "loss" in p][-1].items()
    assert seen(settings)["files"] == {}, "what was sent is deleted there"

    registry = Registry(database, state / "adapters")
    adapter = registry.add(tmp_path / "made", base=service.TUNABLE, prompt_version="1", origin="run 1")
    registry.verify(adapter.version)

    async def run() -> tuple[str, str]:
        engine = RemoteEngine(settings)
        await engine.load_adapter(adapter.version, registry.path(adapter.version))
        base, tuned = [
            "".join([d.text async for d in engine.stream(ASKED, sampling=Sampling(max_tokens=50), adapter=version)])
            for version in (None, adapter.version)
        ]
        await engine.close()
        return base, tuned

    base, tuned = asyncio.run(run())
    assert base == f"{service.TUNABLE} heard: When did it open?"
    assert tuned == f"{manifest['remote']} heard: When did it open?"


def test_what_is_sent_is_told_with_its_cost_and_nothing_goes_before_it_is_agreed(
    start: Callable[..., Remote], dataset: Path, tmp_path: Path
) -> None:
    settings = start()
    offer = offer_of(dataset, settings)
    told = "\n".join(offer.lines())
    assert "THIS LEAVES THE MACHINE" in told
    assert "12 training and 3 validation examples" in told
    rows = [json.loads(line)["messages"] for line in offer.files["train"].read_text().splitlines()]
    size = sum(len(message["content"]) for messages in rows for message in messages)
    assert offer.tokens == pytest.approx(size / 4, rel=0.5)
    assert offer.cost == pytest.approx(offer.tokens * settings.price / 1e6)
    with pytest.raises(FielError, match="more than the"):
        remote.train(offer, tmp_path / "made", seed=0, agreed=offer.cost / 2, pause=0)
    with pytest.raises(InputError, match=r"remote\.key is missing"):
        keyless = offer_of(dataset, settings.model_copy(update={"key": SecretStr("")}))
        remote.train(keyless, tmp_path / "made", seed=0, agreed=1, pause=0)
    assert seen(settings) == {"files": {}, "jobs": {}}


def test_a_restart_follows_the_job_that_runs(start: Callable[..., Remote], dataset: Path, tmp_path: Path) -> None:
    settings = start(waits=True)
    offer = offer_of(dataset, settings)

    def crash(progress: Mapping[str, Any]) -> None:
        if progress.get("phase") == "at the service: running":
            raise MemoryError

    with pytest.raises(MemoryError):
        remote.train(offer, tmp_path / "made", seed=0, agreed=1, report=crash, pause=0)
    held = seen(settings)
    assert len(held["files"]) == 2, "the job still needs them"
    service.options.waits = False
    phases: list[Mapping[str, Any]] = []
    again = offer_of(dataset, settings, "upload2")
    manifest = remote.train(again, tmp_path / "made", seed=0, agreed=1, report=phases.append, pause=0)
    assert [manifest["job"]] == list(held["jobs"]) == list(seen(settings)["jobs"])
    assert not any(progress.get("phase") == "uploading" for progress in phases)


def test_a_restart_before_there_is_a_job_sends_nothing_twice(
    start: Callable[..., Remote], dataset: Path, tmp_path: Path
) -> None:
    settings = start()

    def crash(progress: Mapping[str, Any]) -> None:
        if progress.get("phase") == "asking for the job":
            raise MemoryError

    with pytest.raises(MemoryError):
        remote.train(offer_of(dataset, settings), tmp_path / "made", seed=0, agreed=1, report=crash, pause=0)
    sent = seen(settings)["files"]
    assert len(sent) == 2
    remote.train(offer_of(dataset, settings), tmp_path / "made", seed=0, agreed=1, pause=0)
    held = seen(settings)
    assert {job["training_file"] for job in held["jobs"].values()} <= set(sent)
    assert held["files"] == {}


def test_a_service_that_does_not_answer_for_a_while_loses_nothing(
    start: Callable[..., Remote], dataset: Path, tmp_path: Path
) -> None:
    settings, phases = start(), []
    offer = offer_of(dataset, settings)

    def report(progress: Mapping[str, Any]) -> None:
        phases.append(progress.get("phase"))
        if progress.get("phase") == "at the service: queued":
            service.options.outage = 9

    manifest = remote.train(offer, tmp_path / "made", seed=0, agreed=1, report=report, pause=0)
    assert "the service does not answer, asking again" in phases
    assert phases[-1] == "at the service: succeeded"
    assert list(seen(settings)["jobs"]) == [manifest["job"]]


def test_cancelling_ends_the_job_there(start: Callable[..., Remote], dataset: Path, tmp_path: Path) -> None:
    settings = start(waits=True)

    def cancel(progress: Mapping[str, Any]) -> None:
        if progress.get("phase") == "at the service: running":
            raise RunCancelledError("The run was cancelled.")

    with pytest.raises(RunCancelledError):
        remote.train(offer_of(dataset, settings), tmp_path / "made", seed=0, agreed=1, report=cancel, pause=0)
    held = seen(settings)
    assert [job["status"] for job in held["jobs"].values()] == ["cancelled"]
    assert held["files"] == {}
    assert not (tmp_path / "made").exists()


def test_a_run_that_is_cancelled_while_the_service_is_away_is_cancelled_and_names_its_job(
    start: Callable[..., Remote], dataset: Path, tmp_path: Path, database: Database
) -> None:
    settings = start(waits=True)

    def cancel(progress: Mapping[str, Any]) -> None:
        if progress.get("phase") == "at the service: running":
            service.options.outage = 1_000
            raise RunCancelledError("The run was cancelled.")

    with database.write() as session:
        run = runs.add(session, kind="train", seed=0)
    with pytest.raises(RunCancelledError), held(database, run.id):
        remote.train(offer_of(dataset, settings), tmp_path / "made", seed=0, agreed=1, report=cancel, pause=0)
    (job,) = seen(settings)["jobs"]
    with database.read() as session:
        ended = runs.get(session, run.id)
    assert ended.status is RunStatus.CANCELLED
    assert ended.problem == f"Its job {job} may still run at the service, and cost. Cancel it there."


def test_cancelled_before_there_is_a_job_leaves_nothing_there(
    start: Callable[..., Remote], dataset: Path, tmp_path: Path
) -> None:
    settings = start()

    def cancel(progress: Mapping[str, Any]) -> None:
        if progress.get("phase") == "asking for the job":
            raise RunCancelledError("The run was cancelled.")

    with pytest.raises(RunCancelledError):
        remote.train(offer_of(dataset, settings), tmp_path / "made", seed=0, agreed=1, report=cancel, pause=0)
    assert seen(settings) == {"files": {}, "jobs": {}}


def test_a_failure_has_the_services_reason(start: Callable[..., Remote], dataset: Path, tmp_path: Path) -> None:
    settings = start(fails=True)
    with pytest.raises(FielError, match="blocked by our policy"):
        remote.train(offer_of(dataset, settings), tmp_path / "made", seed=0, agreed=1, pause=0)
    for change, told in (
        ({"key": SecretStr("sk-other")}, "refuses the key"),
        ({"model": "gpt-2"}, "not available for fine-tuning"),
        ({"url": "http://127.0.0.1:9/v1"}, "cannot be reached"),
    ):
        offer = offer_of(dataset, settings.model_copy(update=change))
        with pytest.raises(FielError, match=told) as raised:
            remote.train(offer, tmp_path / "made", seed=1, agreed=1, pause=0)
        assert "sk-" not in str(raised.value)
        assert seen(settings)["files"] == {}, "nothing is left there for nothing"
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([example(n) for n in range(9)], "10 examples at least; there are 9"),
        ([example(n, answer=" ") for n in range(12)], "empty message"),
        ([example(n) | {"prompt": [{"role": "tool", "content": "x"}]} for n in range(12)], "unknown role"),
        ([example(n) | {"prompt": [{"role": "system", "content": "x"}]} for n in range(12)], "no question"),
    ],
    ids=["few", "empty", "role", "question"],
)
def test_the_rules_are_checked_before_anything_is_sent(tmp_path: Path, rows: list[dict[str, Any]], told: str) -> None:
    dataset = write_dataset(tmp_path / "dataset", train=rows)
    with pytest.raises(InputError, match=told):
        offer_of(dataset, Remote(key=SecretStr("sk")))


def test_examples_that_are_too_long_are_left_out_and_counted(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "d", train=[example(n, words=500 * (n == 5)) for n in range(12)])
    offer = offer_of(dataset, Remote(example_tokens=300))
    assert (offer.examples["train"], offer.dropped) == (11, 1)


def test_the_remote_engine_fails_in_plain_words(start: Callable[..., Remote], tmp_path: Path) -> None:
    settings = start()

    async def fails(changed: Remote, told: str, kind: type[FielError], tokens: int = 10) -> None:
        engine = RemoteEngine(changed)
        with pytest.raises(kind, match=told):
            [delta async for delta in engine.stream(ASKED, sampling=Sampling(max_tokens=tokens))]
        await engine.close()

    async def run() -> None:
        await fails(settings.model_copy(update={"key": SecretStr("sk-other")}), "refuses the key", ModelError)
        await fails(settings.model_copy(update={"model": "gpt-2"}), "does not serve this model", ModelError)
        await fails(settings.model_copy(update={"url": "http://127.0.0.1:9/v1"}), "cannot be reached", EngineLostError)
        await fails(settings, "do not fit", ContextError, tokens=200_000)
        engine = RemoteEngine(settings)
        stranger = tmp_path / "stranger"
        stranger.mkdir()
        (stranger / plain.MANIFEST).write_text(json.dumps({"base": "gpt-2", "remote": "ft:known"}))
        with pytest.raises(ModelError, match="trained for gpt-2"):
            await engine.load_adapter("v1", stranger)
        with pytest.raises(ModelError, match="not loaded"):
            [delta async for delta in engine.stream(ASKED, sampling=Sampling(max_tokens=9), adapter="v1")]
        answers = await engine.generate_many([ASKED] * 3, sampling=Sampling(max_tokens=2))
        assert answers == [f"{service.TUNABLE} heard:"] * 3
        await engine.close()

    asyncio.run(run())
