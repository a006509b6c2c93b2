"""Counts for the charts of an admin, over what may be seen by others and was rated since a moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, String, Subquery, case, cast, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from assistant.store.exchanges import learnable
from assistant.store.review import BASE, visible
from assistant.store.tables import DocumentRow, ExchangeDocumentRow, ExchangeRow, RatingReasonRow, RatingRow

LATEST = 10_000
"""Shares are of the latest ratings of the period, so that a chart takes no longer the more there are."""

_MOST = 15
_QUESTIONS = 30


@dataclass(frozen=True, slots=True)
class Bar:
    """Ratings under one name: those up and those down. ``key`` is what the queue filters by to show them."""

    name: str
    up: int
    down: int
    key: str | int = ""

    @property
    def total(self) -> int:
        return self.up + self.down

    @property
    def share(self) -> float:
        """The share of thumbs-up, in [0, 1]; 0 of none."""
        return self.up / self.total if self.total else 0.0


def by_day(session: Session, since: datetime) -> list[Bar]:
    """By day (UTC), from the first one with a rating to the last, days without any in between included."""
    day = func.substr(cast(RatingRow.updated_at, String), 1, 10)
    up, down = _counts(RatingRow.value)
    query = select(day, up, down).where(RatingRow.updated_at >= since, visible()).group_by(day).order_by(day)
    found = {date.fromisoformat(row[0]): Bar(*row) for row in session.execute(query)}
    if not found:
        return []
    first, last = min(found), max(found)
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return [found.get(day, Bar(day.isoformat(), 0, 0)) for day in days]


def by_adapter(session: Session, since: datetime) -> list[Bar]:
    """The name is empty for the base without an adapter."""
    latest = _latest(since)
    query = select(latest.c.adapter, *_counts(latest.c.value)).group_by(latest.c.adapter)
    found = session.execute(query.order_by(func.count().desc()).limit(_MOST))
    return [Bar(name or "", up, down, key=name or BASE) for name, up, down in found]


def by_reason(session: Session, since: datetime) -> list[Bar]:
    latest = _latest(since)
    query = select(RatingReasonRow.reason, *_counts(latest.c.value)).join(
        latest, latest.c.id == RatingReasonRow.rating_id
    )
    found = session.execute(query.group_by(RatingReasonRow.reason).order_by(func.count().desc()))
    return [Bar(reason, up, down, key=reason) for reason, up, down in found]


def by_document(session: Session, since: datetime) -> list[Bar]:
    """The documents that most rated answers showed."""
    latest = _latest(since)
    up, down = _counts(latest.c.value)
    showed = (
        select(ExchangeDocumentRow.document_id, up.label("up"), down.label("down"), func.count().label("count"))
        .join(latest, latest.c.exchange_id == ExchangeDocumentRow.exchange_id)
        .group_by(ExchangeDocumentRow.document_id)
        .order_by(func.count().desc())
        .limit(_MOST)
        .subquery()
    )
    named = select(DocumentRow.name, showed.c.up, showed.c.down, DocumentRow.id)
    query = named.join(showed, showed.c.document_id == DocumentRow.id)
    return [Bar(*row) for row in session.execute(query.order_by(showed.c.count.desc()))]


def unanswered(session: Session, since: datetime) -> list[tuple[datetime, str]]:
    """Questions that the documents could not answer, the latest first."""
    query = (
        select(ExchangeRow.created_at, ExchangeRow.question)
        .where(ExchangeRow.refused, ExchangeRow.created_at >= since, learnable())
        .order_by(ExchangeRow.created_at.desc())
        .limit(_QUESTIONS)
    )
    return [(at, question) for at, question in session.execute(query)]


def _latest(since: datetime) -> Subquery:
    columns = (RatingRow.id, RatingRow.exchange_id, RatingRow.value, RatingRow.adapter)
    query = select(*columns).where(RatingRow.updated_at >= since, visible())
    return query.order_by(RatingRow.updated_at.desc()).limit(LATEST).subquery()


def _counts(value: ColumnElement[int] | InstrumentedAttribute[int]) -> tuple[ColumnElement[int], ColumnElement[int]]:
    """Thumbs up and thumbs down."""
    return func.sum(case((value > 0, 1), else_=0)), func.sum(case((value < 0, 1), else_=0))
