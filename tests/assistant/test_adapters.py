"""Adapters with the real local engine: the registry, the swap under running answers, reconciling, commands."""

from __future__ import annotations

import asyncio
import json
import math
import multiprocessing
import shutil
import signal
from collections.abc import Iterator
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from sqlalchemy import select

from assistant import prompts
from assistant.adapters import Adapters
from assistant.engines import plain
from assistant.engines.base import Sampling
from assistant.engines.local import LocalEngine
from assistant.errors import InputError, ModelError, NotFoundError
from assistant.records import AdapterStatus, CommandKind, CommandStatus
from assistant.registry import Registry
from assistant.store import adapters
from assistant.store.database import Database
from assistant.store.tables import AuditRow, ForgottenRow
from tests.assistant import swapping
from tests.assistant.engines.conftest import PROMPT, random_adapter, say, tiny_llama
from tests.conftest import People, adapters_of


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    base = tiny_llama(folder / "tiny")
    for seed, name in enumerate(("red", "blue", "green"), start=1):
        random_adapter(base, folder / name, seed=seed)
    return folder


@pytest.fixture
def engine(models: Path) -> Iterator[LocalEngine]:
    engine = LocalEngine(str(models / "tiny"))
    yield engine
    asyncio.run(engine.close())


@pytest.fixture
def registry(database: Database, state: Path) -> Registry:
    return Registry(database, state / "adapters")


@pytest.fixture
def versions(registry: Registry, engine: LocalEngine, models: Path) -> dict[str, str]:
    """The versions of three adapters that say different things."""
    return {
        name: registry.add(models / name, base=engine.model, prompt_version=prompts.VERSION, origin=name).version
        for name in ("red", "blue", "green")
    }


@pytest.fixture
def live(database: Database, engine: LocalEngine) -> Adapters:
    return adapters_of(database, engine)


def audited(database: Database) -> list[tuple[str, str]]:
    with database.read() as session:
        return [(row.action, row.subject) for row in session.scalars(select(AuditRow).order_by(AuditRow.id))]


def champion(database: Database, engine: LocalEngine) -> str | None:
    with database.read() as session:
        return adapters.champion(session, engine.model)


async def until_unloaded(running: Adapters, engine: LocalEngine, version: str) -> None:
    async with asyncio.timeout(20):
        while version in engine.adapters:  # noqa: ASYNC110  (what unloads looks every moment)
            await asyncio.sleep(0.01)


def test_a_version_is_whole_and_named_by_its_weights(registry: Registry, versions: dict[str, str]) -> None:
    assert [version.partition("-")[0] for version in versions.values()] == ["v1", "v2", "v3"]
    folder = registry.path(versions["red"])
    manifest = json.loads((folder / plain.MANIFEST).read_text())
    assert manifest["files"][plain.WEIGHTS].startswith(f"sha256:{versions['red'].partition('-')[2]}")
    assert sorted(path.name for path in registry.folder.iterdir()) == sorted(versions.values()), "nothing is left over"
    registry.verify(versions["red"])


def test_what_cannot_be_served_is_not_taken_in(registry: Registry, models: Path, tmp_path: Path) -> None:
    fancy = random_adapter(models / "tiny", tmp_path / "fancy", seed=4, use_dora=True)
    with pytest.raises(ModelError, match="use_dora"):
        registry.add(fancy, base="tiny", prompt_version=prompts.VERSION)
    assert not registry.folder.exists()


def test_promote_and_roll_back(
    live: Adapters, engine: LocalEngine, versions: dict[str, str], database: Database, people: People
) -> None:
    async def run() -> None:
        with pytest.raises(NotFoundError, match="nothing to roll back"):
            await live.rollback(person_id=None)
        seen = []
        for name in ("red", "blue", "green"):
            await live.promote(versions[name], person_id=people.admin.id)
            assert live.live == versions[name] == champion(database, engine)
            seen.append(versions[name])
        assert versions["blue"] in engine.adapters, "the one before is warm"
        for expected in (versions["blue"], versions["red"], None):
            await live.rollback(person_id=people.admin.id)
            assert live.live == expected == champion(database, engine)

    asyncio.run(run())
    promotions = [("adapter.promote", version) for version in versions.values()]
    assert audited(database) == promotions + [("adapter.rollback", v) for v in reversed(versions.values())]


