"""The language model in this process: transformers on the CPU, or on a GPU where there is one.

One worker thread runs the model, one token of one request at a time, so that requests take turns and nothing that
changes the set of adapters ever meets a running model.
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from assistant.engines import lora
from assistant.engines.base import Delta, Sampling, model_name
from assistant.engines.generation import HALF, batches, generate, generate_batch
from assistant.engines.template import STARTER, Template, damaged, not_there, source_of
from assistant.errors import EngineError, ModelError
from assistant.records import Message

_AT_ONCE = 4  # requests that take turns; each holds its own keys and values in memory, more of them wait in line
_SMALL = 200_000_000  # parameters; below, threads wait for each other longer than they compute

_T = TypeVar("_T")


class LocalEngine:
    """A causal model by folder or hub name, with LoRA adapters; fulfils ``assistant.engines.base.Engine``.

    Belongs to one event loop. Building it reads the weights, which blocks: seconds for the bundled starter.

    Raises ModelError when the model is not there, is damaged, is not in safetensors, or has no chat template.
    """

    def __init__(self, model: str = str(STARTER)) -> None:
        self._source = source_of(model)
        self._base = _load(self._source)
        self._template = Template(model)
        self._model = model_name(model)
        self._ends = _end_tokens(self._base, self._template.tokenizer)
        self._adapted: dict[str, PreTrainedModel] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)
        threads = 1 if self._base.num_parameters() < _SMALL else torch.get_num_threads()
        self._worker = ThreadPoolExecutor(1, "model", initializer=torch.set_num_threads, initargs=(threads,))
        self._closed = False

    @property
    def notice(self) -> str | None:
        return None

    async def ready(self) -> None:
        """Is so from the beginning."""

    @property
    def starts(self) -> int:
        return 1

    @property
    def model(self) -> str:
        return self._model

    @property
    def follows_instructions(self) -> bool:
        return self._template.follows_instructions

    @property
    def context_tokens(self) -> int:
        config = self._base.config.get_text_config()
        return int(getattr(config, "max_position_embeddings", self._template.tokenizer.model_max_length))

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return len(await asyncio.to_thread(self._template.encoded, tuple(messages)))

    async def stream(
        self, messages: Sequence[Message], *, sampling: Sampling, adapter: str | None = None
    ) -> AsyncGenerator[Delta, None]:
        model = self._with_adapter(adapter)
        prompt = await self._prompt(messages, sampling)
        async with self._turns:
            steps = generate(model, prompt, sampling, ends=self._ends, decode=self._template.decoded)
            while (delta := await self._work(partial(next, steps, None))) is not None:
                if delta.text or delta.finish:
                    yield delta

    async def generate_many(
        self, prompts: Sequence[Sequence[Message]], *, sampling: Sampling, adapter: str | None = None
    ) -> list[str]:
        model = self._with_adapter(adapter)
        encoded = [await self._prompt(messages, sampling) for messages in prompts]
        texts = [""] * len(encoded)
        for places in batches(encoded, answer=sampling.max_tokens):
            steps = generate_batch(model, [encoded[place] for place in places], sampling, ends=self._ends)
            answers: list[list[int]] = []
            async with self._turns:
                while (step := await self._work(partial(next, steps, None))) is not None:
                    answers = step
            for place, answer in zip(places, answers, strict=True):
                texts[place] = self._template.decoded(answer).rstrip(HALF)
        return texts

    async def _prompt(self, messages: Sequence[Message], sampling: Sampling) -> list[int]:
        return await asyncio.to_thread(
            self._template.prompt, messages, answer=sampling.max_tokens, context=self.context_tokens
        )

    @property
    def adapters(self) -> frozenset[str]:
        return frozenset(self._adapted)

    async def load_adapter(self, version: str, folder: Path) -> None:
        await self._work(partial(self._load_adapter, version, folder))

    async def unload_adapter(self, version: str) -> None:
        # A stream that runs with it holds its modules until it has ended.
        if self._adapted.pop(version, None) is None:
            raise ModelError(f"The adapter {version} is not loaded.")

    async def metrics(self) -> str:
        return ""

    async def close(self) -> None:
        self._closed = True
        await asyncio.to_thread(self._worker.shutdown)
        self._adapted.clear()

    async def _work(self, job: Callable[[], _T]) -> _T:
        if self._closed:
            raise EngineError("The language model has been stopped.")
        return await asyncio.get_running_loop().run_in_executor(self._worker, job)

    def _load_adapter(self, version: str, folder: Path) -> None:
        if version in self._adapted:
            raise ModelError(f"An adapter {version} is loaded already; versions never change.")
        names = {self._model, self._source}
        self._adapted[version] = lora.adapted(self._base, folder, base_names=names)

    def _with_adapter(self, adapter: str | None) -> PreTrainedModel:
        if adapter is None:
            return self._base
        if adapter not in self._adapted:
            raise ModelError(f"The adapter {adapter} is not loaded.")
        return self._adapted[adapter]


def computation() -> str:
    """What else decides what a local engine says, beside the model: libraries, numbers and hardware.

    Greedy answers to one prompt may differ by any of them.
    """
    device, dtype = _placed()
    libraries = [f"{name} {metadata.version(name)}" for name in ("transformers", "peft")]
    hardware = torch.cuda.get_device_name() if device == "cuda" else platform.machine()
    return ", ".join([f"torch {torch.__version__}", *libraries, f"{dtype} on {hardware}"])


def _placed() -> tuple[str, torch.dtype]:
    return ("cuda", torch.bfloat16) if torch.cuda.is_available() else ("cpu", torch.float32)


def _load(source: str) -> PreTrainedModel:
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    device, dtype = _placed()
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source, use_safetensors=True, trust_remote_code=False, dtype=dtype, output_loading_info=True
        )
    except (OSError, SafetensorError) as error:
        raise not_there(source, error) from error
    except (ValueError, KeyError, RuntimeError, ImportError) as error:
        raise damaged(source, error) from error
    model, report = loaded
    if report["missing_keys"] or report["mismatched_keys"]:  # transformers would go on with random numbers there
        raise ModelError(f"The language model {source} is damaged: its weights are incomplete.")
    return cast(PreTrainedModel, model.to(device).eval().requires_grad_(False))


def _end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    ends = model.generation_config.eos_token_id if model.generation_config else None
    listed = ends if isinstance(ends, list) else [ends]
    return frozenset(end for end in [*listed, tokenizer.eos_token_id] if end is not None)
