"""A champion that breaks its answers is taken back by itself; what gets worse is told with its figures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from assistant import prompts
from assistant.engines.base import Delta, Sampling
from assistant.engines.local import LocalEngine
from assistant.errors import EngineError
from assistant.records import CommandKind, CommandStatus, Exchange, ExchangeStatus, Feedback, Message, Review
from assistant.registry import Registry
from assistant.store import adapters, ratings, turns
from assistant.store.database import Database
from assistant.store.tables import ExchangeRow
from assistant.watch import BROKEN, Watch
from tests.assistant.engines.conftest import random_adapter, tiny_llama
from tests.conftest import adapters_of
from tests.trainer.talk import Side, Talk


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    base = tiny_llama(folder / "tiny")
    random_adapter(base, folder / "sound", seed=1)
    random_adapter(base, folder / "sick", seed=2)
    return folder


@pytest.fixture
def engine(models: Path) -> Iterator[LocalEngine]:
    engine = LocalEngine(str(models / "tiny"))
    yield engine
    asyncio.run(engine.close())


def added(database: Database, state: Path, folder: Path, *, base: str) -> str:
    registry = Registry(database, state / "adapters")
    return registry.add(folder, base=base, prompt_version=prompts.VERSION, origin="test").version


def an_exchange(talk: Talk, adapter: str | None, **changes: object) -> Exchange:
    found = talk.ask(talk.places(Side.TRAIN, 1)[0])
    return replace(found, adapter=adapter, **changes)  # type: ignore[arg-type]


@pytest.fixture
def talk(database: Database) -> Talk:
    talk = Talk(database)
    talk.add_documents(1, sections=12)
    return talk


@pytest.mark.parametrize(
    ("changes", "bad"),
    [
        ({"answer": "Yes."}, False),
        ({"answer": ""}, True),
        ({"answer": "and so on " * 20, "completion_tokens": 64}, True),
        ({"answer": "Well", "status": ExchangeStatus.FAILED}, True),
        ({"answer": "", "status": ExchangeStatus.STOPPED}, False),
    ],
)
def test_what_counts_as_broken(*, talk: Talk, changes: dict[str, object], bad: bool) -> None:
    watch, exchange = Watch(), an_exchange(talk, "v1", completion_tokens=3)
    for _ in range(BROKEN):
        watch.note(replace(exchange, **changes), most_tokens=64)  # type: ignore[arg-type]
    assert watch.breaks("v1") is bad
    watch.forget("v1")
    assert not watch.breaks("v1")


def test_good_answers_outweigh_a_few_broken_ones(talk: Talk) -> None:
    watch, good = Watch(), an_exchange(talk, "v1", answer="Yes.")
    for n in range(40):
        watch.note(replace(good, answer="" if n % 3 == 0 else "Yes."), most_tokens=64)
        assert not watch.breaks("v1")


def test_a_crash_of_the_engine_counts_once(talk: Talk) -> None:
    watch, cut_off = Watch(), an_exchange(talk, "v1", status=ExchangeStatus.FAILED)
    for crash in range(1, BROKEN + 1):
        assert not watch.breaks("v1")
        for _ in range(32):
            watch.note(cut_off, most_tokens=64, crash=crash)
    assert watch.breaks("v1"), "a version may be what makes the engine crash"


def test_a_champion_that_breaks_its_answers_is_taken_back(
    talk: Talk, database: Database, engine: LocalEngine, models: Path, state: Path
) -> None:
    sound, sick = (added(database, state, models / name, base=engine.model) for name in ("sound", "sick"))
    live = adapters_of(database, engine)
    empty = an_exchange(talk, sick, answer="")

    async def run() -> None:
        await live.promote(sound, person_id=None)
        await live.promote(sick, person_id=None)
        for _ in range(BROKEN):
            live.answered(empty, most_tokens=64)
        running = asyncio.create_task(live.run())
        async with asyncio.timeout(30):
            while live.live != sound:  # noqa: ASYNC110  (what takes back looks every moment)
                await asyncio.sleep(0.01)
        running.cancel()

    asyncio.run(run())
    with database.read() as session:
        assert adapters.champion(session, engine.model) == sound
        assert adapters.get(session, sick).rolled_back
        assert adapters.services(session, engine.model)[0].reason == adapters.BROKE


class Failing(LocalEngine):
    """A local engine that can be made to fail whatever it is asked."""

    down = False

    async def stream(
        self, messages: Sequence[Message], *, sampling: Sampling, adapter: str | None = None
    ) -> AsyncGenerator[Delta, None]:
        if self.down:
            raise EngineError("The card fell out.")
        async with aclosing(super().stream(messages, sampling=sampling, adapter=adapter)) as deltas:
            async for delta in deltas:
                yield delta


def test_nothing_is_taken_back_where_the_base_fails_too(
    talk: Talk, database: Database, models: Path, state: Path
) -> None:
    """Then it is the engine, and every adapter would be taken back in turn."""
    engine = Failing(str(models / "tiny"))
    version = added(database, state, models / "sound", base=engine.model)
    live = adapters_of(database, engine)
    failed = an_exchange(talk, version, answer="", status=ExchangeStatus.FAILED)

    async def looked() -> None:
        with database.write() as session:
            command = adapters.ask(session, CommandKind.UNLOAD, version="v9-none", person_id=None)
        status = None
        async with asyncio.timeout(30):
            while status is not CommandStatus.DONE:
                await asyncio.sleep(0.01)
                with database.read() as session:
                    status = adapters.command(session, command).status

    async def run() -> None:
        await live.promote(version, person_id=None)
        engine.down = True
        for _ in range(BROKEN):
            live.answered(failed, most_tokens=64)
        running = asyncio.create_task(live.run())
        await looked()
        await looked()  # between the two it has looked at the answers
        running.cancel()
        await engine.close()

    asyncio.run(run())
    assert live.live == version
    with database.read() as session:
        assert adapters.champion(session, engine.model) == version


def test_a_clear_turn_for_the_worse_is_told_with_its_figures(
    talk: Talk, database: Database, engine: LocalEngine, models: Path, state: Path
) -> None:
    version = added(database, state, models / "sick", base=engine.model)
    for n in range(40):
        rated(talk, database, engine.model, None, up=n % 10 > 0)
    with database.write() as session:
        adapters.promote(session, version, person_id=None)
    with database.read() as session:
        assert turns.turns(session, engine.model) == []
    for n in range(turns.LEAST):
        rated(talk, database, engine.model, version, up=n % 2 > 0)
    with database.read() as session:
        (turn,) = turns.turns(session, engine.model)
    assert (turn.measure, turn.version) == ("thumbs", version)
    assert (turn.before, turn.now, turn.n_before, turn.n_now) == (0.9, 0.5, 40, 30)


def rated(talk: Talk, database: Database, model: str, adapter: str | None, *, up: bool) -> None:
    asked = talk.ask(talk.places(Side.TRAIN, 1)[0])
    with database.write() as session:
        row = session.get_one(ExchangeRow, asked.id)
        row.model, row.adapter = model, adapter
        row.created_at = datetime.now(UTC) - (timedelta(days=1) if adapter is None else timedelta())
        value = Feedback(value=1 if up else -1)
        ratings.rate(session, asked.id, person_id=asked.person_id, feedback=value, review=Review.ACCEPTED)
