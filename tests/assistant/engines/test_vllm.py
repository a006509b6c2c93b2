"""What only a real vLLM can show (``make test-vllm``): the child process, and two servers that serve the same."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from contextlib import aclosing
from pathlib import Path

import httpx
import psutil
import pytest

from assistant import prompts
from assistant.adapters import Adapters
from assistant.engines import choose
from assistant.engines.base import Engine, Sampling
from assistant.engines.local import LocalEngine
from assistant.engines.server import ChildServer
from assistant.engines.template import STARTER, Template
from assistant.engines.vllm import VllmEngine
from assistant.errors import EngineLostError, ModelError
from assistant.registry import Registry
from assistant.settings import Settings, Vllm
from assistant.store.database import Database
from tests.assistant.engines.conftest import over
from tests.assistant.engines.markers import MARKERS, SUBJECTS, ask, asked, is_of, registered
from tests.conftest import adapters_of

pytestmark = pytest.mark.vllm

QUESTION = asked("lighthouse")


def counted(text: str, metric: str) -> float:
    """The sum of a metric of vLLM over its labels."""
    return sum(float(value) for value in re.findall(rf"^{metric}(?:{{.*}})? (\S+)$", text, re.M))


def family(server: ChildServer) -> list[psutil.Process]:
    """vLLM's processes: the one that listens comes first."""
    port = str(httpx.URL(server.address).port)
    keepers = [process for process in psutil.Process().children() if port in process.cmdline()]
    (first,) = keepers[0].children()
    return [first, *first.children(recursive=True)]


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    psutil.wait_procs(processes, timeout=30)
    return [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


async def _said(engine: Engine, marked: dict[str, Path]) -> list[str]:
    await engine.load_adapter("same-1", marked[MARKERS[0]])
    return [await ask(engine, adapter=adapter, tokens=24) for adapter in (None, "same-1")]


@pytest.fixture(scope="module")
def expected(marked: dict[str, Path]) -> list[str]:
    async def run() -> list[str]:
        local = LocalEngine()
        said = await _said(local, marked)
        await local.close()
        return said

    return asyncio.run(run())


def test_both_engines_say_the_same(child: ChildServer, marked: dict[str, Path], expected: list[str]) -> None:
    async def run() -> None:
        async with over(child)() as engine:
            assert await _said(engine, marked) == expected

    asyncio.run(run())


def test_a_model_split_over_two_workers_says_the_same(
    tmp_path: Path, marked: dict[str, Path], expected: list[str]
) -> None:
    """As over two GPUs; here they are two processes on the CPU."""
    options = ["--tensor-parallel-size", "2"]
    settings = Settings(state=tmp_path, engine="vllm", vllm=Vllm(memory_share=0.05, options=options))
    engine = choose.build(settings)

    async def run() -> None:
        await engine.ready()
        assert await _said(engine, marked) == expected
        await engine.close()

    asyncio.run(run())


def test_it_listens_on_loopback_only(child: ChildServer) -> None:
    asyncio.run(child.ready())
    listening = [
        connection.laddr
        for process in family(child)
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert httpx.URL(child.address).port in {address.port for address in listening}
    assert {address.ip for address in listening} == {"127.0.0.1"}


def test_what_is_left_is_not_answered_to_its_end(child: ChildServer, marked: dict[str, Path]) -> None:
    async def run() -> None:
        async with over(child)() as engine:
            await engine.load_adapter("left-1", marked[MARKERS[0]])  # it has learnt no end
            before = counted(await engine.metrics(), "vllm:generation_tokens_total")
            streams = [engine.stream(QUESTION, sampling=Sampling(max_tokens=1500), adapter="left-1") for _ in range(4)]
            for stream in streams:
                await anext(stream)
                await stream.aclose()
            async with asyncio.timeout(120):
                while counted(figures := await engine.metrics(), "vllm:num_requests_running"):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            assert counted(figures, "vllm:generation_tokens_total") - before < 2 * 1500

    asyncio.run(run())


def test_killed_under_load_the_other_server_goes_on_until_it_is_back_with_its_adapters(
    children: list[ChildServer], marked: dict[str, Path], database: Database, state: Path
) -> None:
    first, second = children

    async def run() -> None:
        engine = VllmEngine(str(STARTER), Template(str(STARTER)), children)
        await asyncio.gather(*(server.ready() for server in children))
        live = adapters_of(database, engine)
        of = registered(Registry(database, state / "adapters"), engine, marked)
        old, new = of
        await live.promote(old, person_id=None)
        assert first.adapters == second.adapters == {old}, "a flip waits for all"
        processes = family(second)
        assert len(processes) > 1, "the engine is a process of its own"
        await _lose(engine, first, second, adapter=old)
        assert engine.notice is None, "there is another one"
        await live.promote(new, person_id=None)  # while one is away
        assert second.notice is not None
        assert await _answers(live, engine, of) == {new}
        assert not alive(processes), "no orphans"

        await second.ready()
        assert second.adapters == set(), "it has forgotten them"
        assert await _answers(live, engine, of) == {new}, "nothing is asked of it yet, so nothing stale is said"
        await live.ready()
        assert second.adapters == first.adapters == {old, new}
        before = [await _generated(server) for server in children]
        assert await _answers(live, engine, of) == {new}
        after = [await _generated(server) for server in children]
        assert all(a > b for a, b in zip(after, before, strict=True)), "both work"
        await _is_not_flipped_unless_all_have_it(engine, live, second, Registry(database, state / "adapters"), marked)
        for version in engine.adapters:
            await engine.unload_adapter(version)
        await engine._http.aclose()  # what closes the engine would stop the servers

    asyncio.run(run())


async def _lose(engine: VllmEngine, keep: ChildServer, lose: ChildServer, *, adapter: str) -> None:
    """Kills a server in the middle of an answer."""
    keep.running += 10  # so that the question goes to the other one
    async with aclosing(engine.stream(QUESTION, sampling=Sampling(max_tokens=1500), adapter=adapter)) as stream:
        await anext(stream)
        os.kill(family(lose)[0].pid, signal.SIGKILL)
        with pytest.raises(EngineLostError, match="started again"):
            async for _ in stream:
                pass
    keep.running -= 10


async def _answers(live: Adapters, engine: Engine, of: dict[str, str]) -> set[str | None]:
    """Asks as many questions at once as there are subjects; the versions that answered, each in its own words."""

    async def one(subject: str) -> str | None:
        with live.answer() as version:
            assert version is not None
            assert is_of(await ask(engine, adapter=version, subject=subject), of[version])
            return version

    return set(await asyncio.gather(*map(one, SUBJECTS)))


async def _generated(server: ChildServer) -> float:
    async with httpx.AsyncClient(trust_env=False) as http:
        return counted((await http.get(f"{server.address}/metrics")).text, "vllm:generation_tokens_total")


async def _is_not_flipped_unless_all_have_it(
    engine: VllmEngine, live: Adapters, refusing: ChildServer, registry: Registry, marked: dict[str, Path]
) -> None:
    version = registry.add(marked[MARKERS[0]], base=engine.model, prompt_version=prompts.VERSION).version
    before = live.live
    taken = {"lora_name": version, "lora_path": str(marked[MARKERS[1]])}
    async with httpx.AsyncClient(trust_env=False) as http:
        (await http.post(f"{refusing.address}/v1/load_lora_adapter", json=taken)).raise_for_status()
    with pytest.raises(ModelError, match=f"{version} cannot be loaded"):
        await live.promote(version, person_id=None)
    assert live.live == before
    assert version not in engine.adapters


def test_stopped_it_lets_answers_finish(children: list[ChildServer], marked: dict[str, Path]) -> None:
    """The last one: it stops a server of the session."""
    child = children[1]

    async def run() -> None:
        async with over(child)() as engine:
            processes = family(child)
            await engine.load_adapter("last-1", marked[MARKERS[0]])
            async with aclosing(engine.stream(QUESTION, sampling=Sampling(max_tokens=28), adapter="last-1")) as stream:
                text = (await anext(stream)).text
                stopping = asyncio.create_task(asyncio.to_thread(child.close))
                pieces = [delta async for delta in stream]
            assert pieces[-1].finish is not None
            assert is_of(text + "".join(piece.text for piece in pieces), MARKERS[0])
            await stopping
            assert not alive(processes)

    asyncio.run(run())
