"""The program as the tests of the page run it, in a process of its own: all parts are real but the language model.

Prints its address, token, routes and events as one line of JSON. Then, for each line of its input: *go* lets the model
go on where it waits, *hold* makes it wait again, *load* lets it be loaded until *go*, *closed* prints *closed* once the
model has stopped.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
import threading
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.routing import Mount

from assistant import api
from assistant.engines.base import Delta, Sampling
from assistant.engines.starting import LOADING
from assistant.errors import EngineError
from assistant.records import Message, Usage
from assistant.settings import Limits, Settings
from assistant.ui.app import mount
from launch import build
from tests.conftest import passages_and_question

TOKEN = "token-of-the-tests"
_WORD = re.compile(r"\w+")


class Quoter:
    """An engine that says the sentence of the passages that shares most words with the question, and cites it.

    Where the question says *slowly*, it waits for ``go_on`` after the first word; where it says *for ever*, it never
    comes to an end; where it says *break*, it breaks.
    """

    model = "quoter-1"
    starts = 1
    adapters: frozenset[str] = frozenset()
    notice: str | None = None
    follows_instructions = False
    context_tokens = 10_000

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.closed = threading.Event()

    async def ready(self) -> None:
        while self.notice:  # noqa: ASYNC110  (until *go*, which a thread reads)
            await asyncio.sleep(0.001)

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(len(message.content.split()) for message in messages)

    async def stream(
        self, messages: Sequence[Message], *, sampling: Sampling, adapter: str | None = None
    ) -> AsyncGenerator[Delta, None]:
        passages, question = passages_and_question(messages)
        words = re.findall(r"\S+\s*", _best_sentence(passages, question))
        self.closed.clear()
        try:
            for position, word in enumerate(words):
                yield Delta(word)
                while "slowly" in question and position == 0 and not self.go_on.is_set():  # noqa: ASYNC110  (a thread's)
                    await asyncio.sleep(0.001)
                while "for ever" in question:
                    yield Delta("and on ")
                    await asyncio.sleep(0.01)
                if "break" in question:
                    raise EngineError("The model stopped answering. Ask again in a moment.")
            yield Delta(finish="stop", usage=Usage(prompt_tokens=1, completion_tokens=len(words)))
        finally:
            self.closed.set()

    async def load_adapter(self, version: str, folder: Path) -> None:
        raise NotImplementedError

    async def unload_adapter(self, version: str) -> None:
        raise NotImplementedError

    async def metrics(self) -> str:
        return ""

    async def close(self) -> None:
        pass


def _best_sentence(passages: str, question: str) -> str:
    wanted = set(_WORD.findall(question.casefold()))
    said = []
    for block in re.split(r"\n\n(?=\[\d+\] )", passages.strip()):
        heading, _, text = block.partition("\n")
        mark = heading.split("]")[0] + "]"
        for sentence in re.split(r"(?<=[.!?])\s+", text.strip()):
            shared = len(wanted & set(_WORD.findall(sentence.casefold())))
            said.append((shared, f"{sentence.rstrip('.')} {mark}."))
    return max(said, key=lambda pair: pair[0])[1]


def serve(state: Path) -> None:
    with ExitStack() as stack:
        engine = Quoter()
        services = build(Settings(state=state, limits=Limits(file_mb=1)), engine, stack)
        app = mount(api.create(services, local_token=TOKEN), services)
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=5))
        threading.Thread(target=_listen, args=(engine, server)).start()
        said = {"address": f"http://127.0.0.1:{listener.getsockname()[1]}", "token": TOKEN, **_listed(app)}
        print(json.dumps(said), flush=True)
        server.run([listener])


def _listed(app: FastAPI) -> dict[str, list[str]]:
    """Every route of the application and its mounts as ``METHOD /path``, and every event of the chat page."""
    routes, events = set[str](), set[str]()

    def walk(found: Iterable[Any], prefix: str) -> None:
        for route in found:
            if hasattr(route, "original_router"):
                walk(route.original_router.routes, prefix)
            elif isinstance(route, Mount):
                for inner in getattr(route.app, "_in_language", {"": route.app}).values():
                    walk(getattr(inner, "routes", ()), prefix + route.path)
                    if hasattr(inner, "get_blocks"):
                        events.update(str(fn.name) for fn in inner.get_blocks().fns.values() if fn.fn)
                routes.add(f"MOUNT {prefix}{route.path}/")
            else:
                routes.update(f"{m} {prefix}{route.path}" for m in getattr(route, "methods", None) or {"ANY"})

    walk(app.routes, "")
    return {"routes": sorted(routes), "events": sorted(events)}


def _listen(engine: Quoter, server: uvicorn.Server) -> None:
    for line in sys.stdin:
        if line.strip() == "go":
            engine.notice = None
            engine.go_on.set()
        elif line.strip() == "load":
            engine.notice = LOADING
        elif line.strip() == "hold":
            engine.go_on.clear()
        elif line.strip() == "closed":
            engine.closed.wait()
            print("closed", flush=True)
    server.should_exit = True


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
