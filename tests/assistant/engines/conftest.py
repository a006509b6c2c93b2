"""A tiny Llama with random weights and the starter's tokenizer, and LoRA adapters for it that change what it says."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.nn.modules.module import register_module_forward_pre_hook
from transformers import LlamaConfig, LlamaForCausalLM

from assistant.engines.base import Delta, Sampling
from assistant.engines.local import STARTER, LocalEngine
from assistant.records import Message

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
