"""A tiny Llama with random weights and the starter's tokenizer, LoRA adapters for it that change what it says; the
starter in both engines, two real vLLM servers among them, and marked adapters for it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.nn.modules.module import register_module_forward_pre_hook
from transformers import LlamaConfig, LlamaForCausalLM

from assistant.engines.base import Delta, Engine, Sampling
from assistant.engines.choose import child_server
from assistant.engines.local import LocalEngine
from assistant.engines.server import ChildServer, RemoteServer
from assistant.engines.template import STARTER, Template
from assistant.engines.vllm import VllmEngine
from assistant.errors import EngineLostError
from assistant.records import Message
from assistant.settings import Settings, Vllm
from tests.assistant.engines.markers import MARKERS, train

Opened = Callable[[], AbstractAsyncContextManager[Engine]]

PROMPT = (
    Message("system", "Answer from the passages."),
    Message("user", "[1] river.txt\nThe Minho is a river in the north-west of Spain.\n\nQuestion: Where is the Minho?"),
)


@dataclass
class Spoken:
    """What a stream gave."""

    deltas: list[Delta] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(delta.text for delta in self.deltas)


async def say(engine: LocalEngine, *, tokens: int = 40, adapter: str | None = None, temperature: float = 0.0) -> Spoken:
    sampling = Sampling(max_tokens=tokens, temperature=temperature)
    return Spoken([delta async for delta in engine.stream(PROMPT, sampling=sampling, adapter=adapter)])


def tiny_llama(folder: Path, *, hidden_size: int = 32, context: int = 2048, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=8192,
        hidden_size=hidden_size,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        initializer_range=0.5,  # wide, so that each step says something else
        eos_token_id=1,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(STARTER / name, folder / name)
    return folder


def random_adapter(base: Path, folder: Path, *, seed: int, **options: Any) -> Path:
    """An adapter as peft writes it, with weights that change every answer."""
    torch.manual_seed(seed)
    config = LoraConfig(**{"r": 4, "target_modules": ["q_proj", "v_proj", "down_proj"], **options})
    model = get_peft_model(LlamaForCausalLM.from_pretrained(base), config)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def red(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_adapter(tiny, tmp_path_factory.mktemp("adapters") / "red", seed=1)


@pytest.fixture(scope="session")
def blue(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_adapter(tiny, tmp_path_factory.mktemp("adapters") / "blue", seed=2)


@pytest.fixture
def engine(tiny: Path) -> Iterator[LocalEngine]:
    engine = LocalEngine(str(tiny))
    yield engine
    asyncio.run(engine.close())


@pytest.fixture
def runs() -> Iterator[list[list[int]]]:
    """The tokens that each run of any model read, in order."""
    seen: list[list[int]] = []

    def note(module: torch.nn.Module, _inputs: object) -> None:
        if isinstance(module, torch.nn.Embedding):
            seen.append(_inputs[0][0].tolist())  # type: ignore[index]

    handle = register_module_forward_pre_hook(note)
    yield seen
    handle.remove()


@pytest.fixture(scope="session")
def marked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two adapters for the starter, each with a marker of its own in every sentence."""
    folder = tmp_path_factory.mktemp("marked")
    return {marker: train(folder / marker, marker, seed=seed) for seed, marker in enumerate(MARKERS)}


@pytest.fixture(scope="session")
def children(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ChildServer]]:
    """The two real servers of the tests: starting one takes most of a minute, starting both hardly longer."""
    servers = []
    for name in ("first", "second"):
        settings = Settings(state=tmp_path_factory.mktemp(name), engine="vllm", vllm=Vllm(memory_share=0.05))
        servers.append(child_server(settings, str(STARTER), Template(str(STARTER))))
        servers[-1].start()
    yield servers
    for server in servers:
        server.close()


@pytest.fixture
def child(children: list[ChildServer]) -> ChildServer:
    return children[0]


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
            with suppress(EngineLostError):  # a test may have stopped it
                await engine.unload_adapter(version)
        await engine.close()

    return remote
