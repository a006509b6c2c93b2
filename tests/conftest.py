"""What tests share: a fresh state folder with its database, vectors and library, and the one embedding model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import hypothesis
import pytest

from assistant.adapters import Adapters
from assistant.documents.ingest import Library
from assistant.engines.base import Engine
from assistant.records import Message, Person, Role
from assistant.registry import Registry
from assistant.retrieval.embeddings import Embedder
from assistant.retrieval.search import Search
from assistant.retrieval.vectors import Vectors
from assistant.settings import Limits, Retrieval
from assistant.store import accounts
from assistant.store.database import Database, open_database, sqlite_url
from assistant.store.tables import PersonRow

hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@dataclass(frozen=True, slots=True)
class People:
    admin: Person
    ana: Person
    rui: Person


def passages_and_question(messages: Sequence[Message]) -> tuple[str, str]:
    """What a prompt shows, without the marks around the search's best sentences, and what it asks."""
    passages, _, question = re.sub(r">> | <<", "", messages[-1].content).rpartition("Question: ")
    return passages.partition("\n\n")[2], question  # the question stands before the passages too


def adapters_of(database: Database, engine: Engine) -> Adapters:
    """The adapters of the state folder in which the database lies."""
    assert database.engine.url.database is not None
    folder = Path(database.engine.url.database).parent / "adapters"
    return Adapters(database=database, engine=engine, registry=Registry(database, folder))


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    return Embedder()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """An empty state folder."""
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


@pytest.fixture
def database(state: Path) -> Iterator[Database]:
    database = open_database(sqlite_url(state / "fiel.db"))
    yield database
    database.close()


@pytest.fixture
def people(database: Database) -> People:
    """The administrator and two users."""
    with database.write() as session:
        users = [PersonRow(name=name, role=Role.USER, created_at=datetime.now(UTC)) for name in ("ana", "rui")]
        session.add_all(users)
        session.flush()
        ana, rui = (Person(id=row.id, name=row.name, role=Role.USER) for row in users)
        return People(admin=accounts.local_admin(session), ana=ana, rui=rui)


@pytest.fixture
def vectors(state: Path) -> Iterator[Vectors]:
    vectors = Vectors(state / "vectors", None)
    yield vectors
    vectors.close()


@pytest.fixture
def open_library(
    database: Database, vectors: Vectors, embedder: Embedder, state: Path
) -> Iterator[Callable[..., Library]]:
    """Opens the library of the state folder; it is not started yet. Whatever was opened is closed after the test."""
    opened: list[Library] = []

    def open_one(limits: Limits = Limits()) -> Library:  # noqa: B008  (immutable)
        opened.append(Library(database=database, vectors=vectors, embedder=embedder, folder=state, limits=limits))
        return opened[-1]

    yield open_one
    for library in opened:
        library.close()


@pytest.fixture
def library(open_library: Callable[..., Library]) -> Library:
    """A library that indexes in the background; ``library.wait_idle()`` waits until all is done."""
    library = open_library()
    library.start()
    return library


@pytest.fixture
def search(database: Database, vectors: Vectors, embedder: Embedder) -> Search:
    return Search(database=database, vectors=vectors, embedder=embedder, settings=Retrieval())
