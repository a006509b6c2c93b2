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

from sqlalchemy import Row, Select, and_, delete, func, insert, or_, select, text, update
from sqlalchemy.orm import Session

from assistant.errors import NotFoundError
from assistant.records import Document, DocumentStatus, Sentence
from assistant.store.tables import DocumentRow, ParagraphRow, SentenceRow


def unread(session: Session) -> int:
    """How many documents wait for their turn or are being indexed."""
    pending = (DocumentStatus.QUEUED, DocumentStatus.INDEXING)
    return session.scalar(select(func.count()).select_from(DocumentRow).where(DocumentRow.status.in_(pending))) or 0


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


def from_source(session: Session, *, scope: str, source: str) -> list[Document]:
    """The versions of a file that were ingested from this path and are still here, the newest first."""
    rows = session.scalars(_from_sources(scope).where(DocumentRow.source == source).order_by(DocumentRow.id.desc()))
    return [_document(row) for row in rows]


def from_folder(session: Session, *, scope: str, folder: str) -> list[Document]:
    """What was ingested from files anywhere below ``folder``, a path without a slash at its end."""
    rows = session.scalars(_from_sources(scope).where(DocumentRow.source.startswith(f"{folder}/", autoescape=True)))
    return [_document(row) for row in rows]


def older_versions(session: Session, document: Document) -> list[Document]:
    """What ``document`` replaces once it is ready."""
    rows = session.scalars(
        select(DocumentRow).where(
            DocumentRow.lineage == document.lineage,
            DocumentRow.id < document.id,
            DocumentRow.status != DocumentStatus.DELETING,
        )
    )
    return [_document(row) for row in rows]


def files(session: Session) -> set[str]:
    """The names of all originals that belong to a document."""
    return set(session.scalars(select(DocumentRow.file)))


def requeue(session: Session, *, embedding: str) -> None:
    """Queues again what was left *indexing*, and what is *ready* with vectors of a model other than ``embedding``."""
    outdated = and_(DocumentRow.status == DocumentStatus.READY, DocumentRow.embedding != embedding)
    session.execute(
        update(DocumentRow)
        .where(or_(DocumentRow.status == DocumentStatus.INDEXING, outdated))
        .values(status=DocumentStatus.QUEUED, progress=0.0, updated_at=datetime.now(UTC))
    )


def claim(session: Session, *, documents: int, size: int) -> list[Document]:
    """Makes the oldest queued documents *indexing*: all of one scope, at least one, at most so many and so many bytes.

    Counts their generation up: it tells their vectors from those of an earlier, perhaps unfinished indexing.
    """
    queued = select(DocumentRow).where(DocumentRow.status == DocumentStatus.QUEUED).order_by(DocumentRow.id)
    claimed: list[DocumentRow] = []
    for row in session.scalars(queued.limit(documents)):
        if claimed and (row.scope != claimed[0].scope or sum(c.size for c in claimed) + row.size > size):
            break
        claimed.append(row)
    for row in claimed:
        row.status, row.progress, row.updated_at = DocumentStatus.INDEXING, 0.0, datetime.now(UTC)
        row.generation += 1
    session.flush()
    return [_document(row) for row in claimed]


def set_status(session: Session, document_id: int, status: DocumentStatus) -> None:
    retired = document_id if status is DocumentStatus.DELETING else 0
    _change(session, document_id, status=status, progress=0.0, reason=None, retired=retired)


def set_source(session: Session, document_id: int, *, source: str, name: str) -> None:
    """The file was moved or renamed."""
    _change(session, document_id, source=source, name=name)


def set_progress(session: Session, ids: Sequence[int], progress: float) -> None:
    session.execute(
        update(DocumentRow)
        .where(DocumentRow.id.in_(ids), DocumentRow.status == DocumentStatus.INDEXING)
        .values(progress=progress, updated_at=datetime.now(UTC))
    )


def set_failed(session: Session, document_id: int, reason: str) -> None:
    """Marks a document that is being indexed as failed, for a reason that a person understands."""
    drop_contents(session, document_id)
    session.execute(
        update(DocumentRow)
        .where(DocumentRow.id == document_id, DocumentRow.status == DocumentStatus.INDEXING)
        .values(status=DocumentStatus.FAILED, reason=reason, progress=0.0, sentences=0, updated_at=datetime.now(UTC))
    )


def set_ready(
    session: Session,
    document_id: int,
    *,
    sentences: Sequence[Sentence],
    pages: int | None,
    empty_pages: int,
    embedding: str,
) -> None:
    """Stores the sentences and their words and makes the document findable: all of it or, on a rollback, none."""
    drop_contents(session, document_id)
    session.execute(insert(SentenceRow), [_sentence_values(document_id, s) for s in sentences])
    _add_paragraphs(session, document_id, sentences)
    _change(
        session,
        document_id,
        status=DocumentStatus.READY,
        progress=1.0,
        reason=None,
        pages=pages,
        empty_pages=empty_pages,
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


def sentence_at(session: Session, document_id: int, *, start: int | None = None, page: int | None = None) -> int:
    """The index of the sentence that holds character ``start``, or that begins ``page``; 0 when there is none."""
    query = select(func.min(SentenceRow.index)).where(SentenceRow.page == page)
    if start is not None:
        query = select(func.max(SentenceRow.index)).where(SentenceRow.start <= start)
    return session.scalar(query.where(SentenceRow.document_id == document_id)) or 0


def names(session: Session, lineages: Iterable[str]) -> dict[str, str]:
    """The name of the latest document of each lineage that has one."""
    rows = session.execute(
        select(DocumentRow.lineage, DocumentRow.name)
        .where(DocumentRow.lineage.in_(set(lineages)), DocumentRow.status != DocumentStatus.DELETING)
        .order_by(DocumentRow.id)
    )
    return {row.lineage: row.name for row in rows}


def ready(session: Session, ids: Iterable[int], *, scopes: Sequence[str]) -> dict[int, Document]:
    """Those of the documents that can be shown to somebody who may see ``scopes``, by id."""
    rows = session.execute(  # plain rows: a search looks up a hundred documents, and mapped objects take longer
        select(*DocumentRow.__table__.columns).where(
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


def _add_paragraphs(session: Session, document_id: int, sentences: Sequence[Sentence]) -> None:
    groups = [list(group) for _, group in groupby(sentences, key=attrgetter("paragraph"))]
    ids = session.scalars(
        insert(ParagraphRow).returning(ParagraphRow.id, sort_by_parameter_order=True),
        [{"document_id": document_id, "first": group[0].index, "last": group[-1].index} for group in groups],
    )
    words = ["".join(sentence.text for sentence in group) for group in groups]
    session.execute(
        text("INSERT INTO paragraph_words (rowid, words) VALUES (:id, :words)"),
        [{"id": id, "words": words} for id, words in zip(ids, words, strict=True)],
    )


def _from_sources(scope: str) -> Select[DocumentRow]:
    return select(DocumentRow).where(DocumentRow.scope == scope, DocumentRow.status != DocumentStatus.DELETING)


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


def _document(row: DocumentRow | Row[Any]) -> Document:
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
        empty_pages=row.empty_pages,
        sentences=row.sentences,
        embedding=row.embedding,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
