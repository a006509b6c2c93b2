"""Counts for the charts of an admin, over what may be seen by others and was rated since a moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from assistant.store.exchanges import learnable
from assistant.store.review import visible
from assistant.store.tables import DocumentRow, ExchangeDocumentRow, ExchangeRow, RatingReasonRow, RatingRow

_MOST = 15
_QUESTIONS = 30


@dataclass(frozen=True, slots=True)
class Bar:
    """Ratings under one name: those up and those down."""

    name: str
    up: int
    down: int

    @property
    def total(self) -> int:
        return self.up + self.down

    @property
    def share(self) -> float:
        """The share of thumbs-up, in [0, 1]."""
        return self.up / self.total


_UP = func.sum(case((RatingRow.value > 0, 1), else_=0))
_DOWN = func.sum(case((RatingRow.value < 0, 1), else_=0))


def by_day(session: Session, since: datetime) -> list[Bar]:
    """By day (UTC), the earliest first; days without ratings are left out."""
    day = func.date(RatingRow.updated_at)
    query = select(day, _UP, _DOWN).where(RatingRow.updated_at >= since, visible()).group_by(day).order_by(day)
    return [Bar(str(name), up, down) for name, up, down in session.execute(query)]


def by_adapter(session: Session, since: datetime) -> list[Bar]:
    """The name is empty for the base without an adapter."""
    recent = select(RatingRow.adapter, _UP, _DOWN).where(RatingRow.updated_at >= since, visible())
    found = session.execute(recent.group_by(RatingRow.adapter).order_by(func.count().desc()).limit(_MOST))
    return [Bar(name or "", up, down) for name, up, down in found]


def by_reason(session: Session, since: datetime) -> list[Bar]:
    query = (
        select(RatingReasonRow.reason, _UP, _DOWN)
        .join(RatingRow, RatingRow.id == RatingReasonRow.rating_id)
        .where(RatingRow.updated_at >= since, visible())
        .group_by(RatingReasonRow.reason)
        .order_by(func.count().desc())
    )
    return [Bar(name, up, down) for name, up, down in session.execute(query)]


def by_document(session: Session, since: datetime) -> list[Bar]:
    """The documents that most rated answers showed."""
    rated = (
        select(ExchangeDocumentRow.document_id, _UP.label("up"), _DOWN.label("down"))
        .join(RatingRow, RatingRow.exchange_id == ExchangeDocumentRow.exchange_id)
        .where(RatingRow.updated_at >= since, visible())
        .group_by(ExchangeDocumentRow.document_id)
        .order_by(func.count().desc())
        .limit(_MOST)
        .subquery()
    )
    query = select(DocumentRow.name, rated.c.up, rated.c.down).join(rated, rated.c.document_id == DocumentRow.id)
    return [Bar(name, up, down) for name, up, down in session.execute(query)]


def unanswered(session: Session, since: datetime) -> list[tuple[datetime, str]]:
    """Questions that the documents could not answer, the latest first."""
    query = (
        select(ExchangeRow.created_at, ExchangeRow.question)
        .where(ExchangeRow.refused, ExchangeRow.created_at >= since, learnable())
        .order_by(ExchangeRow.created_at.desc())
        .limit(_QUESTIONS)
    )
    return [(at, question) for at, question in session.execute(query)]
