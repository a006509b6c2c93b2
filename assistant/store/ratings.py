"""Rows of ratings: what people said of the answers they got, as it is now and as it was before."""

from __future__ import annotations

import hashlib
import unicodedata
from datetime import UTC, datetime

from sqlalchemy import Select, delete, func, select, text
from sqlalchemy.orm import Session

from assistant.records import Exchange, Feedback, Rating, RatingChange, Reason, Review
from assistant.store import exchanges
from assistant.store.tables import RatingChangeRow, RatingReasonRow, RatingRow


def rate(
    session: Session, exchange_id: str, *, person_id: int, feedback: Feedback, review: Review, held: bool = False
) -> Rating:
    """Sets or changes the person's rating of their own exchange, which is to be reviewed anew. Its history is kept."""
    exchange = exchanges.get(session, exchange_id, person_id=person_id)
    now = datetime.now(UTC)
    row = session.scalar(_own(exchange_id, person_id))
    if row is None:
        row = RatingRow(exchange_id=exchange_id, person_id=person_id, created_at=now)
        session.add(row)
    row.value, row.comment, row.correction = feedback.value, feedback.comment, feedback.correction
    row.reasons, row.wrong_passages = list(feedback.reasons), list(feedback.wrong_passages)
    row.adapter, row.private = exchange.adapter, exchange.private
    row.question_hash = question_hash(exchange.question)
    row.review, row.held, row.updated_at = review, held, now
    row.accepted_answer, row.reviewed_by, row.reviewed_at = "", None, None
    session.flush()
    session.execute(delete(RatingReasonRow).where(RatingReasonRow.rating_id == row.id))
    session.add_all(RatingReasonRow(rating_id=row.id, reason=reason) for reason in feedback.reasons)
    _index(session, row.id, exchange, feedback)
    _remember(session, exchange_id, person_id, feedback)
    session.flush()
    return exchanges.rating_of(row)


def withdraw(session: Session, exchange_id: str, *, person_id: int) -> None:
    exchanges.get(session, exchange_id, person_id=person_id)
    row = session.scalar(_own(exchange_id, person_id))
    if row is not None:
        session.delete(row)
        _remember(session, exchange_id, person_id, None)


def history(session: Session, exchange_id: str, *, person_id: int) -> list[RatingChange]:
    """What the person's rating was set to, oldest first; ``feedback`` is None where it was withdrawn."""
    exchanges.get(session, exchange_id, person_id=person_id)
    rows = session.scalars(
        select(RatingChangeRow)
        .where(RatingChangeRow.exchange_id == exchange_id, RatingChangeRow.person_id == person_id)
        .order_by(RatingChangeRow.id)
    )
    return [RatingChange(at=row.at, feedback=_feedback(row)) for row in rows]


def count_since(session: Session, person_id: int, since: datetime) -> int:
    """Changes of ratings by a person since then, withdrawals included."""
    changed = (RatingChangeRow.person_id == person_id, RatingChangeRow.at >= since)
    return session.scalar(select(func.count()).select_from(RatingChangeRow).where(*changed)) or 0


def question_hash(question: str) -> str:
    """Equal for questions that differ in case, accents, spaces and punctuation alone."""
    plain = unicodedata.normalize("NFKD", question).casefold()
    words = "".join(letter if letter.isalnum() else " " for letter in plain if not unicodedata.combining(letter))
    return hashlib.sha256(" ".join(words.split()).encode()).hexdigest()[:16]


def _index(session: Session, rating_id: int, exchange: Exchange, feedback: Feedback) -> None:
    session.execute(text("DELETE FROM rating_words WHERE rowid = :id"), {"id": rating_id})
    words = "\n".join((exchange.question, exchange.answer, feedback.comment, feedback.correction))
    session.execute(
        text("INSERT INTO rating_words(rowid, words) VALUES (:id, :words)"), {"id": rating_id, "words": words}
    )


def _remember(session: Session, exchange_id: str, person_id: int, feedback: Feedback | None) -> None:
    said = feedback or Feedback(value=1)
    session.add(
        RatingChangeRow(
            exchange_id=exchange_id,
            person_id=person_id,
            value=None if feedback is None else said.value,
            reasons=list(said.reasons),
            comment=said.comment,
            correction=said.correction,
            wrong_passages=list(said.wrong_passages),
            at=datetime.now(UTC),
        )
    )


def _own(exchange_id: str, person_id: int) -> Select[RatingRow]:
    return select(RatingRow).where(RatingRow.exchange_id == exchange_id, RatingRow.person_id == person_id)


def _feedback(row: RatingChangeRow) -> Feedback | None:
    if row.value is None:
        return None
    return Feedback(
        value=1 if row.value > 0 else -1,
        reasons=tuple(map(Reason, row.reasons)),
        comment=row.comment,
        correction=row.correction,
        wrong_passages=tuple(row.wrong_passages),
    )
