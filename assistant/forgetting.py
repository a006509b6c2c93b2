"""What people delete is gone: from the log, from the queue, from what others were shown, and from the bytes on disk."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from sqlalchemy.orm import Session

from assistant.accounts import Accounts
from assistant.documents.ingest import Library
from assistant.errors import FielError
from assistant.records import Person
from assistant.state import clear_run
from assistant.store import audit, exchanges, forget, runs
from assistant.store.database import Database

_log = logging.getLogger(__name__)

_AGAIN = 2.0  # seconds until the next try to clean


class Forgetting:
    """Deletes at once, and cleans the disk in the background. Thread-safe; call ``close`` at the end.

    ``training`` is the folder where runs work, each in one of its own.
    """

    def __init__(self, *, database: Database, library: Library, accounts: Accounts, training: Path) -> None:
        self._database = database
        self._library = library
        self._accounts = accounts
        self._training = training
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="forgetting")
        self._last: Future[None] | None = None
        self._closing = Event()

    def start(self) -> None:
        """Cleans up after deletions that a stop or a crash came too soon after."""
        self._clean()

    def close(self) -> None:
        """Cleaning that is not done is left to the next start."""
        self._closing.set()
        self._worker.shutdown(cancel_futures=True)

    def wait(self) -> None:
        """Until nothing is left on disk of what was deleted before."""
        if self._last is not None:
            self._last.result()

    def exchange(self, exchange_id: str, *, person: Person) -> None:
        """Raises NotFoundError if it is not the person's."""
        with self._deleting() as session:
            forget.exchange(session, exchange_id, person_id=person.id)
            audit.record(session, "exchange deleted", person_id=person.id, subject=exchange_id)

    def conversation(self, conversation_id: str, *, person: Person) -> None:
        """Raises NotFoundError if it is not the person's."""
        with self._deleting() as session:
            exchanges.delete_conversation(session, conversation_id, person_id=person.id)
            audit.record(session, "conversation deleted", person_id=person.id, subject=conversation_id)

    def document(self, document_id: int, *, person: Person) -> None:
        """Raises NotFoundError, or NotAllowedError if it is shared and the person is no admin."""
        self._library.remove(document_id, person=person)
        with self._deleting() as session:
            forget.document(session, document_id)
            audit.record(session, "document deleted", person_id=person.id, subject=document_id)

    def account(self, person: Person, *, password: str) -> None:
        """Deletes the account with all that is the person's. Raises NotAllowedError for a wrong password."""
        self._accounts.check_leaving(person, password)
        with self._database.read() as session:
            owned = forget.private_documents(session, person.scope)
        for document_id in owned:
            self.document(document_id, person=person)
        with self._deleting() as session:
            forget.person(session, person.id)
            audit.record(session, "account deleted", person_id=None, subject=person.id)

    @contextmanager
    def _deleting(self) -> Iterator[Session]:
        """A transaction that deletes; the disk is cleaned after it.

        A run whose process died ends with it: going on, it would learn from what is gone.
        """
        with self._database.write() as session:
            for run in runs.dead(session):
                runs.cancel(session, run.id)
            yield session
        self._clean()

    def _clean(self) -> None:
        self._last = self._worker.submit(self._cleaned)

    def _cleaned(self) -> None:
        try:
            self._clean_work()
            self._library.wait_idle()  # deleted documents go in the background, too
            while not self._database.scrub() and not self._closing.wait(_AGAIN):
                _log.info("somebody reads what was deleted; it is cleaned from the disk afterwards")
        except FielError:
            _log.exception("what was deleted could not be cleaned from the disk yet")

    def _clean_work(self) -> None:
        """Removes what runs collected that have ended; the others remove it themselves, at their end."""
        with self._database.read() as session:
            going_on = {str(run.id) for run in runs.unfinished(session)}
        for folder in self._training.glob("*/"):
            if folder.name not in going_on:
                clear_run(folder)
