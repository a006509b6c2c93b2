"""Takes things out of the log for good: rows, and what other rows repeat of them.

Every exchange that goes or loses words is noted by its id (table ``forgotten``), so that the adapters that were
trained on it can be found.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import String, cast, delete, select, text, update
from sqlalchemy.orm import Session

from assistant.records import DocumentStatus
from assistant.store import accounts, exchanges
from assistant.store.tables import (
    ConversationRow,
    DocumentRow,
    ExchangeDocumentRow,
    ExchangeRow,
    ForgottenRow,
    GateScoreRow,
    GoldenRow,
    PersonRow,
    RatingChangeRow,
    RatingRow,
    SampleRow,
    SupportRow,
)

REDACTED = "[deleted]"
_AT_ONCE = 200


def exchange(session: Session, exchange_id: str, *, person_id: int) -> None:
    """Deletes an exchange, the repetitions of it in the history of later ones, and a title that was made of it."""
    gone = exchanges.get(session, exchange_id, person_id=person_id)
    conversation = session.get_one(ConversationRow, gone.conversation_id)
    session.execute(delete(ExchangeRow).where(ExchangeRow.id == exchange_id))
    for row in _with_history(session, person_id):
        if any(said["question"] == gone.question for said in row.history):
            row.history = [said for said in row.history if said["question"] != gone.question]
            row.search_query = row.question
            session.execute(delete(GateScoreRow).where(GateScoreRow.exchange_id == row.id))  # of answers that knew it
            _note(session, [row.id])
    left = session.scalars(
        select(ExchangeRow).where(ExchangeRow.conversation_id == conversation.id).order_by(ExchangeRow.created_at)
    ).all()
    if not left:
        session.delete(conversation)
        return
    if conversation.title == gone.question[: exchanges.TITLE_CHARACTERS]:
        conversation.title = left[0].question[: exchanges.TITLE_CHARACTERS]


def document(session: Session, document_id: int) -> None:
    """Redacts whatever anybody was shown of a document: passages, citations, and what was answered and said of them."""
    session.execute(delete(GateScoreRow).where(GateScoreRow.exchange_id.is_(None)))  # of golden questions
    showing = select(ExchangeDocumentRow.exchange_id).where(ExchangeDocumentRow.document_id == document_id)
    ids = list(session.scalars(showing))
    told: dict[int, set[str]] = {}
    for first in range(0, len(ids), _AT_ONCE):
        part = ids[first : first + _AT_ONCE]
        rows = session.scalars(select(ExchangeRow).where(ExchangeRow.id.in_(part))).all()
        for row in rows:
            if not row.refused:  # which says nothing of the document
                told.setdefault(row.person_id, set()).add(row.answer)
            _redact(row, document_id)
        session.execute(delete(SupportRow).where(SupportRow.exchange_id.in_(part)))
        session.execute(delete(SampleRow).where(SampleRow.exchange_id.in_(part)))
        session.execute(delete(GateScoreRow).where(GateScoreRow.exchange_id.in_(part)))
        _redact_ratings(session, part)
        _note(session, part)
        session.flush()
    _redact_histories(session, told)
    session.execute(delete(ExchangeDocumentRow).where(ExchangeDocumentRow.document_id == document_id))


def person(session: Session, person_id: int) -> None:
    """Deletes an account with all that is the person's. Their private documents must be *deleting* or gone.

    What they did for everybody (shared documents, golden questions) goes to the local admin.
    """
    heir = accounts.local_admin(session).id
    session.execute(delete(ConversationRow).where(ConversationRow.person_id == person_id))
    for column in (DocumentRow.added_by, GoldenRow.added_by):
        session.execute(update(column.class_).where(column == person_id).values({column.key: heir}))
    session.execute(delete(PersonRow).where(PersonRow.id == person_id))


def private_documents(session: Session, scope: str) -> list[int]:
    """The ids of the documents of a scope, those being deleted left out."""
    there = (DocumentRow.scope == scope, DocumentRow.status != DocumentStatus.DELETING)
    return list(session.scalars(select(DocumentRow.id).where(*there)))


def _redact(row: ExchangeRow, document_id: int) -> None:
    row.passages = [
        passage | {"document": REDACTED, "text": "", "sentences": [], "hits": []}
        if passage["document_id"] == document_id
        else passage
        for passage in row.passages
    ]
    row.citations = [c for c in row.citations if c["document_id"] != document_id]
    row.answer = REDACTED  # it was written from what is to be forgotten, whether it cites it or not


def _redact_ratings(session: Session, exchange_ids: Collection[str]) -> None:
    blank: dict[str, Any] = {"comment": "", "correction": ""}
    rated = RatingRow.exchange_id.in_(exchange_ids)
    session.execute(
        text("DELETE FROM rating_words WHERE rowid IN (SELECT value FROM json_each(:ids))"),
        {"ids": str(list(session.scalars(select(RatingRow.id).where(rated))))},
    )
    session.execute(update(RatingRow).where(rated).values(blank | {"accepted_answer": "", "review": "rejected"}))
    session.execute(update(RatingChangeRow).where(RatingChangeRow.exchange_id.in_(exchange_ids)).values(blank))


def _with_history(session: Session, person_id: int) -> Iterable[ExchangeRow]:
    """What a person asked after something else, in any conversation: each request of a program may begin a new one."""
    after = cast(ExchangeRow.history, String) != "[]"
    return session.scalars(select(ExchangeRow).where(ExchangeRow.person_id == person_id, after)).all()


def _redact_histories(session: Session, told: dict[int, set[str]]) -> None:
    """Answers that are redacted stand in the history of what was asked after them, too."""
    for person_id, answers in told.items():
        for row in _with_history(session, person_id):
            history = [turn | {"answer": REDACTED} if turn["answer"] in answers else turn for turn in row.history]
            if history != row.history:
                row.history = history
                _note(session, [row.id])


def _note(session: Session, exchange_ids: Iterable[str]) -> None:
    for exchange_id in exchange_ids:
        session.merge(ForgottenRow(exchange_id=exchange_id, at=datetime.now(UTC)))
