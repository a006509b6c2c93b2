"""A real server on a free port, over a real library; only the language model is a scripted one."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from assistant import api
from assistant.accounts import Accounts
from assistant.chat import Chat
from assistant.documents.ingest import Library, upload_scope
from assistant.engines.base import Delta, Sampling
from assistant.errors import EngineError
from assistant.feedback import Ratings
from assistant.forgetting import Forgetting
from assistant.records import Document, Message, Person, Usage
from assistant.refusals import Refusals
from assistant.retrieval.search import Search
from assistant.retrieval.vectors import Vectors
from assistant.services import Services
from assistant.settings import Limits, Settings
from assistant.store.database import Database
from tests.conftest import People, adapters_of, passages_and_question

TOKEN = "local-token"
LIGHTHOUSE = "The lighthouse of Cabo Raso was built in 1894. Its lamp burned olive oil. A keeper lived in it.\n"


class Parrot:
    """An engine that says the first sentence of the first passage; asked to, it breaks, or goes on for ever."""

    model = "parrot-1"
    starts = 1
    adapters: frozenset[str] = frozenset()
    notice = None
    follows_instructions = False
    context_tokens = 10_000

    def __init__(self) -> None:
        self.started = threading.Event()
        self.stopped = threading.Event()
        self.heard: list[Sequence[Message]] = []

    async def ready(self) -> None:
        pass

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(len(message.content.split()) for message in messages)

    async def stream(
        self, messages: Sequence[Message], *, sampling: Sampling, adapter: str | None = None
    ) -> AsyncGenerator[Delta, None]:
        self.heard.append(messages)
        passages, question = passages_and_question(messages)
        if "break" in question:
            yield Delta("Well")
            raise EngineError("The model stopped answering.")
        try:
            while "for ever" in question:
                yield Delta("and on ")
                self.started.set()
                await asyncio.sleep(0.001)
        finally:
            self.stopped.set()
        said = passages.split("\n")[1].split(". ")[0].split(" ")
        for word in said:
            yield Delta(word + " ")
        usage = Usage(prompt_tokens=await self.count_tokens(messages), completion_tokens=len(said) + 1)
        yield Delta("[1].", finish="stop", usage=usage)

    async def load_adapter(self, version: str, folder: Path) -> None:
        raise NotImplementedError

    async def unload_adapter(self, version: str) -> None:
        raise NotImplementedError

    async def metrics(self) -> str:
        return ""

    async def close(self) -> None:
        pass


@pytest.fixture
def engine() -> Parrot:
    return Parrot()


@pytest.fixture
def services(
    *,
    database: Database,
    library: Library,
    vectors: Vectors,
    search: Search,
    people: People,
    engine: Parrot,
    state: Path,
) -> Iterator[Services]:
    accounts = Accounts(database)
    settings = Settings(state=state, limits=Limits(file_mb=1))
    adapters = adapters_of(database, engine)
    forgetting = Forgetting(database=database, library=library, accounts=accounts, training=state / "training")
    yield Services(
        settings=settings,
        database=database,
        accounts=accounts,
        ratings=Ratings(database, settings.review),
        forgetting=forgetting,
        refusals=Refusals(database),
        library=library,
        vectors=vectors,
        search=search,
        engine=engine,
        adapters=adapters,
        chat=Chat(database=database, search=search, engine=engine, adapters=adapters, settings=settings),
        local_admin=people.admin,
    )
    forgetting.close()


@pytest.fixture
def app(services: Services) -> FastAPI:
    return api.create(services, local_token=TOKEN)


@pytest.fixture
def address(app: FastAPI) -> Iterator[str]:
    """The address of the running server. Routes added to ``app`` in a test are served too."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=5))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def http(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture
def add(library: Library, people: People, tmp_path: Path) -> Callable[..., Document]:
    """Adds a document and waits until it is ready."""

    def add_one(
        text: str | bytes = LIGHTHOUSE, *, name: str = "lighthouse.txt", person: Person | None = None
    ) -> Document:
        file = tmp_path / "upload"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        owner = person or people.admin
        document = library.add(name, file, scope=upload_scope(owner), person=owner)
        assert library.wait_idle(60)
        return library.document(document.id, person=owner)

    return add_one
