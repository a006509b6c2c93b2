"""Rows of documents, their sentences and their words.

The order of commits is what survives a kill (see ``assistant/documents/ingest.py``): a document is *queued*, then
*indexing*, then *ready* together with its sentences and words in one transaction; deletion first commits *deleting*.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.orm import Session

from assistant.errors import NotFoundError
from assistant.records import Document, DocumentStatus, Sentence
from assistant.store.tables import DocumentRow, ParagraphRow, SentenceRow


def add(
    session: Session,
    *,
    scope: str,
    added_by: int,
    lineage: str,
    name: str,
    file: str,
    source: str | None,
    content_hash: str,
    size: int,
) -> Document:
    """A new row, *queued*. The caller has made sure that ``find_same`` finds nothing."""
    now = datetime.now(UTC)
    row = DocumentRow(
        scope=scope,
        added_by=added_by,
        lineage=lineage,
        name=name,
        file=file,
        source=source,
        content_hash=content_hash,
        size=size,
        status=DocumentStatus.QUEUED,
        created_at=now,
        updated_at=now,
    )
    session.add(row)
    session.flush()
    return _document(row)


def get(session: Session, document_id: int, *, scopes: Sequence[str]) -> Document:
    """Raises NotFoundError when there is none, when it lies outside ``scopes``, or when it is being deleted."""
    row = session.get(DocumentRow, document_id)
    if row is None or row.scope not in scopes or row.status == DocumentStatus.DELETING:
        raise NotFoundError("There is no such document.")
    return _document(row)


def find_same(session: Session, *, scope: str, content_hash: str) -> Document | None:
    """The document of this owner with the same content, if any, whatever its name."""
    row = session.scalar(
        select(DocumentRow).where(
            DocumentRow.scope == scope, DocumentRow.content_hash == content_hash, DocumentRow.retired == 0
        )
    )
    return _document(row) if row else None


def listed(session: Session, *, scopes: Sequence[str]) -> list[Document]:
    """All documents of these scopes by name, those being deleted left out."""
    rows = session.scalars(
        select(DocumentRow)
        .where(DocumentRow.scope.in_(scopes), DocumentRow.status != DocumentStatus.DELETING)
        .order_by(func.lower(DocumentRow.name), DocumentRow.id)
    )
    return [_document(row) for row in rows]


def with_status(session: Session, *statuses: DocumentStatus) -> list[Document]:
    """All documents in one of these states, oldest first, whoever owns them."""
    rows = session.scalars(select(DocumentRow).where(DocumentRow.status.in_(statuses)).order_by(DocumentRow.id))
    return [_document(row) for row in rows]


def set_status(
    session: Session, document_id: int, status: DocumentStatus, *, progress: float = 0.0, reason: str | None = None
) -> None:
    retired = document_id if status is DocumentStatus.DELETING else 0
    _change(session, document_id, status=status, progress=progress, reason=reason, retired=retired)


def set_progress(session: Session, document_id: int, progress: float) -> None:
    _change(session, document_id, progress=progress)


def next_generation(session: Session, document_id: int) -> int:
    """Counts the generation up and returns it: vectors of an earlier, perhaps unfinished indexing are told apart."""
    row = session.get_one(DocumentRow, document_id)
    row.generation += 1
    session.flush()
    return row.generation


def set_ready(
    session: Session, document_id: int, *, sentences: Sequence[Sentence], pages: int | None, embedding: str
) -> None:
    """Stores the sentences and their words and makes the document findable: all of it or, on a rollback, none."""
    drop_contents(session, document_id)
    session.execute(insert(SentenceRow), [_sentence_values(document_id, s) for s in sentences])
    for _, group in groupby(sentences, key=attrgetter("paragraph")):
        _add_paragraph(session, document_id, list(group))
    _change(
        session,
        document_id,
        status=DocumentStatus.READY,
        progress=1.0,
        reason=None,
        pages=pages,
        sentences=len(sentences),
        embedding=embedding,
    )


def drop_contents(session: Session, document_id: int) -> None:
    """Removes the sentences and words of a document; its row stays."""
    ids = select(ParagraphRow.id).where(ParagraphRow.document_id == document_id)
    session.execute(
        text("DELETE FROM paragraph_words WHERE rowid IN (SELECT id FROM paragraphs WHERE document_id = :id)"),
        {"id": document_id},
    )
    session.execute(delete(ParagraphRow).where(ParagraphRow.id.in_(ids)))
    session.execute(delete(SentenceRow).where(SentenceRow.document_id == document_id))


def remove(session: Session, document_id: int) -> None:
    """The last step of a deletion: the row itself with whatever still hangs on it."""
    drop_contents(session, document_id)
    session.execute(delete(DocumentRow).where(DocumentRow.id == document_id))


def sentences(session: Session, document_id: int) -> Iterator[Sentence]:
    """All sentences of a document in order."""
    rows = session.scalars(
        select(SentenceRow).where(SentenceRow.document_id == document_id).order_by(SentenceRow.index)
    )
    return map(_sentence, rows)


def sentences_between(session: Session, document_id: int, first: int, last: int) -> list[Sentence]:
    """The sentences with ``first <= index <= last`` in order; fewer at the ends of the document."""
    rows = session.scalars(
        select(SentenceRow)
        .where(SentenceRow.document_id == document_id, SentenceRow.index.between(first, last))
        .order_by(SentenceRow.index)
    )
    return [_sentence(row) for row in rows]


def ready(session: Session, ids: Iterable[int], *, scopes: Sequence[str]) -> dict[int, Document]:
    """Those of the documents that can be shown to somebody who may see ``scopes``, by id."""
    rows = session.scalars(
        select(DocumentRow).where(
            DocumentRow.id.in_(set(ids)),
            DocumentRow.scope.in_(scopes),
            DocumentRow.status == DocumentStatus.READY,
        )
    )
    return {row.id: _document(row) for row in rows}


def _change(session: Session, document_id: int, **values: Any) -> None:
    session.execute(
        update(DocumentRow).where(DocumentRow.id == document_id).values(updated_at=datetime.now(UTC), **values)
    )


def _add_paragraph(session: Session, document_id: int, group: list[Sentence]) -> None:
    row = ParagraphRow(document_id=document_id, first=group[0].index, last=group[-1].index)
    session.add(row)
    session.flush()
    session.execute(
        text("INSERT INTO paragraph_words (rowid, words) VALUES (:id, :words)"),
        {"id": row.id, "words": "".join(sentence.text for sentence in group)},
    )


def _sentence_values(document_id: int, sentence: Sentence) -> dict[str, Any]:
    return {
        "document_id": document_id,
        "index": sentence.index,
        "start": sentence.start,
        "end": sentence.end,
        "text": sentence.text,
        "paragraph": sentence.paragraph,
        "section": sentence.section,
        "page": sentence.page,
    }


def _sentence(row: SentenceRow) -> Sentence:
    return Sentence(
        index=row.index,
        start=row.start,
        end=row.end,
        text=row.text,
        paragraph=row.paragraph,
        section=row.section,
        page=row.page,
    )


def _document(row: DocumentRow) -> Document:
    return Document(
        id=row.id,
        scope=row.scope,
        added_by=row.added_by,
        lineage=row.lineage,
        generation=row.generation,
        name=row.name,
        file=row.file,
        source=row.source,
        content_hash=row.content_hash,
        size=row.size,
        status=DocumentStatus(row.status),
        progress=row.progress,
        reason=row.reason,
        pages=row.pages,
        sentences=row.sentences,
        embedding=row.embedding,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
