"""The library: people add files, which are copied, queued, indexed in the background, searched and deleted.

The story of one file: its original is copied into the state folder under a random key, a row is committed as *queued*,
the indexer makes it *indexing* and then *ready* or *failed*, and a deletion makes it *deleting* until nothing of it is
left. ``indexing`` tells why a kill at any point does no harm.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from sqlalchemy.orm import Session

from assistant.documents.folders import is_gone, listed
from assistant.documents.indexing import Indexer
from assistant.documents.originals import Original, Originals, content_hash
from assistant.documents.parse import Limits
from assistant.errors import InputError, NotAllowedError
from assistant.records import SHARED, Document, DocumentStatus, Person, Role, Sentence
from assistant.retrieval.embeddings import Embedder
from assistant.retrieval.vectors import Vectors
from assistant.settings import Limits as LimitSettings
from assistant.store import documents as store
from assistant.store.database import Database

_log = logging.getLogger(__name__)

_NAME_CHARACTERS = 255
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")
_LOOK_SECONDS = 0.5


def upload_scope(person: Person) -> str:
    """Where a person's documents go: an admin's are for everybody, anybody else's for themselves alone."""
    return SHARED if person.role is Role.ADMIN else person.scope


@dataclass(slots=True)
class Summary:
    """What ``Library.sync`` found: counts of files, and (name, reason) of all those that could not be read."""

    new: int = 0
    changed: int = 0
    gone: int = 0
    unchanged: int = 0
    skipped: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)


