"""What a trainer reads of the log: accepted ratings that may be learnt from, and what is sealed from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, or_, select
from sqlalchemy.orm import Session

from assistant.records import Exchange, ExchangeStatus, Reason, Review, Side
from assistant.store import exchanges
from assistant.store.tables import ExchangeRow, GoldenRow, GroupRow, RatingRow

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Rated:
    """An accepted rating with what is needed of its exchange to compare it with others. ``person_id`` rated."""

    id: str
    person_id: int
    group: str
    side: Side
    question: str
    answer: str
    complete: bool
    value: int
    correction: str
    accepted_answer: str
    reasons: tuple[Reason, ...]
    wrong_passages: tuple[int, ...]
    created_at: datetime


def accepted(session: Session) -> Iterator[Rated]:
    """All that may be learnt from and was accepted, outside the gate: sorted by group and then by time, streamed."""
    columns = (
        ExchangeRow.id,
        RatingRow.person_id,
        ExchangeRow.group_key,
        ExchangeRow.side,
        ExchangeRow.question,
        ExchangeRow.answer,
        ExchangeRow.status,
        RatingRow.value,
        RatingRow.correction,
        RatingRow.accepted_answer,
        RatingRow.reasons,
        RatingRow.wrong_passages,
        ExchangeRow.created_at,
    )
    query = _learnable(select(*columns)).where(
        RatingRow.review == Review.ACCEPTED, ExchangeRow.side.in_((Side.TRAIN, Side.VALIDATION))
    )
    query = query.order_by(ExchangeRow.group_key, ExchangeRow.created_at, ExchangeRow.id)
    for row in session.execute(query.execution_options(yield_per=_AT_ONCE)):
        yield Rated(
            id=row.id,
            person_id=row.person_id,
            group=row.group_key,
            side=Side(row.side),
            question=row.question,
            answer=row.answer,
            complete=row.status == ExchangeStatus.COMPLETE,
            value=row.value,
            correction=row.correction,
            accepted_answer=row.accepted_answer,
            reasons=tuple(map(Reason, row.reasons)),
            wrong_passages=tuple(row.wrong_passages),
            created_at=row.created_at,
        )


def rated(exchange: Exchange) -> Rated:
    """What ``accepted`` gives of an exchange that was loaded with its rating, outside the gate."""
    assert exchange.rating is not None
    assert exchange.group is not None
    assert exchange.side is not None
    rating, said = exchange.rating, exchange.rating.feedback
    return Rated(
        id=exchange.id,
        person_id=rating.person_id,
        group=exchange.group,
        side=exchange.side,
        question=exchange.question,
        answer=exchange.answer,
        complete=exchange.status is ExchangeStatus.COMPLETE,
        value=said.value,
        correction=said.correction,
        accepted_answer=rating.accepted_answer,
        reasons=said.reasons,
        wrong_passages=said.wrong_passages,
        created_at=exchange.created_at,
    )


def not_accepted(session: Session) -> Iterator[str]:
    """The ids of exchanges with a rating that waits for a reviewer or was rejected, outside the gate."""
    outside = or_(ExchangeRow.side.is_(None), ExchangeRow.side != Side.GATE)
    return _ids(session, RatingRow.review != Review.ACCEPTED, outside)


def without_passages(session: Session) -> Iterator[str]:
    """The ids of accepted exchanges that showed no passage, and so are on no side."""
    return _ids(session, RatingRow.review == Review.ACCEPTED, ExchangeRow.side.is_(None))


def loaded(session: Session, ids: Sequence[str]) -> Iterator[Exchange]:
    """Whole exchanges in the order of ``ids``, with the rating of the one who asked; streamed."""
    for first in range(0, len(ids), _AT_ONCE):
        part = ids[first : first + _AT_ONCE]
        found = {exchange.id: exchange for exchange in exchanges.by_id(session, part)}
        yield from (found[exchange_id] for exchange_id in part)


def sealed_questions(session: Session) -> Iterator[str]:
    """The questions that prove adapters, whoever asked them: those of sealed groups and the golden ones."""
    query = select(ExchangeRow.question).where(ExchangeRow.side == Side.GATE).distinct()
    yield from session.scalars(query.execution_options(yield_per=_AT_ONCE))
    yield from session.scalars(select(GoldenRow.question))


def sealed_passages(session: Session) -> Iterator[str]:
    """The different texts that the sealed questions were answered from: their first passages."""
    text = ExchangeRow.passages[0]["text"].as_string()
    query = select(text).where(ExchangeRow.side == Side.GATE).distinct()
    return iter(session.scalars(query.execution_options(yield_per=_AT_ONCE)))


def sealed_groups(session: Session) -> frozenset[str]:
    return frozenset(session.scalars(select(GroupRow.key).where(GroupRow.side == Side.GATE)))


def open_groups(session: Session) -> frozenset[str]:
    """Those that are learnt from or validated with."""
    return frozenset(session.scalars(select(GroupRow.key).where(GroupRow.side != Side.GATE)))


def _ids(session: Session, *which: ColumnElement[bool]) -> Iterator[str]:
    query = _learnable(select(ExchangeRow.id)).where(*which).order_by(ExchangeRow.id)
    return iter(session.scalars(query.execution_options(yield_per=_AT_ONCE)))


def _learnable(query: Select) -> Select:  # type: ignore[type-arg]
    return query.join(RatingRow, RatingRow.exchange_id == ExchangeRow.id).where(exchanges.learnable())