def test_answers_that_stream_finish_on_the_old_version(
    live: Adapters, engine: LocalEngine, versions: dict[str, str]
) -> None:
    async def run() -> None:
        for name in ("red", "blue"):
            await live.promote(versions[name], person_id=None)
        await live.rollback(person_id=None)  # red is live, and no predecessor keeps blue
        alone = (await say(engine, adapter=versions["red"])).text
        running = asyncio.create_task(live.run())
        with live.answer() as version:
            assert version == versions["red"]
            async with aclosing(engine.stream(PROMPT, sampling=Sampling(max_tokens=40), adapter=version)) as stream:
                text = (await anext(stream)).text
                await live.promote(versions["green"], person_id=None)
                await live.promote(versions["blue"], person_id=None)  # red is neither live nor warm now
                with live.answer() as newer:
                    assert newer == versions["blue"]
                assert live.answering() == {versions["red"]: 1}
                text += "".join([delta.text async for delta in stream])
            assert versions["red"] in engine.adapters
        assert text == alone
        await until_unloaded(live, engine, versions["red"])
        assert engine.adapters == {versions["blue"], versions["green"]}
        running.cancel()

    asyncio.run(run())


def test_what_is_asked_during_swaps_never_mixes(live: Adapters, engine: LocalEngine, versions: dict[str, str]) -> None:
    async def run() -> None:
        alone: dict[str | None, str] = {}
        for version in versions.values():
            await live.promote(version, person_id=None)
            alone[version] = (await say(engine, adapter=version)).text
        assert len(set(alone.values())) == 3
        done = asyncio.Event()

        async def ask() -> int:
            asked = 0
            while not done.is_set():
                with live.answer() as version:
                    assert (await say(engine, adapter=version)).text == alone[version]
                asked += 1
            return asked

        running = [asyncio.create_task(live.run()), *(asyncio.create_task(ask()) for _ in range(3))]
        for name in ("red", "blue", "green", "red"):
            await live.promote(versions[name], person_id=None)
        await live.rollback(person_id=None)
        done.set()
        assert sum(await asyncio.gather(*running[1:])) >= 3
        running[0].cancel()

    asyncio.run(run())


def test_a_start_brings_the_engine_to_what_the_registry_says(
    live: Adapters, engine: LocalEngine, versions: dict[str, str], database: Database, models: Path
) -> None:
    async def before() -> None:
        await live.promote(versions["red"], person_id=None)
        await live.promote(versions["blue"], person_id=None)

    async def after() -> None:
        fresh = LocalEngine(str(models / "tiny"))
        again = adapters_of(database, fresh)
        await again.ready()
        assert again.live == versions["blue"]
        assert fresh.adapters == {versions["blue"], versions["red"]}
        assert again.problem is None
        await fresh.close()

    asyncio.run(before())
    asyncio.run(after())


