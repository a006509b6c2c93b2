"""An engine that is built while others wait for it."""

import asyncio
import threading
from pathlib import Path

import pytest

from assistant.engines.base import Sampling
from assistant.engines.local import LocalEngine
from assistant.engines.starting import LOADING, StartingEngine
from assistant.errors import EngineError, ModelError
from assistant.records import Message

HELLO = (Message("user", "hello"),)


def test_those_who_wait_are_answered_once_it_is_built(tiny: Path) -> None:
    may_build = threading.Event()

    def build() -> LocalEngine:
        may_build.wait()
        return LocalEngine(str(tiny))

    async def run() -> str:
        engine = StartingEngine(build)
        engine.start()
        assert engine.notice == LOADING
        with pytest.raises(EngineError, match="being loaded"):
            await engine.count_tokens(HELLO)
        waiting = [asyncio.create_task(engine.ready()) for _ in range(3)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        may_build.set()
        await asyncio.gather(*waiting)
        assert engine.notice is None
        said = "".join([delta.text async for delta in engine.stream(HELLO, sampling=Sampling(max_tokens=5))])
        assert engine.context_tokens > await engine.count_tokens(HELLO) > 0
        await engine.close()
        return engine.model + said

    assert asyncio.run(run()).startswith(tiny.name)


def test_one_that_cannot_be_built_says_why_to_everybody(tmp_path: Path) -> None:
    async def run() -> None:
        engine = StartingEngine(lambda: LocalEngine(str(tmp_path / "nowhere")))
        engine.start()
        for _ in range(2):
            with pytest.raises(ModelError, match="cannot be loaded"):
                await engine.ready()
        assert engine.notice is not None
        assert "nowhere" in engine.notice
        await engine.close()

    asyncio.run(run())


def test_other_failures_are_told_too() -> None:
    def build() -> LocalEngine:
        raise MemoryError("no room for 8 GB")

    async def run() -> None:
        engine = StartingEngine(build)
        engine.start()
        with pytest.raises(ModelError, match="could not be loaded: no room"):
            await engine.ready()

    asyncio.run(run())


def test_one_who_gives_up_waiting_takes_it_from_nobody(tiny: Path) -> None:
    may_build = threading.Event()

    def build() -> LocalEngine:
        may_build.wait()
        return LocalEngine(str(tiny))

    async def run() -> None:
        engine = StartingEngine(build)
        engine.start()
        impatient, patient = (asyncio.create_task(engine.ready()) for _ in range(2))
        await asyncio.sleep(0)
        impatient.cancel()
        await asyncio.wait([impatient])
        may_build.set()
        await patient
        assert engine.notice is None
        await engine.close()

    asyncio.run(run())
