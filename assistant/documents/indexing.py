"""The thread that turns queued documents into findable ones and makes deleted ones disappear.

What survives a kill, wherever it comes: SQL is the truth. *indexing* is committed before the first vector is written,
*ready* after the last one and together with the sentences. So vectors without a ready document exist only while it is
indexing or deleting, and a start takes up both again. An indexing begins by dropping what an earlier one left; a
deletion removes vectors, contents, file and row, in this order. The points in between are logged by name.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from sqlalchemy.orm import Session

from assistant.documents.originals import Originals
from assistant.documents.parse import Limits, Parser
from assistant.documents.sentences import split
from assistant.errors import BusyError, DocumentError, FielError
from assistant.records import Document, DocumentStatus, Sentence
from assistant.retrieval.embeddings import Embedder
from assistant.retrieval.vectors import Vectors
from assistant.store import documents as store
from assistant.store.database import Database

_log = logging.getLogger(__name__)

_TOGETHER = 64
_TOGETHER_BYTES = 200_000
"""Small files are embedded and committed together, so that each costs no call and no transaction of its own."""
_SLICE = 256
"""Sentences between two looks at what else has happened: about a second's work."""
_PARSED = 0.05
"""Progress once the text is there; the rest is the embedded share of its characters."""
_PROGRESS_SECONDS = 1.0
_PAUSE_SECONDS = 10.0
"""How long to wait when the database itself failed."""
_UNEXPECTED = "Something went wrong while the file was being indexed; the log has the details. Try again."


@dataclass(frozen=True, slots=True)
class _Text:
    document: Document
    sentences: Sequence[Sentence]
    pages: int | None
    empty_pages: int


class _ClosingError(Exception):
    """The program ends: what is being indexed is left as it is, for the next start."""


