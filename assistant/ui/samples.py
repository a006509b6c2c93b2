"""The sample documents that come with the program, and questions about them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from assistant.documents.ingest import Library, upload_scope
from assistant.errors import NotFoundError
from assistant.records import Document, DocumentStatus, Person
from assistant.settings import ROOT
from assistant.ui import words

_FOLDER = ROOT / "data" / "samples"
_QUESTIONS = _FOLDER / "questions.json"


@cache
def questions() -> tuple[str, ...]:
    """A few of the questions, in both languages; none if the samples are not installed."""
    if not _QUESTIONS.exists():
        return ()
    by_language = json.loads(_QUESTIONS.read_text(encoding="utf-8"))
    return tuple(item["question"] for item in [*by_language["en"], *by_language["pt"][:2]])


def question(index: int) -> str:
    """Raises NotFoundError if there is no question of that number."""
    if not 0 <= index < len(questions()):
        raise NotFoundError(words.SAMPLES_MISSING)
    return questions()[index]


def are_among(documents: list[Document]) -> bool:
    paths = set(map(str, _files()))
    return any(document.source in paths for document in documents)


def add(library: Library, *, person: Person) -> frozenset[int]:
    """Adds what is missing of them; the ids of all of them."""
    scope = upload_scope(person)
    added = [library.add(file.name, file, scope=scope, person=person, source=str(file)) for file in _files()]
    return frozenset(document.id for document in added)


def progress(library: Library, ids: frozenset[int], person: Person) -> float:
    """The share that has been read, by bytes, in [0, 1]; 1 once none of them is waited for."""
    documents = [document for document in library.documents(person) if document.id in ids]
    busy = (DocumentStatus.QUEUED, DocumentStatus.INDEXING)
    left = sum(document.size * (1 - document.progress) for document in documents if document.status in busy)
    return 1 - left / sum(document.size for document in documents) if left else 1.0


def _files() -> list[Path]:
    return sorted(file for file in _FOLDER.iterdir() if file != _QUESTIONS) if _QUESTIONS.exists() else []
