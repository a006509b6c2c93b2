"""An engine that is still being built: the page can be used meanwhile, and questions wait for it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Future
from contextlib import aclosing
from pathlib import Path

from assistant.engines.base import Delta, Engine, Sampling
from assistant.errors import EngineError, ModelError
from assistant.records import Message

_log = logging.getLogger(__name__)

LOADING = "The language model is being loaded. Questions wait for it."


class StartingEngine:
    """Builds an engine in a thread and then stands for it; fulfils ``assistant.engines.base.Engine``.

    What needs the engine raises EngineError until it is ready, and ModelError for good if it could not be built.
    """

    def __init__(self, build: Callable[[], Engine]) -> None:
        self._build = build
        self._built: Future[Engine] = Future()
        self._built.set_running_or_notify_cancel()  # or the first who gives up waiting would cancel it for all

    def start(self) -> None:
        """Begins to build; once."""
        # A daemon: a program that is stopped while gigabytes are being read does not wait for them.
        threading.Thread(target=self._run, name="engine", daemon=True).start()

    def _run(self) -> None:
        try:
            self._built.set_result(self._build())
        except ModelError as error:
            _log.error("%s", error)  # in full already: it is for the person
            self._built.set_exception(error)
        except Exception as error:  # noqa: BLE001  (whatever it is, those who wait must hear of it)
            _log.exception("the language model could not be loaded")
            self._built.set_exception(ModelError(f"The language model could not be loaded: {error}"))

    @property
    def _engine(self) -> Engine:
        if not self._built.done():
            raise EngineError(LOADING)
        return self._built.result()

    @property
    def notice(self) -> str | None:
        if not self._built.done():
            return LOADING
        error = self._built.exception()
        return str(error) if error is not None else self._engine.notice

    async def ready(self) -> None:
        await (await asyncio.wrap_future(self._built)).ready()

    @property
    def starts(self) -> int:
        return self._engine.starts

    @property
    def model(self) -> str:
        return self._engine.model

    @property
    def follows_instructions(self) -> bool:
        return self._engine.follows_instructions

    @property
    def context_tokens(self) -> int:
        return self._engine.context_tokens

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return await self._engine.count_tokens(messages)

    async def stream(
        self, messages: Sequence[Message], *, sampling: Sampling, adapter: str | None = None
    ) -> AsyncGenerator[Delta, None]:
        async with aclosing(self._engine.stream(messages, sampling=sampling, adapter=adapter)) as deltas:
            async for delta in deltas:
                yield delta

    async def generate_many(
        self, prompts: Sequence[Sequence[Message]], *, sampling: Sampling, adapter: str | None = None
    ) -> list[str]:
        return await self._engine.generate_many(prompts, sampling=sampling, adapter=adapter)

    @property
    def adapters(self) -> frozenset[str]:
        return self._engine.adapters

    async def load_adapter(self, version: str, folder: Path) -> None:
        await self._engine.load_adapter(version, folder)

    async def unload_adapter(self, version: str) -> None:
        await self._engine.unload_adapter(version)

    async def metrics(self) -> str:
        return await self._engine.metrics() if self.notice is None else ""

    async def close(self) -> None:
        if self._built.done() and self._built.exception() is None:
            await self._built.result().close()
