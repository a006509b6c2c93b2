"""A language model that a service runs elsewhere, behind OpenAI's chat API: it reads every question with its passages.

An adapter is a model of its own there, made by fine-tuning the base; its folder holds a manifest with its name.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Literal

import httpx

from assistant.engines import http, plain
from assistant.engines.base import Delta, Sampling
from assistant.errors import ContextError, EngineError, EngineLostError, ModelError
from assistant.records import Message, Usage
from assistant.settings import Remote

_AT_ONCE = 8  # requests of one call at a time: services limit how many a minute
_BYTES = 3  # of text for a token, at least: what counts too many is safe
_FRAME = 8  # tokens around each message


class RemoteEngine:
    """A model behind OpenAI's chat API; fulfils ``assistant.engines.base.Engine``. Belongs to one event loop.

    Tokens are not counted but estimated, generously: their tokenizer is not here.
    """

    def __init__(self, settings: Remote) -> None:
        self._settings = settings
        self._models: dict[str, str] = {}
        self._http = http.client({"Authorization": f"Bearer {settings.key.get_secret_value()}"})

    @property
    def notice(self) -> str | None:
        return None

    async def ready(self) -> None:
        """Is so from the beginning; whether the service answers, a question shows."""

    @property
    def starts(self) -> int:
        return 1

    @property
    def model(self) -> str:
        return self._settings.model

    @property
    def follows_instructions(self) -> bool:
        return True

    @property
    def context_tokens(self) -> int:
        return self._settings.context

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(_FRAME + len(message.content.encode()) // _BYTES for message in messages)

    async def stream(
        self, messages: Sequence[Message], *, sampling: Sampling, adapter: str | None = None
    ) -> AsyncGenerator[Delta, None]:
        if adapter is not None and adapter not in self._models:
            raise ModelError(f"The adapter {adapter} is not loaded.")
        if (tokens := await self.count_tokens(messages)) + sampling.max_tokens > self.context_tokens:
            raise ContextError(
                f"Question and passages (about {tokens:,} tokens) and an answer of {sampling.max_tokens:,} do not fit "
                f"the model's {self.context_tokens:,}."
            )
        body = {
            "model": self._models[adapter] if adapter is not None else self.model,
            "messages": [asdict(message) for message in messages],
            "max_completion_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        try:
            async with self._http.stream("POST", f"{self._settings.url}/chat/completions", json=body) as response:
                if response.is_error:
                    await response.aread()
                    raise self._refused(response)
                async for delta in _deltas(response):
                    yield delta
        except httpx.TransportError as error:
            raise EngineLostError(f"{self._settings.url} cannot be reached: {error}") from error

    async def generate_many(
        self, prompts: Sequence[Sequence[Message]], *, sampling: Sampling, adapter: str | None = None
    ) -> list[str]:
        stream = partial(self.stream, sampling=sampling, adapter=adapter)
        return await http.whole_answers(prompts, stream, at_once=_AT_ONCE)

    @property
    def adapters(self) -> frozenset[str]:
        return frozenset(self._models)

    async def load_adapter(self, version: str, folder: Path) -> None:
        if version in self._models:
            raise ModelError(f"An adapter {version} is loaded already; versions never change.")
        manifest = await asyncio.to_thread(plain.read_json, folder / plain.MANIFEST)
        made = {**manifest, **manifest.get("training", {})}
        if made.get("base") != self.model or not made.get("remote"):
            raise ModelError(f"The adapter {version} was trained for {made.get('base')}, not for {self.model}.")
        self._models[version] = made["remote"]

    async def unload_adapter(self, version: str) -> None:
        if self._models.pop(version, None) is None:
            raise ModelError(f"The adapter {version} is not loaded.")

    async def metrics(self) -> str:
        return ""

    async def close(self) -> None:
        await self._http.aclose()

    def _refused(self, response: httpx.Response) -> EngineError:
        reason = http.reason(response)
        if response.status_code in {401, 403}:
            return ModelError(f"{self._settings.url} refuses the key (remote.key): {reason}")
        if response.status_code == 404:
            return ModelError(f"{self._settings.url} does not serve this model: {reason}")
        if response.status_code == 400 and "context" in reason:
            return ContextError(f"The question and its passages do not fit the model: {reason}")
        return EngineError(f"{self._settings.url} does not answer: {reason}")


async def _deltas(response: httpx.Response) -> AsyncGenerator[Delta, None]:
    """The usage comes after the finish and is handed out with it."""
    finish: Literal["stop", "length"] | None = None
    async for event in http.events(response):
        if "error" in event:
            raise EngineError(f"The language model failed: {event['error'].get('message', event['error'])}")
        for choice in event["choices"]:
            if choice.get("finish_reason"):
                finish = "length" if choice["finish_reason"] == "length" else "stop"
            if text := choice["delta"].get("content"):
                yield Delta(text)
        if usage := event.get("usage"):
            yield Delta("", finish, Usage(usage["prompt_tokens"], usage["completion_tokens"]))
            return
    if finish is None:
        raise EngineLostError("The answer broke off. Ask again.")
    yield Delta("", finish)  # some services tell no usage