class Indexer:
    """Owns what happens to a document between *queued* and *ready*, and from *deleting* on."""

    def __init__(
        self, *, database: Database, vectors: Vectors, embedder: Embedder, originals: Originals, limits: Limits
    ) -> None:
        self._database = database
        self._vectors = vectors
        self._embedder = embedder
        self._originals = originals
        self._limits = limits
        self._parser = Parser()
        self._thread = threading.Thread(target=self._run, name="indexer")
        self._changed = threading.Condition()
        self._wanted = True
        self._idle = False
        self._closing = False

    def start(self) -> None:
        """Takes up what a kill cut off and what another embedding model indexed, and goes on in the background."""
        self._thread.start()

    def close(self) -> None:
        """Stops within a second or two; an unfinished indexing begins anew at the next start."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._parser.close()  # ends the reading of a file
        if self._thread.ident is not None:
            self._thread.join()
        self._parser.close()  # and one that began meanwhile

    def wake(self) -> None:
        """There is something to do: to be called after committing *queued* or *deleting*."""
        with self._changed:
            self._wanted = True
            self._idle = False
            self._changed.notify_all()

    def wait_idle(self, timeout: float | None = None) -> bool:
        """Waits until nothing is left to do; False if ``timeout`` seconds pass before, or ``close`` is called."""
        with self._changed:
            self._changed.wait_for(lambda: self._idle or self._closing, timeout)
            return self._idle

    def wait_change(self, timeout: float) -> None:
        """Waits until something has happened to a document, or ``timeout`` seconds. Raises BusyError when closed."""
        with self._changed:
            if self._closing:
                raise BusyError("The program is ending; what is unfinished goes on at its next start.")
            self._changed.wait(timeout)

    def _run(self) -> None:
        while self._next_round():
            try:
                with self._database.write() as session:
                    store.requeue(session, embedding=self._embedder.name)
                self._finish_deletions()
                while not self._closing and (claimed := self._claim()):
                    self._index(claimed)
                    self._finish_deletions()
            except Exception:  # noqa: BLE001  a full disk, say: every document keeps its state and is taken up again
                _log.exception("indexing pauses for %g seconds", _PAUSE_SECONDS)
                with self._changed:
                    self._wanted = True
                    self._changed.wait_for(lambda: self._closing, _PAUSE_SECONDS)

    def _next_round(self) -> bool:
        """Waits until there is something to do; False when it is time to end."""
        with self._changed:
            self._idle = not self._wanted
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._wanted or self._closing)
            self._wanted = False
            return not self._closing

    def _claim(self) -> list[Document]:
        with self._database.write() as session:
            return store.claim(session, documents=_TOGETHER, size=_TOGETHER_BYTES)

    def _index(self, claimed: Sequence[Document]) -> None:
        """Makes the documents *ready* or *failed*; those deleted meanwhile are left to ``_finish_deletions``."""
        _reached("after_indexing", claimed)
        try:
            for document in claimed:
                if document.generation > 1:
                    self._vectors.delete_document(document.scope, document.id)
            texts = [text for document in claimed if (text := self._read(document))]
            self._embed(texts)
            self._commit(texts)
        except _ClosingError:
            _log.info("closing; begun anew at the next start: documents %s", _ids(claimed))
        except FielError as error:
            self._fail(claimed, str(error))
        except Exception:  # noqa: BLE001  whatever a vendor raises: these documents say so, the next get their turn
            _log.exception("could not index documents %s", _ids(claimed))
            self._fail(claimed, _UNEXPECTED)
        self._announce()

    def _read(self, document: Document) -> _Text | None:
        """The sentences of a document; None if it cannot be read, and then it has failed."""
        if self._closing:
            raise _ClosingError
        path = self._originals.path(document.file)
        try:
            if not path.exists():
                raise DocumentError("The file is gone from the program's own folder. Add it again.")
            parsed = self._parser.parse(path, name=document.name, limits=self._limits)
        except DocumentError as error:
            if self._closing:  # it was interrupted, so the file is not to blame
                raise _ClosingError from error
            self._fail([document], str(error))
            return None
        empty = sum(not parsed.text[page.start : page.end].strip() for page in parsed.pages)
        sentences = split(parsed.text, pages=parsed.pages)
        return _Text(document, sentences, pages=len(parsed.pages) or None, empty_pages=empty)

    def _embed(self, texts: Sequence[_Text]) -> None:
        """Writes the vectors of all sentences, short ones first: equal lengths in a batch waste no padding."""
        tasks = [(text.document, sentence) for text in texts for sentence in text.sentences]
        tasks.sort(key=lambda task: len(task[1].text))
        total, done = sum(len(sentence.text) for _, sentence in tasks), 0
        reported = self._report(texts, _PARSED)
        with ThreadPoolExecutor(1, "vectors") as writer:  # one slice is written while the next one is embedded
            writing: Future[None] | None = None
            for first in range(0, len(tasks), _SLICE):
                part = tasks[first : first + _SLICE]
                vectors = self._embedder.embed([sentence.text.strip() for _, sentence in part])
                ids = [f"{document.id}.{document.generation}:{sentence.index}" for document, sentence in part]
                if writing is not None:
                    writing.result()
                writing = writer.submit(self._vectors.upsert, part[0][0].scope, ids, vectors)
                done += sum(len(sentence.text) for _, sentence in part)
                if self._closing:
                    raise _ClosingError
                if time.monotonic() - reported > _PROGRESS_SECONDS:
                    writing.result()
                    reported = self._report(texts, _PARSED + (1 - _PARSED) * done / total)
                    if not self._still_indexing(texts):
                        return
                    self._finish_deletions(but=[text.document for text in texts])  # theirs come when no vector follows
            if writing is not None:
                writing.result()
        _reached("after_vectors", [text.document for text in texts])

    def _report(self, texts: Sequence[_Text], progress: float) -> float:
        """Commits the progress and returns the time."""
        with self._database.write() as session:
            store.set_progress(session, _ids([text.document for text in texts]), progress)
        self._announce()
        return time.monotonic()

    def _still_indexing(self, texts: Sequence[_Text]) -> list[_Text]:
        """Those that nobody has deleted meanwhile."""
        with self._database.read() as session:
            return _indexing(session, texts)

    def _commit(self, texts: Sequence[_Text]) -> None:
        """One transaction makes the documents ready and takes away what they replace; never one that was deleted."""
        with self._database.write() as session:
            for text in _indexing(session, texts):
                store.set_ready(
                    session,
                    text.document.id,
                    sentences=text.sentences,
                    pages=text.pages,
                    empty_pages=text.empty_pages,
                    embedding=self._embedder.name,
                )
                for replaced in store.older_versions(session, text.document):
                    store.set_status(session, replaced.id, DocumentStatus.DELETING)
        _reached("after_ready", [text.document for text in texts])

    def _fail(self, documents: Sequence[Document], reason: str) -> None:
        try:
            for document in documents:
                self._vectors.delete_document(document.scope, document.id)
        finally:
            with self._database.write() as session:
                for document in documents:
                    store.set_failed(session, document.id, reason)

    def _finish_deletions(self, *, but: Sequence[Document] = ()) -> None:
        with self._database.read() as session:
            deleted = store.with_status(session, DocumentStatus.DELETING)
        busy = set(_ids(but))
        for document in deleted:
            if document.id in busy:
                continue
            self._vectors.delete_document(document.scope, document.id)
            _reached("after_vectors_deleted", [document])
            with self._database.write() as session:
                store.drop_contents(session, document.id)
            _reached("after_contents_deleted", [document])
            self._originals.delete(document.file)
            _reached("after_file_deleted", [document])
            with self._database.write() as session:
                store.remove(session, document.id)
            self._announce()

    def _announce(self) -> None:
        with self._changed:
            self._changed.notify_all()


def _indexing(session: Session, texts: Sequence[_Text]) -> list[_Text]:
    indexing = {document.id for document in store.with_status(session, DocumentStatus.INDEXING)}
    return [text for text in texts if text.document.id in indexing]


def _ids(documents: Sequence[Document]) -> list[int]:
    return [document.id for document in documents]


def _reached(point: str, documents: Sequence[Document]) -> None:
    _log.debug("%s: documents %s", point, _ids(documents))
