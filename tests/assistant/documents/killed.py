"""Run in a process of its own: replaces or deletes a document, and is killed on the way at the named point."""

import io
import logging
import os
import signal
from pathlib import Path

from assistant.documents.ingest import Library
from assistant.records import SHARED
from assistant.retrieval.embeddings import Embedder
from assistant.retrieval.vectors import Vectors
from assistant.settings import Limits
from assistant.store import accounts
from assistant.store.database import open_database, sqlite_url

OLD = "The harbour was dredged in 1923. Forty ships can moor there."
NEW = "The harbour was dredged in 1931. Fifty ships can moor there. The pier is made of oak."
OTHER = "The bakery opens at six in the morning. On Sundays it sells honey bread."


class KilledAt(logging.Handler):
    def __init__(self, point: str) -> None:
        super().__init__()
        self._point = point

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith(f"{self._point}: "):
            os.kill(os.getpid(), signal.SIGKILL)


def main(state: Path, action: str, point: str) -> None:
    database = open_database(sqlite_url(state / "fiel.db"))
    with database.write() as session:
        person = accounts.local_admin(session)
    vectors = Vectors(state / "vectors", None)
    library = Library(database=database, vectors=vectors, embedder=Embedder(), folder=state, limits=Limits())
    library.start()

    def add(name: str, text: str) -> int:
        return library.add(name, io.BytesIO(text.encode()), scope=SHARED, person=person, source=f"/notes/{name}").id

    first = add("harbour.txt", OLD)
    add("bakery.txt", OTHER)
    library.wait_idle()
    logger = logging.getLogger("assistant.documents")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(KilledAt(point))
    if action == "replace":
        add("harbour.txt", NEW)
    else:
        library.remove(first, person=person)
    library.wait_idle()
