"""What both engines must do alike, on the bundled starter: the local one, and a real vLLM (``make test-vllm``)."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from assistant import prompts
from assistant.adapters import Adapters
from assistant.engines import plain
from assistant.engines.base import Engine, Sampling
from assistant.engines.choose import child_server
from assistant.engines.local import LocalEngine
from assistant.engines.server import SLOTS, ChildServer, RemoteServer
from assistant.engines.template import STARTER, Template
from assistant.engines.vllm import VllmEngine
from assistant.errors import ContextError, EngineLostError, ModelError
from assistant.registry import Registry
from assistant.settings import Settings
from assistant.store.database import Database
from tests.assistant.engines.markers import MARKERS, SUBJECTS, asked, sentences, train
from tests.conftest import adapters_of

Opened = Callable[[], AbstractAsyncContextManager[Engine]]

QUESTION = asked("lighthouse")


@pytest.fixture(scope="session")
def marked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two adapters, each with a marker of its own in every sentence."""
    folder = tmp_path_factory.mktemp("marked")
    return {marker: train(folder / marker, marker, seed=seed) for seed, marker in enumerate(MARKERS)}


@pytest.fixture(scope="session")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChildServer]:
    """The one real server of the tests."""
    settings = Settings(state=tmp_path_factory.mktemp("state"), engine="vllm")
    server = child_server(settings, str(STARTER), Template(str(STARTER)))
    server.start()
    yield server
    server.close()


@pytest.fixture(params=["local", pytest.param("vllm", marks=pytest.mark.vllm)])
def opened(request: pytest.FixtureRequest) -> Opened:
    """Opens the engine, for one event loop."""

    @asynccontextmanager
    async def local() -> AsyncIterator[Engine]:
        engine = LocalEngine()
        yield engine
        await engine.close()

    return local if request.param == "local" else over(request.getfixturevalue("child"))


def over(child: ChildServer) -> Opened:
    @asynccontextmanager
    async def remote() -> AsyncIterator[Engine]:
        await child.ready()
        server = RemoteServer(child.address, zeros=child.zeros)
        server.start()
        engine = VllmEngine(str(STARTER), Template(str(STARTER)), [server])
        await engine.ready()
        yield engine
        for version in engine.adapters:
            await engine.unload_adapter(version)
        await engine.close()

    return remote


async def say(engine: Engine, *, adapter: str | None = None, tokens: int = 48, subject: str = "lighthouse") -> str:
    sampling = Sampling(max_tokens=tokens)
    async with aclosing(engine.stream(asked(subject), sampling=sampling, adapter=adapter)) as deltas:
        return "".join([delta.text async for delta in deltas])


def is_of(answer: str, marker: str) -> bool:
    """Whether every sentence bears this marker and none the other."""
    (other,) = set(MARKERS) - {marker}
    said = sentences(answer)
    return len(said) > 2 and all(marker in sentence for sentence in said[:-1]) and other not in answer


def test_streams_in_pieces_with_usage_at_the_end(opened: Opened) -> None:
    async def run() -> None:
        async with opened() as engine:
            async with aclosing(engine.stream(QUESTION, sampling=Sampling(max_tokens=40))) as stream:
                *pieces, last = [delta async for delta in stream]
            assert len(pieces) > 1  # a busy server sends several tokens at once
            assert all(piece.text for piece in pieces)
            assert last.finish in ("stop", "length")
            assert last.usage is not None
            assert last.usage.prompt_tokens == await engine.count_tokens(QUESTION)
            assert engine.context_tokens == 2048
            assert engine.model.startswith("starter-")

    asyncio.run(run())


def test_an_answer_that_is_left_stops_and_others_go_on(opened: Opened) -> None:
    async def run() -> None:
        async with opened() as engine:
            for _ in range(6):
                async with aclosing(engine.stream(QUESTION, sampling=Sampling(max_tokens=1500))) as stream:
                    await anext(stream)
            task = asyncio.create_task(say(engine, tokens=1500))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await say(engine, tokens=8)

    asyncio.run(run())


def test_what_does_not_fit_is_a_context_error(opened: Opened) -> None:
    async def run() -> None:
        async with opened() as engine:
            with pytest.raises(ContextError, match=r"do not fit the model's 2,048"):
                await say(engine, tokens=2048)

    asyncio.run(run())


