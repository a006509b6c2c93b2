"""Whether database, vectors and originals tell the same story."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from assistant.records import DocumentStatus
from assistant.retrieval.vectors import Vectors
from assistant.store import documents as store
from assistant.store.database import Database
from assistant.store.tables import ParagraphRow, SentenceRow
from tests.conftest import People


@pytest.fixture
def assert_consistent(state: Path, database: Database, vectors: Vectors, people: People) -> Callable[[], None]:
    """Asserts that exactly the ready documents have sentences, words and vectors, and exactly the listed ones files."""
    scopes = ["shared", *(person.scope for person in (people.admin, people.ana, people.rui))]

    def check() -> None:
        with database.read() as session:
            documents = store.listed(session, scopes=scopes)
            sentences = sorted((row[0], row[1]) for row in session.query(SentenceRow.document_id, SentenceRow.index))
            paragraphs = sorted(id for (id,) in session.query(ParagraphRow.id))
            words = sorted(id for (id,) in session.execute(text("SELECT rowid FROM paragraph_words")))
        ready = [document for document in documents if document.status is DocumentStatus.READY]
        assert sorted(path.name for path in (state / "originals").iterdir()) == sorted(d.file for d in documents)
        assert sentences == sorted((d.id, index) for d in ready for index in range(d.sentences))
        assert words == paragraphs
        for scope in scopes:
            expected = {f"{d.id}.{d.generation}:{i}" for d in ready if d.scope == scope for i in range(d.sentences)}
            assert vectors.ids(scope) == expected

    return check