@pytest.mark.parametrize("how", ["missing", "changed", "cut off"])
def test_a_broken_champion_gives_way_to_the_one_before_loudly(
    *,
    how: str,
    live: Adapters,
    registry: Registry,
    versions: dict[str, str],
    database: Database,
    models: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def before() -> None:
        await live.promote(versions["red"], person_id=None)
        await live.promote(versions["blue"], person_id=None)

    async def after() -> None:
        fresh = LocalEngine(str(models / "tiny"))
        again = adapters_of(database, fresh)
        await again.ready()
        assert again.live == versions["red"]
        assert again.problem is not None
        assert versions["blue"] in again.problem
        assert champion(database, fresh) == versions["blue"], "the registry is not changed by a bad disk"
        await fresh.close()

    asyncio.run(before())
    folder = registry.path(versions["blue"])
    weights = folder / plain.WEIGHTS
    if how == "missing":
        shutil.rmtree(folder)
    elif how == "changed":
        shutil.copyfile(registry.path(versions["green"]) / plain.WEIGHTS, weights)
    else:
        weights.write_bytes(weights.read_bytes()[:-100])
    asyncio.run(after())
    assert "THE CHAMPION IS NOT SERVED" in caplog.text
    assert audited(database)[-1] == ("adapter.fallback", versions["red"])


def test_a_champion_that_answered_before_stays_when_the_engine_comes_back_slow(
    live: Adapters, engine: LocalEngine, versions: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        await live.promote(versions["red"], person_id=None)
        monkeypatch.setattr("assistant.adapters._CANARY_SECONDS", 0)
        with pytest.raises(ModelError, match="does not answer a test question"):
            await live.promote(versions["blue"], person_id=None)
        await engine.unload_adapter(versions["red"])
        monkeypatch.setattr(LocalEngine, "starts", engine.starts + 1)
        await live.ready()
        assert (live.live, live.problem) == (versions["red"], None)
        assert versions["red"] in engine.adapters

    asyncio.run(run())


def test_what_cannot_be_promoted_changes_nothing(
    *,
    live: Adapters,
    engine: LocalEngine,
    registry: Registry,
    versions: dict[str, str],
    database: Database,
    models: Path,
) -> None:
    stranger = registry.add(models / "red", base="someone/else-7b", prompt_version=prompts.VERSION).version
    old = registry.add(models / "red", base=engine.model, prompt_version="0").version
    bad = registry.path(versions["blue"]) / plain.WEIGHTS
    bad.write_bytes(bad.read_bytes()[:-1])

    async def run() -> None:
        await live.promote(versions["red"], person_id=None)
        for version, error, reason in (
            (stranger, InputError, "was trained for someone/else-7b"),
            (old, InputError, "prompt format 0"),
            (versions["blue"], ModelError, "damaged"),
            ("v99-none", NotFoundError, "no adapter v99"),
        ):
            with pytest.raises(error, match=reason):
                await live.promote(version, person_id=None)
            assert live.live == versions["red"] == champion(database, engine)

    asyncio.run(run())
    assert audited(database) == [("adapter.promote", versions["red"])]


def test_one_that_says_nothing_does_not_go_live(
    live: Adapters, engine: LocalEngine, registry: Registry, tmp_path: Path, models: Path
) -> None:
    mute = random_adapter(models / "tiny", tmp_path / "mute", seed=5)
    weights = load_file(mute / plain.WEIGHTS)
    save_file({name: tensor.fill_(math.nan) for name, tensor in weights.items()}, mute / plain.WEIGHTS)
    version = registry.add(mute, base=engine.model, prompt_version=prompts.VERSION).version

    async def run() -> None:
        with pytest.raises(ModelError, match="says nothing"):
            await live.promote(version, person_id=None)
        assert live.live is None
        assert not engine.adapters, "it was unloaded again"

    asyncio.run(run())


def test_other_processes_ask_by_command_rows(
    live: Adapters, engine: LocalEngine, versions: dict[str, str], database: Database, people: People
) -> None:
    async def done(kind: CommandKind, version: str | None) -> str | None:
        with database.write() as session:
            number = adapters.ask(session, kind, version=version, person_id=people.admin.id)
        async with asyncio.timeout(20):
            while True:
                with database.read() as session:
                    command = adapters.command(session, number)
                if command.status in (CommandStatus.DONE, CommandStatus.FAILED):
                    return command.problem
                await asyncio.sleep(0.01)

    async def run() -> None:
        running = asyncio.create_task(live.run())
        assert await done(CommandKind.LOAD, versions["green"]) is None
        assert versions["green"] in engine.adapters
        assert live.live is None
        assert await done(CommandKind.PROMOTE, versions["red"]) is None
        assert live.live == versions["red"]
        assert versions["green"] in engine.adapters, "whoever measures it still needs it"
        assert await done(CommandKind.UNLOAD, versions["green"]) is None
        assert versions["green"] not in engine.adapters
        assert await done(CommandKind.ROLLBACK, None) is None
        assert live.live is None
        assert "no adapter v99" in (await done(CommandKind.PROMOTE, "v99") or "")
        running.cancel()

    asyncio.run(run())


def test_a_command_that_was_cut_off_is_failed_at_the_next_start(
    database: Database, engine: LocalEngine, people: People
) -> None:
    with database.write() as session:
        number = adapters.ask(session, CommandKind.ROLLBACK, version=None, person_id=None)
        adapters.claim(session)
    adapters_of(database, engine)
    with database.read() as session:
        command = adapters.command(session, number)
    assert (command.status, command.problem) == (CommandStatus.FAILED, "The program ended before this was done.")


def test_forgetting_takes_out_all_that_learnt_from_what_was_deleted(
    live: Adapters, engine: LocalEngine, versions: dict[str, str], database: Database, people: People
) -> None:
    with database.write() as session:
        adapters.record_exchanges(session, versions["blue"], ["kept", "gone"])
        adapters.record_exchanges(session, versions["green"], ["gone"])
        adapters.record_exchanges(session, versions["red"], ["kept"])

    async def run() -> None:
        for name in ("red", "blue", "green"):
            await live.promote(versions[name], person_id=people.admin.id)
        with database.write() as session:
            session.add(ForgottenRow(exchange_id="gone", at=datetime.now(UTC)))
        assert sorted(await live.forget(person_id=people.admin.id)) == sorted([versions["blue"], versions["green"]])
        assert live.live == versions["red"] == champion(database, engine)
        await live.rollback(person_id=people.admin.id)
        assert live.live is None, "what was withdrawn never comes back"
        with pytest.raises(InputError, match="was withdrawn"):
            await live.promote(versions["green"], person_id=people.admin.id)

    asyncio.run(run())
    with database.read() as session:
        assert adapters.affected(session, engine.model) == []
        assert adapters.services(session, engine.model)[1].reason == adapters.FORGOTTEN


def test_a_rollback_passes_over_what_was_withdrawn(
    live: Adapters, versions: dict[str, str], database: Database, people: People
) -> None:
    async def run() -> None:
        for name in ("red", "blue", "green"):
            await live.promote(versions[name], person_id=people.admin.id)
        with database.write() as session:
            adapters.withdraw(session, versions["blue"], person_id=people.admin.id)
        await live.rollback(person_id=people.admin.id)
        assert live.live == versions["red"]

    asyncio.run(run())


@pytest.mark.parametrize("point", swapping.POINTS)
def test_killed_in_a_swap_the_next_start_serves_one_champion(
    *, point: str, versions: dict[str, str], models: Path, database: Database, state: Path, engine: LocalEngine
) -> None:
    names = [versions[name] for name in ("red", "blue", "green")]
    child = multiprocessing.get_context("forkserver").Process(
        target=swapping.swap, args=(state, models / "tiny", names, point)
    )
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL, f"{point} was not reached"
    started = adapters_of(database, engine)
    asyncio.run(started.ready())
    expected = versions["blue" if point == "loaded" else "green"]
    assert started.live == expected == champion(database, engine)
    assert started.problem is None
    with database.read() as session:
        rows = adapters.for_base(session, engine.model)
        assert [row.version for row in rows if row.status is AdapterStatus.CHAMPION] == [expected]
        assert [each.version for each in adapters.services(session, engine.model) if each.until is None] == [expected]
    assert expected in engine.adapters