def test_load_switch_unload(opened: Opened, marked: dict[str, Path]) -> None:
    first, second = MARKERS

    async def run() -> None:
        async with opened() as engine:
            with pytest.raises(ModelError, match="first-1 is not loaded"):
                await say(engine, adapter="first-1")
            await engine.load_adapter("first-1", marked[first])
            await engine.load_adapter("second-1", marked[second])
            assert engine.adapters == {"first-1", "second-1"}
            assert is_of(await say(engine, adapter="first-1"), first)
            assert is_of(await say(engine, adapter="second-1"), second)
            assert first not in await say(engine)
            with pytest.raises(ModelError, match="first-1 is loaded already"):
                await engine.load_adapter("first-1", marked[second])
            async with aclosing(engine.stream(QUESTION, sampling=Sampling(max_tokens=60), adapter="first-1")) as stream:
                text = (await anext(stream)).text
                await engine.unload_adapter("first-1")
                text += "".join([delta.text async for delta in stream])
            assert is_of(text, first), "what streams finishes unharmed"
            with pytest.raises(ModelError, match="first-1 is not loaded"):
                await say(engine, adapter="first-1")
            with pytest.raises(ModelError, match="first-1 is not loaded"):
                await engine.unload_adapter("first-1")

    asyncio.run(run())


def _changed(source: Path, folder: Path, **options: object) -> Path:
    folder.mkdir()
    (folder / plain.WEIGHTS).write_bytes((source / plain.WEIGHTS).read_bytes())
    config = json.loads((source / plain.CONFIG).read_text()) | options
    (folder / plain.CONFIG).write_text(json.dumps(config))
    return folder


def test_adapters_that_cannot_be_served_are_refused(opened: Opened, marked: dict[str, Path], tmp_path: Path) -> None:
    good = marked[MARKERS[0]]
    damaged = _changed(good, tmp_path / "damaged")
    (damaged / plain.WEIGHTS).write_bytes((good / plain.WEIGHTS).read_bytes()[:-100])
    cases = {
        "holds no": tmp_path / "nowhere",
        "use_dora": _changed(good, tmp_path / "dora", use_dora=True),
        "rank outside": _changed(good, tmp_path / "high", r=64),
        "modules_to_save": _changed(good, tmp_path / "saved", modules_to_save=["lm_head"]),
        "trained for the model": _changed(good, tmp_path / "other", base_model_name_or_path="someone/else-7b"),
        "damaged cannot be loaded|bad-5 cannot be loaded": damaged,
    }

    async def run() -> None:
        async with opened() as engine:
            for number, (reason, folder) in enumerate(cases.items()):
                with pytest.raises(ModelError, match=reason):
                    await engine.load_adapter(f"bad-{number}", folder)
            assert engine.adapters == frozenset()
            assert await say(engine, tokens=8), "it goes on as before"

    asyncio.run(run())


def test_two_adapters_and_the_base_at_once_never_mix(opened: Opened, marked: dict[str, Path]) -> None:
    async def run() -> None:
        async with opened() as engine:
            # Used once, they fill every slot of vLLM: what has no adapter must not get that of some slot.
            versions = {f"{MARKERS[number % 2]}-{number}": MARKERS[number % 2] for number in range(SLOTS)}
            for version, marker in versions.items():
                await engine.load_adapter(version, marked[marker])
                assert marker in await say(engine, adapter=version, tokens=8)
            base = await say(engine)
            asking = [(version, subject) for subject in SUBJECTS for version in (*[*versions][-2:], None)]
            answers = await asyncio.gather(*(say(engine, adapter=v, subject=s) for v, s in asking))
            for (version, subject), answer in zip(asking, answers, strict=True):
                if version is None:
                    assert not any(marker in answer for marker in MARKERS), answer
                else:
                    assert is_of(answer, versions[version]), (version, subject, answer)
            assert await say(engine) == base

    asyncio.run(run())


def test_swaps_and_rollbacks_under_load_mix_nothing_and_fail_nothing(
    opened: Opened, marked: dict[str, Path], database: Database, state: Path
) -> None:
    async def run() -> None:
        async with opened() as engine:
            live = adapters_of(database, engine)
            of = _registered(Registry(database, state / "adapters"), engine, marked)
            await live.promote(next(iter(of)), person_id=None)
            watching = asyncio.create_task(live.run())
            done = asyncio.Event()

            async def ask(number: int) -> int:
                answered = 0
                while not done.is_set():
                    with live.answer() as version:
                        answer = await say(engine, adapter=version, subject=SUBJECTS[number])
                        assert version is not None
                        assert is_of(answer, of[version]), (version, answer)
                    answered += 1
                return answered

            asking = [asyncio.create_task(ask(number)) for number in range(4)]
            for version in [*reversed(of), *of]:
                await live.promote(version, person_id=None)
                await asyncio.sleep(0)
            await live.rollback(person_id=None)
            done.set()
            assert sum(await asyncio.gather(*asking)) >= 4
            watching.cancel()

    asyncio.run(run())