class Library:
    """Everybody's documents. Thread-safe; one per state folder. Call ``start`` once, and ``close`` at the end."""

    def __init__(
        self, *, database: Database, vectors: Vectors, embedder: Embedder, folder: Path, limits: LimitSettings
    ) -> None:
        """``folder`` is the state folder; the originals get a folder of their own in it."""
        self._database = database
        self._originals = Originals(folder / "originals")
        self._limits = Limits(
            seconds=limits.parse_seconds,
            memory=limits.parse_memory_mb * 1024**2,
            file=limits.file_mb * 1024**2,
            unpacked=limits.unpacked_mb * 1024**2,
            pages=limits.pages,
        )
        self._indexer = Indexer(
            database=database, vectors=vectors, embedder=embedder, originals=self._originals, limits=self._limits
        )

    def start(self) -> None:
        """Takes up what a kill cut off, then indexes in the background. To be called before anything is added."""
        with self._database.read() as session:
            known = store.files(session)
        self._originals.sweep(known)
        self._indexer.start()

    def close(self) -> None:
        """Stops within a second or two. What is unfinished goes on at the next start."""
        self._indexer.close()

    def wait_idle(self, timeout: float | None = None) -> bool:
        """Waits until every document is ready, failed or gone; False if ``timeout`` seconds pass before."""
        return self._indexer.wait_idle(timeout)

    def add(
        self, name: str, content: BinaryIO | Path, *, scope: str, person: Person, source: str | None = None
    ) -> Document:
        """Copies a file and queues it; it replaces an earlier version from the same ``source`` once it is ready.

        Returns the document that has this content in ``scope`` already, if there is one. Raises InputError if it is
        empty, too large or not to be opened, NotAllowedError if ``scope`` is not the person's to add to.
        """
        _check_change(scope, person)
        original = self._store(content)
        _log.debug("after_original: %s", original.key)
        try:
            with self._database.write() as session:
                document = store.find_same(session, scope=scope, content_hash=original.content_hash)
                if document is None:
                    versions = store.from_source(session, scope=scope, source=source) if source else []
                    document = store.add(
                        session,
                        scope=scope,
                        added_by=person.id,
                        lineage=versions[0].lineage if versions else uuid.uuid4().hex,
                        name=_clean(name),
                        file=original.key,
                        source=source,
                        content_hash=original.content_hash,
                        size=original.size,
                    )
        except BaseException:
            self._originals.delete(original.key)
            raise
        if document.file != original.key:
            self._originals.delete(original.key)
        _log.debug("after_queued: document %d", document.id)
        self._indexer.wake()
        return document

    def remove(self, document_id: int, *, person: Person) -> None:
        """Nobody finds it from now on; what is left of it disappears in the background.

        Raises NotFoundError, or NotAllowedError if it is shared and the person is no admin.
        """
        with self._changing(document_id, person) as (session, document):
            store.set_status(session, document.id, DocumentStatus.DELETING)
        _log.debug("after_deleting: document %d", document_id)
        self._indexer.wake()

    def retry(self, document_id: int, *, person: Person) -> None:
        """Queues a failed document again. Raises NotFoundError, NotAllowedError, or InputError if it has not failed."""
        with self._changing(document_id, person) as (session, document):
            if document.status is not DocumentStatus.FAILED:
                raise InputError("Only a document that has failed can be tried again.")
            store.set_status(session, document.id, DocumentStatus.QUEUED)
        self._indexer.wake()

    def documents(self, person: Person) -> list[Document]:
        """What the person may see, by name."""
        with self._database.read() as session:
            return store.listed(session, scopes=_visible(person))

    def document(self, document_id: int, *, person: Person) -> Document:
        """Raises NotFoundError if there is none that the person may see."""
        with self._database.read() as session:
            return store.get(session, document_id, scopes=_visible(person))

    def original(self, document_id: int, *, person: Person) -> tuple[Document, Path]:
        """The file as it was added. Raises NotFoundError if there is none that the person may see."""
        document = self.document(document_id, person=person)
        return document, self._originals.path(document.file)

    def text(self, document_id: int, *, person: Person) -> tuple[Document, list[Sentence]]:
        """The sentences in order; none unless it is ready. Raises NotFoundError if the person may see no such one."""
        with self._database.read() as session:
            document = store.get(session, document_id, scopes=_visible(person))
            return document, list(store.sentences(session, document_id))

    def sync(
        self, path: Path, *, scope: str, person: Person, on_progress: Callable[[float], None] | None = None
    ) -> Summary:
        """Brings in what is new or changed in a folder (or one file), removes what is gone, and waits for all of it.

        ``on_progress`` gets the share done, by bytes, in [0, 1]. Raises InputError if ``path`` does not exist and
        NotAllowedError if ``scope`` is not the person's to change; BusyError if the program ends meanwhile.
        """
        _check_change(scope, person)
        root = path.resolve()
        if not root.exists():
            raise InputError(f"There is no file or folder {path}.")
        listing = listed(root)
        summary = Summary(skipped=listing.skipped, failed=listing.failed)
        taken: dict[int, str] = {}
        for name, file in listing.files.items():
            try:
                taken[self._take(file, name, scope=scope, person=person, summary=summary)] = name
            except InputError as error:
                summary.failed.append((name, str(error)))
        self._remove_gone(str(root), scope=scope, summary=summary)
        for document in self._wait_for(taken, on_progress):
            summary.failed.append((taken[document.id], document.reason or ""))
        return summary

    def _take(self, file: Path, name: str, *, scope: str, person: Person, summary: Summary) -> int:
        """Adds a file of a folder unless it is here already, counts what it was, and returns its document's id."""
        source = str(file)
        with _opening():
            digest = content_hash(file)
        with self._database.write() as session:
            versions = store.from_source(session, scope=scope, source=source)
            same = store.find_same(session, scope=scope, content_hash=digest)
            if same is not None:
                if same.source is not None and same.source != source and is_gone(same.source):  # it was moved
                    store.set_source(session, same.id, source=source, name=name)
                for version in versions:  # the file got the content of another document, or its older content back
                    if version.id != same.id and (same.status is DocumentStatus.READY or version.id > same.id):
                        store.set_status(session, version.id, DocumentStatus.DELETING)
        self._indexer.wake()
        if same is not None:
            summary.unchanged += 1
            return same.id
        document = self.add(name, file, scope=scope, person=person, source=source)
        summary.changed += bool(versions)
        summary.new += not versions
        return document.id

    def _remove_gone(self, folder: str, *, scope: str, summary: Summary) -> None:
        with self._database.write() as session:
            gone = [d for d in store.from_folder(session, scope=scope, folder=folder) if is_gone(str(d.source))]
            for document in gone:
                store.set_status(session, document.id, DocumentStatus.DELETING)
        summary.gone = len({document.source for document in gone})
        self._indexer.wake()

    def _wait_for(self, ids: Collection[int], on_progress: Callable[[float], None] | None) -> list[Document]:
        """Waits until none of them is queued or being indexed, and returns those that have failed."""
        total = 0.0
        while True:
            with self._database.read() as session:
                busy = store.with_status(session, DocumentStatus.QUEUED, DocumentStatus.INDEXING)
            waiting = [document for document in busy if document.id in ids]
            left = sum(document.size * (1 - document.progress) for document in waiting)
            total = total or left
            if on_progress is not None:
                on_progress(1 - left / total if total else 1.0)
            if not waiting:
                break
            self._indexer.wait_change(_LOOK_SECONDS)
        with self._database.read() as session:
            failed = store.with_status(session, DocumentStatus.FAILED)
        return [document for document in failed if document.id in ids]

    def _store(self, content: BinaryIO | Path) -> Original:
        if not isinstance(content, Path):
            return self._originals.store(content, limit=self._limits.file)
        with _opening(), content.open("rb") as file:
            return self._originals.store(file, limit=self._limits.file)

    @contextmanager
    def _changing(self, document_id: int, person: Person) -> Iterator[tuple[Session, Document]]:
        with self._database.write() as session:
            document = store.get(session, document_id, scopes=_visible(person))
            _check_change(document.scope, person)
            yield session, document


def _visible(person: Person) -> tuple[str, str]:
    return SHARED, person.scope


def _check_change(scope: str, person: Person) -> None:
    if scope != person.scope and not (scope == SHARED and person.role is Role.ADMIN):
        raise NotAllowedError("Only an administrator can change the documents that everybody shares.")


def _clean(name: str) -> str:
    """A name to show: no control characters, none that turn the direction of writing, of bounded length."""
    return _CONTROLS.sub(" ", name).strip()[-_NAME_CHARACTERS:] or "unnamed"


@contextmanager
def _opening() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"The file cannot be read: {error.strerror}.") from error
