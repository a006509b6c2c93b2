"""The language model in vLLM, over HTTP: on one server or on several that serve the same."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import httpx

from assistant.engines import http, plain
from assistant.engines.base import Delta, Sampling, model_name
from assistant.engines.server import LOADING, Server
from assistant.engines.template import Template
from assistant.errors import ContextError, EngineError, EngineLostError, ModelError
from assistant.records import Message, Usage

_log = logging.getLogger(__name__)

_NO_ADAPTERS = re.compile("^Not Found$|LoRA is not enabled")  # the route is missing, or the engine's part
_ENGINE_DEAD = "EngineCore encountered an issue"
_SCRAPE = 3  # seconds that vLLM's figures are waited for: Prometheus gives the program's own no more than ten
_AT_ONCE = 64  # requests of one call that vLLM is given at a time, for it to batch


class VllmEngine:
    """A model behind vLLM servers, with LoRA adapters; fulfils ``assistant.engines.base.Engine``.

    Prompts are rendered here and sent as tokens, so that both engines ask alike. A request goes to the server with the
    least to do among those that have its adapter, so a server that came back without it answers nothing stale. Belongs
    to one event loop; closes the servers.
    """

    def __init__(self, model: str, template: Template, servers: Sequence[Server]) -> None:
        self._model = model_name(model)
        self._template = template
        self._servers = servers
        self._known: set[str] = set()  # versions that are to be loaded, even while a server that lost them is away
        self._http = http.client()

    @property
    def notice(self) -> str | None:
        if self._up:
            return None
        notices = (server.notice or self._other_model(server) for server in self._servers)
        return next((notice for notice in notices if notice), None)

    async def ready(self) -> None:
        self._leave_out_other_models()
        while not self._up:
            waiting = [asyncio.ensure_future(server.ready()) for server in self._servers]
            try:
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                done.pop().result()
            finally:
                for each in waiting:
                    each.cancel()
            self._leave_out_other_models()

    def _leave_out_other_models(self) -> None:
        for server in self._servers:
            if server.notice is not None or (problem := self._other_model(server)) is None:
                continue
            if len(self._servers) == 1:
                server.doubt()  # it may be started anew with the right one
                raise ModelError(problem)
            _log.error("a vLLM server is left out: %s", problem)
            server.leave_out(problem)

    def _other_model(self, server: Server) -> str | None:
        """What is wrong with a server that was started with another model than is set here."""
        if Path(server.root).name == Path(self._template.source).name:
            return None
        return f"vLLM at {server.address} serves {server.root}, not {self._template.source}."

    @property
    def starts(self) -> int:
        return sum(server.starts for server in self._servers)

    @property
    def model(self) -> str:
        return self._model

    @property
    def follows_instructions(self) -> bool:
        return self._template.follows_instructions

    @property
    def context_tokens(self) -> int:
        return min(server.context for server in self._servers if server.starts)

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return len(await asyncio.to_thread(self._template.encoded, tuple(messages)))

    async def stream(
        self, messages: Sequence[Message], *, sampling: Sampling, adapter: str | None = None
    ) -> AsyncGenerator[Delta, None]:
        server = self._choose(adapter)
        server.running += 1  # at once, or all who ask in the same moment would choose this one
        try:
            body = {
                "model": adapter or server.served,
                "prompt": await self._prompt(messages, sampling, context=server.context),
                "max_tokens": sampling.max_tokens,
                "temperature": sampling.temperature,
                "stream": True,
                "stream_options": {"include_usage": True},
            }
            # Leaving this block closes the connection, at which vLLM stops.
            async with self._http.stream("POST", f"{server.address}/v1/completions", json=body) as response:
                if response.is_error:
                    await response.aread()
                    raise self._refused(server, response, adapter)
                async for delta in self._deltas(server, response):
                    yield delta
        except httpx.TransportError as error:
            raise _lost(server) from error
        finally:
            server.running -= 1

    async def generate_many(
        self, prompts: Sequence[Sequence[Message]], *, sampling: Sampling, adapter: str | None = None
    ) -> list[str]:
        for messages in prompts:
            await self._prompt(messages, sampling, context=self.context_tokens)
        stream = partial(self.stream, sampling=sampling, adapter=adapter)
        return await http.whole_answers(prompts, stream, at_once=_AT_ONCE)

    async def _prompt(self, messages: Sequence[Message], sampling: Sampling, *, context: int) -> list[int]:
        return await asyncio.to_thread(self._template.prompt, messages, answer=sampling.max_tokens, context=context)

    @property
    def adapters(self) -> frozenset[str]:
        """The versions that every server has which can be asked."""
        return frozenset.intersection(*map(frozenset, (s.adapters for s in self._up))) if self._up else frozenset()

    async def load_adapter(self, version: str, folder: Path) -> None:
        if version in self.adapters:
            raise ModelError(f"An adapter {version} is loaded already; versions never change.")
        folder = await asyncio.to_thread(folder.resolve)
        # vLLM itself takes an adapter of any base.
        await asyncio.to_thread(plain.checked, folder, base_names={self._model, self._template.source})
        self._known.add(version)
        answering = [server for server in self._up if version in server.adapters]
        for server in self._up:
            if version in server.adapters:
                continue
            try:
                await self._load(server, version, folder)
            except ModelError as error:
                if not answering:
                    await self._unload(version)
                    raise
                # It came back and cannot have what the others answer with: they go on without it.
                _log.error("the vLLM server at %s is left out: %s", server.address, error)
                server.leave_out(f"The language model at {server.address} is left out: {error}")

    async def unload_adapter(self, version: str) -> None:
        if version not in self._known:
            raise ModelError(f"The adapter {version} is not loaded.")
        await self._unload(version)

    async def close(self) -> None:
        await self._http.aclose()
        await asyncio.gather(*(asyncio.to_thread(server.close) for server in self._servers))

    async def metrics(self) -> str:
        """What the first server that can be asked tells Prometheus about itself; nothing where there is none."""
        for server in self._up:
            with suppress(httpx.HTTPError):
                answer = await self._http.get(f"{server.address}/metrics", timeout=_SCRAPE)
                return answer.raise_for_status().text
        return ""

    @property
    def _up(self) -> list[Server]:
        return [s for s in self._servers if s.notice is None and self._other_model(s) is None]

    def _choose(self, adapter: str | None) -> Server:
        able = [server for server in self._up if adapter is None or adapter in server.adapters]
        if able:
            return min(able, key=lambda server: server.running)
        if adapter is None or adapter in self._known:
            raise EngineLostError(self.notice or "The language model is being prepared. Ask again in a moment.")
        raise ModelError(f"The adapter {adapter} is not loaded.")

    async def _load(self, server: Server, version: str, folder: Path) -> None:
        response = await self._told(server, "load_lora_adapter", {"lora_name": version, "lora_path": str(folder)})
        if response.is_error and not await self._has(server, version, folder):
            reason = http.reason(response)
            if _NO_ADAPTERS.search(reason):
                raise ModelError(
                    f"vLLM at {server.address} takes no adapters: start it with --enable-lora and "
                    "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True."
                )
            if _ENGINE_DEAD in reason:  # says nothing about the adapter
                raise _lost(server)
            raise ModelError(f"The adapter {version} cannot be loaded: {reason}")
        server.adapters.add(version)

    async def _has(self, server: Server, version: str, folder: Path) -> bool:
        """Whether a server that we do not start has it from an earlier time."""
        try:
            listed = await self._http.get(f"{server.address}/v1/models")
        except httpx.TransportError as error:
            raise _lost(server) from error
        models = listed.json()["data"] if listed.is_success else []
        return any(model["id"] == version and model["root"] == str(folder) for model in models)

    async def _unload(self, version: str) -> None:
        self._known.discard(version)
        for server in self._up:
            if version in server.adapters:
                server.adapters.discard(version)
                await self._told(server, "unload_lora_adapter", {"lora_name": version})

    async def _told(self, server: Server, what: str, body: dict[str, str]) -> httpx.Response:
        try:
            return await self._http.post(f"{server.address}/v1/{what}", json=body, timeout=LOADING)
        except httpx.TransportError as error:
            raise _lost(server) from error

    async def _deltas(self, server: Server, response: httpx.Response) -> AsyncIterator[Delta]:
        """Server-sent events as Deltas; the usage comes after the finish and is handed out with it."""
        finish = None
        async for event in http.events(response):
            if "error" in event:  # the engine behind the server has died
                raise _lost(server)
            for choice in event["choices"]:
                finish = choice["finish_reason"] or finish
                if choice["text"]:
                    yield Delta(choice["text"])
            if usage := event.get("usage"):
                yield Delta("", finish, Usage(usage["prompt_tokens"], usage["completion_tokens"]))
                return
        raise _lost(server)

    def _refused(self, server: Server, response: httpx.Response, adapter: str | None) -> EngineError:
        if response.status_code == 404:
            # It was started again without our noticing, and has forgotten its adapters, the one of zeros too.
            known = adapter is None or adapter in self._known
            return _lost(server) if known else ModelError(f"The adapter {adapter} is not loaded.")
        if response.status_code >= 500:
            return _lost(server)
        reason = http.reason(response)
        if "context length" in reason:
            return ContextError(f"The question and its passages do not fit the model: {reason}")
        return EngineError(f"The language model refused the question: {reason}")


def _lost(server: Server) -> EngineLostError:
    server.doubt()
    return EngineLostError("The language model stopped in the middle of this. Ask again: it is being started again.")