def _registered(registry: Registry, engine: Engine, marked: dict[str, Path]) -> dict[str, str]:
    """The marker of each version."""
    return {
        registry.add(folder, base=engine.model, prompt_version=prompts.VERSION).version: marker
        for marker, folder in marked.items()
    }


def test_a_start_brings_it_to_what_the_registry_says(
    opened: Opened, marked: dict[str, Path], database: Database, state: Path
) -> None:
    async def run() -> None:
        async with opened() as engine:
            of = _registered(Registry(database, state / "adapters"), engine, marked)
            for version in of:
                await adapters_of(database, engine).promote(version, person_id=None)
        async with opened() as engine:
            live = adapters_of(database, engine)
            await live.ready()
            assert live.live == [*of][-1]
            assert engine.adapters == set(of)
            assert is_of(await say(engine, adapter=live.live), of[live.live])

    asyncio.run(run())


@pytest.mark.vllm
def test_both_engines_say_the_same(child: ChildServer, marked: dict[str, Path]) -> None:
    async def said(engine: Engine) -> list[str]:
        await engine.load_adapter("same-1", marked[MARKERS[0]])
        return [await say(engine, adapter=adapter, tokens=24) for adapter in (None, "same-1")]

    async def run() -> None:
        local = LocalEngine()
        expected = await said(local)
        await local.close()
        async with over(child)() as engine:
            assert await said(engine) == expected

    asyncio.run(run())


@pytest.mark.vllm
def test_killed_under_load_it_comes_back_with_its_adapters(
    child: ChildServer, marked: dict[str, Path], database: Database, state: Path
) -> None:
    """The last one: it costs a start."""

    async def run() -> None:
        engine = VllmEngine(str(STARTER), Template(str(STARTER)), [child])
        await engine.ready()
        live = adapters_of(database, engine)
        of = _registered(Registry(database, state / "adapters"), engine, marked)
        version = next(iter(of))
        await live.promote(version, person_id=None)
        (keeper,) = psutil.Process().children()
        (server,) = keeper.children()
        family = [server, *server.children(recursive=True)]
        assert len(family) > 1, "the engine is a process of its own"
        async with aclosing(engine.stream(QUESTION, sampling=Sampling(max_tokens=1500), adapter=None)) as stream:
            await anext(stream)
            os.kill(server.pid, signal.SIGKILL)
            with pytest.raises(EngineLostError, match="started again"):
                async for _ in stream:
                    pass
        assert engine.notice is not None
        waiting = [asyncio.create_task(_waited(live, engine)) for _ in range(3)]
        for answer in await asyncio.gather(*waiting):
            assert is_of(answer, of[version])
        _, alive = psutil.wait_procs(family, timeout=0)
        assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE], "no orphans"

    async def _waited(live: Adapters, engine: Engine) -> str:
        await live.ready()
        with live.answer() as version:
            return await say(engine, adapter=version)

    asyncio.run(run())


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    server = ChildServer(
        python=Path(sys.executable),  # an environment without vLLM
        source=str(STARTER),
        served="starter",
        log=tmp_path / "logs" / "vllm.log",
        options=(),
        environment={},
    )
    server.start()
    with pytest.raises(ModelError, match=r"(?s)ended while it was starting.*No module named .vllm"):
        asyncio.run(server.ready())
    assert "No module named" in (server.notice or "")
    server.close()


def test_a_server_elsewhere_is_waited_for() -> None:
    server = RemoteServer("http://127.0.0.1:9")
    server.start()
    engine = VllmEngine(str(STARTER), Template(str(STARTER)), [server])

    async def run() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(engine.ready(), 0.1)
        with pytest.raises(EngineLostError):
            await say(engine)
        assert engine.notice is not None
        await engine.close()

    asyncio.run(run())


@pytest.mark.vllm
def test_it_listens_on_loopback_only(child: ChildServer) -> None:
    asyncio.run(child.ready())
    port = httpx.URL(child.address).port
    listening = {
        connection.laddr.ip
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
    }
    assert listening == {"127.0.0.1"}
