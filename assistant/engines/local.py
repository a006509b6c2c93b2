"""The language model in this process: transformers on the CPU, or on a GPU where there is one.

One worker thread runs the model, one token of one request at a time, so that requests take turns and nothing that
changes the set of adapters ever meets a running model.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from jinja2 import TemplateError
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from assistant.engines import lora
from assistant.engines.base import Delta, Sampling, model_name
from assistant.engines.generation import generate
from assistant.errors import ContextError, EngineError, ModelError
from assistant.records import Message
from assistant.settings import ROOT

STARTER = ROOT / "data" / "models" / "starter"
"""The folder of the bundled model."""

_AT_ONCE = 4  # requests that take turns; each holds its own keys and values in memory, more of them wait in line
_SMALL = 200_000_000  # parameters; below, threads wait for each other longer than they compute

_T = TypeVar("_T")


class LocalEngine:
    """A causal model by folder or hub name, with LoRA adapters; fulfils ``assistant.engines.base.Engine``.

    Belongs to one event loop. Building it reads the weights, which blocks: seconds for the bundled starter.

    Raises ModelError when the model is not there, is damaged, is not in safetensors, or has no chat template.
    """

    def __init__(self, model: str = str(STARTER)) -> None:
        folder = Path(model).expanduser()
        self._source = str(folder.resolve()) if folder.is_dir() else model
        self._tokenizer, self._base = _load(self._source)
        self._model = model_name(model)
        self._specials = [str(token) for token in self._tokenizer.added_tokens_decoder.values() if token.special]
        self._ends = _end_tokens(self._base, self._tokenizer)
        self._system_role = self._takes_system_role()
        self._adapted: dict[str, PreTrainedModel] = {}
        # The same prompt is counted and then answered.
        self._encoded = lru_cache(maxsize=2 * _AT_ONCE)(self._encode)
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
        return self._source != str(STARTER.resolve())

    @property
    def context_tokens(self) -> int:
        config = self._base.config.get_text_config()
        return int(getattr(config, "max_position_embeddings", self._tokenizer.model_max_length))

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return len(await asyncio.to_thread(self._encoded, tuple(messages)))

    async def stream(
        self, messages: Sequence[Message], *, sampling: Sampling, adapter: str | None = None
    ) -> AsyncGenerator[Delta, None]:
        model = self._with_adapter(adapter)
        prompt = await asyncio.to_thread(self._encoded, tuple(messages))
        if len(prompt) + sampling.max_tokens > self.context_tokens:
            raise ContextError(
                f"Question and passages ({len(prompt):,} tokens) and an answer of {sampling.max_tokens:,} do not fit "
                f"the model's {self.context_tokens:,}."
            )
        async with self._turns:
            steps = generate(model, prompt, sampling, ends=self._ends, decode=self._decoded)
            while (delta := await self._work(partial(next, steps, None))) is not None:
                if delta.text or delta.finish:
                    yield delta

    @property
    def adapters(self) -> frozenset[str]:
        return frozenset(self._adapted)

    async def load_adapter(self, version: str, folder: Path) -> None:
        await self._work(partial(self._load_adapter, version, folder))

    async def unload_adapter(self, version: str) -> None:
        # A stream that runs with it holds its modules until it has ended.
        if self._adapted.pop(version, None) is None:
            raise ModelError(f"The adapter {version} is not loaded.")

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

    def _takes_system_role(self) -> bool:
        """Whether the chat template knows system messages; some refuse them."""
        try:
            self._render([{"role": "system", "content": "."}, {"role": "user", "content": "."}])
        except TemplateError:
            return False
        except ValueError as error:  # there is no template
            raise ModelError(f"The model {self._source} has no chat template: take one made for chat.") from error
        return True

    def _encode(self, messages: tuple[Message, ...]) -> list[int]:
        chat = [{"role": message.role, "content": self._plain(message.content)} for message in messages]
        if not self._system_role and len(chat) > 1 and chat[0]["role"] == "system":
            system = chat.pop(0)
            chat[0]["content"] = f"{system['content']}\n\n{chat[0]['content']}"
        try:
            return self._render(chat)
        except TemplateError as error:
            raise EngineError(f"The model's chat template refuses this conversation: {error}") from error

    def _render(self, chat: list[dict[str, str]]) -> list[int]:
        tokens = self._tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
        return cast(list[int], tokens)

    def _plain(self, content: str) -> str:
        """The text with the model's control tokens broken up: a document must not be able to end its own turn."""
        for special in self._specials:
            content = content.replace(special, f"{special[0]} {special[1:]}")
        return content

    def _decoded(self, tokens: list[int]) -> str:
        return cast(str, self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _load(source: str) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    device, dtype = ("cuda", torch.bfloat16) if torch.cuda.is_available() else ("cpu", torch.float32)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source, use_safetensors=True, trust_remote_code=False, dtype=dtype, output_loading_info=True
        )
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"The language model {source} cannot be loaded. It must be a folder, or a name on the Hugging Face hub "
            f"(the network is then needed once), with its weights as safetensors: {_first_line(error)}"
        ) from error
    except (ValueError, KeyError, RuntimeError, ImportError) as error:
        raise ModelError(
            f"The language model {source} is damaged or of an unknown kind: {_first_line(error)}"
        ) from error
    model, report = loaded
    if report["missing_keys"] or report["mismatched_keys"]:  # transformers would go on with random numbers there
        raise ModelError(f"The language model {source} is damaged: its weights are incomplete.")
    return tokenizer, cast(PreTrainedModel, model.to(device).eval().requires_grad_(False))


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]


def _end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    ends = model.generation_config.eos_token_id if model.generation_config else None
    listed = ends if isinstance(ends, list) else [ends]
    return frozenset(end for end in [*listed, tokenizer.eos_token_id] if end is not None)
