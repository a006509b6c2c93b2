"""Which engine the settings and the machine lead to; that a server which dies is started again, ever later."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import psutil
import pytest

from assistant.engines import choose
from assistant.engines.base import Engine, model_name
from assistant.engines.local import LocalEngine
from assistant.engines.server import ChildServer, RemoteServer
from assistant.engines.template import STARTER, Template
from assistant.engines.vllm import VllmEngine
from assistant.errors import EngineError, EngineLostError, ModelError
from assistant.settings import Settings, Vllm
from tests.assistant.engines import standin
from tests.assistant.engines.markers import ask


@pytest.fixture
def with_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = standin.gpu(tmp_path / "driver", free=40_000, total=80_000)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def settings(state: Path, **others: object) -> Settings:
    return Settings(state=state, vllm=Vllm(folder=state / "environment"), **others)  # type: ignore[arg-type]


def refusing(status: int, body: object) -> list[str]:
    return ["--refusing", str(status), json.dumps(body)]


async def closed(engine: Engine) -> Engine:
    await engine.close()
    return engine


def test_without_a_gpu_it_is_the_local_engine(state: Path) -> None:
    standin.environment(state / "environment")
    assert isinstance(asyncio.run(closed(choose.build(settings(state)))), LocalEngine)


@pytest.mark.usefixtures("with_gpu")
def test_without_a_vllm_environment_it_is_the_local_engine(state: Path) -> None:
    assert isinstance(asyncio.run(closed(choose.build(settings(state)))), LocalEngine)


def test_vllm_without_its_environment_says_how_to_get_it(state: Path) -> None:
    with pytest.raises(ModelError, match="Install it with 'make vllm'"):
        choose.build(settings(state, engine="vllm"))


@pytest.mark.usefixtures("with_gpu")
def test_with_a_gpu_and_vllm_it_is_vllm_with_the_starter_if_the_hub_is_away(
    state: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    standin.environment(state / "environment")

    async def run() -> None:
        engine = choose.build(choose.with_model(settings(state)))
        assert isinstance(engine, VllmEngine)
        await engine.ready()
        assert engine.model.startswith("starter-")
        await engine.close()

    asyncio.run(run())
    assert choose.GPU_MODEL in caplog.text
    assert "The bundled starter is served instead" in caplog.text
    called = (state / "logs" / "vllm.log").read_text()
    assert "'--gpu-memory-utilization', '0.250'" in called, "half of what is free"
    assert "'--host', '127.0.0.1'" in called


@pytest.mark.usefixtures("with_gpu")
def test_what_vllm_serves_on_a_gpu_by_default_is_what_is_trained(
    state: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "GPU_MODEL", str(tiny))
    assert choose.with_model(settings(state)).model == str(STARTER), "there is no vLLM"
    standin.environment(state / "environment")
    assert choose.with_model(settings(state, engine="local")).model == str(STARTER)
    assert choose.with_model(settings(state, model="mine")).model == "mine"
    chosen = choose.with_model(settings(state))
    assert chosen.model == str(tiny)

    async def run() -> str:
        engine = choose.build(chosen)
        await engine.ready()
        await engine.close()
        return engine.model

    assert asyncio.run(run()) == model_name(chosen.model), "or no adapter of a run would be of the base that answers"


@pytest.mark.usefixtures("with_gpu")
def test_a_model_and_a_share_that_were_set_are_taken(state: Path) -> None:
    chosen = Settings(
        state=state,
        model=str(STARTER),
        vllm=Vllm(folder=standin.environment(state / "environment"), memory_share=0.4, options=["--seed", "7"]),
    )

    async def run() -> None:
        engine = choose.build(chosen)
        await engine.ready()
        await engine.close()

    asyncio.run(run())
    called = (state / "logs" / "vllm.log").read_text()
    assert "'--gpu-memory-utilization', '0.400', '--seed', '7'" in called


@pytest.mark.parametrize(("options", "where"), [([], "lo"), (["--distributed-executor-backend", "ray"], None)])
def test_workers_of_one_machine_meet_on_loopback(state: Path, options: list[str], where: str | None) -> None:
    chosen = Settings(state=state, vllm=Vllm(folder=standin.environment(state / "environment"), options=options))
    child = choose.child_server(chosen, str(STARTER), Template(str(STARTER)))
    child.start()
    asyncio.run(child.ready())
    (keeper,) = (process for process in psutil.Process().children() if "keeper.py" in " ".join(process.cmdline()))
    assert keeper.environ().get("GLOO_SOCKET_IFNAME") == where
    child.close()


@pytest.fixture
def two(state: Path) -> Iterator[list[ChildServer]]:
    """Two servers that run elsewhere, not started yet; the second takes no adapter."""
    environment = standin.environment(state / "environment")
    servers = [
        choose.child_server(
            Settings(state=state / name, vllm=Vllm(folder=environment, options=options)),
            str(STARTER),
            Template(str(STARTER)),
        )
        for name, options in (("willing", []), ("refusing", refusing(400, {"error": {"message": "not here"}})))
    ]
    yield servers
    for server in servers:
        server.close()


def test_vllm_url_names_several_and_a_version_is_loaded_into_all_or_none(
    state: Path, two: list[ChildServer], marked: dict[str, Path]
) -> None:
    async def run() -> None:
        for server in two:
            server.start()
            await server.ready()
        engine = choose.build(settings(state, vllm_url=", ".join(server.address for server in two)))
        assert isinstance(engine, VllmEngine)
        await engine.ready()
        while engine.starts < 2:  # noqa: ASYNC110  (each is looked at on its own)
            await asyncio.sleep(0.01)
        with pytest.raises(ModelError, match="v1 cannot be loaded: not here"):
            await engine.load_adapter("v1", marked["Crimson"])
        assert engine.adapters == frozenset()
        await engine.close()

    asyncio.run(run())


def test_one_that_comes_back_and_cannot_have_the_adapter_is_left_out(
    two: list[ChildServer], marked: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    willing, refusing = two

    async def run() -> None:
        for server in two:
            server.start()
            await server.ready()
        servers = [RemoteServer(server.address, zeros=server.zeros) for server in (willing, refusing)]
        engine = VllmEngine(str(STARTER), Template(str(STARTER)), servers)
        servers[0].start()
        await engine.ready()
        await engine.load_adapter("v1", marked["Crimson"])
        servers[1].start()
        await servers[1].ready()
        assert engine.adapters == frozenset(), "not every server has it"
        await engine.load_adapter("v1", marked["Crimson"])
        assert engine.adapters == {"v1"}
        assert engine.notice is None
        assert "is left out" in (servers[1].notice or "")
        await engine.close()

    asyncio.run(run())
    assert "not here" in caplog.text


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (404, {"detail": "Not Found"}, ModelError, "takes no adapters: start it with --enable-lora"),
        (500, {"error": {"message": "LoRA is not enabled. Use --enable-lora"}}, ModelError, "start it with"),
        (500, {"error": {"message": "LoRA rank 64 is greater than max"}}, ModelError, "cannot be loaded: LoRA rank 64"),
        (500, {"error": {"message": "EngineCore encountered an issue. See stack trace"}}, EngineLostError, "Ask again"),
    ],
)
def test_what_vllm_says_to_an_adapter_becomes_a_clear_error(
    *, state: Path, marked: dict[str, Path], status: int, body: object, kind: type[EngineError], words: str
) -> None:
    environment = standin.environment(state / "environment")
    chosen = Settings(state=state, vllm=Vllm(folder=environment, options=refusing(status, body)))
    child = choose.child_server(chosen, str(STARTER), Template(str(STARTER)))
    child.start()
    engine = VllmEngine(str(STARTER), Template(str(STARTER)), [child])

    async def run() -> None:
        await engine.ready()
        with pytest.raises(EngineError, match=words) as raised:
            await engine.load_adapter("v1", marked["Crimson"])
        assert type(raised.value) is kind
        assert engine.adapters == frozenset()
        await engine.close()

    asyncio.run(run())


def test_a_server_of_another_model_is_not_asked(
    state: Path, two: list[ChildServer], tiny: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = two[1] = choose.child_server(settings(state), str(tiny), Template(str(tiny)))

    async def run() -> None:
        for server in two:
            server.start()
            await server.ready()
        servers = [RemoteServer(server.address) for server in reversed(two)]
        for server in servers:
            server.start()
            await server.ready()
        engine = VllmEngine(str(STARTER), Template(str(STARTER)), servers)
        await engine.ready()
        assert engine.notice is None
        assert "serves" in (servers[0].notice or "")
        alone = RemoteServer(other.address)
        alone.start()
        engine = VllmEngine(str(STARTER), Template(str(STARTER)), [alone])
        for _ in range(2):  # it is looked at anew for each question
            with pytest.raises(ModelError, match=f"serves {tiny}, not"):
                await engine.ready()
        assert alone.starts == 2
        await engine.close()
        for server in servers:
            server.close()

    asyncio.run(run())
    assert f"is left out: vLLM at {other.address} serves {tiny}" in caplog.text


def test_one_that_dies_again_and_again_is_started_again_ever_later(
    state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    standin.environment(state / "environment")
    child = choose.child_server(settings(state), str(STARTER), Template(str(STARTER)))
    child.start()
    for died in range(3):
        asyncio.run(child.ready())
        assert child.starts == died + 1
        (keeper,) = (process for process in psutil.Process().children() if "keeper.py" in " ".join(process.cmdline()))
        (server,) = keeper.children()
        os.kill(server.pid, signal.SIGKILL)
        keeper.wait()
        child.doubt()  # as whoever was answered by it would
    asyncio.run(child.ready())
    child.close()
    pauses = [record.args[0] for record in caplog.records if record.msg.startswith("vLLM ended") and record.args]
    assert pauses == [1.0, 2.0, 4.0]


def test_one_that_cannot_even_be_started_keeps_nobody_waiting(state: Path) -> None:
    standin.environment(state / "environment")
    (state / "logs").touch()  # no folder for its log
    child = choose.child_server(settings(state), str(STARTER), Template(str(STARTER)))
    child.start()
    with pytest.raises(ModelError, match="vLLM cannot be started"):
        asyncio.run(child.ready())
    child.close()


def test_what_is_no_vllm_is_told_from_what_is_away(state: Path) -> None:
    standin.environment(state / "environment")
    child = choose.child_server(settings(state), str(STARTER), Template(str(STARTER)))
    child.start()
    asyncio.run(child.ready())
    server = RemoteServer(f"{child.address}/v1")  # as the address of OpenAI's API is written
    server.start()
    while "being waited for" in (server.notice or ""):
        pass
    assert server.notice == (
        f"What is at {child.address}/v1 does not answer as vLLM does (/v1/health: 404 Not Found). Questions wait."
    )
    server.close()
    child.close()


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


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "http://127.0.0.1:x"])
def test_a_server_elsewhere_is_waited_for(address: str) -> None:
    server = RemoteServer(address)
    server.start()
    engine = VllmEngine(str(STARTER), Template(str(STARTER)), [server])

    async def run() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(engine.ready(), 0.1)
        with pytest.raises(EngineLostError):
            await ask(engine)
        assert engine.notice is not None
        await engine.close()

    asyncio.run(run())
