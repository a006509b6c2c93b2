"""The review queue: ratings that may be seen by others, filtered, decided on, and compared with each other.

What is private and not allowed to be learnt from is not here, whatever is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import ColumnElement, Integer, Select, and_, column, exists, func, or_, select, table, text, tuple_
from sqlalchemy.orm import Session

from assistant.errors import InputError, NotFoundError
from assistant.records import Exchange, Reason, Review
from assistant.store import audit, exchanges
from assistant.store.adapters import that_saw
from assistant.store.tables import ExchangeDocumentRow, ExchangeRow, PersonRow, RatingReasonRow, RatingRow, SupportRow

BASE = "base"
"""The filter value for answers that no adapter had a part in."""

_COMMON = 5_000
"""From so many ratings on, words are looked for in the ratings in turn, and not the ratings among those with them."""
_GROUPS = 20
_OF_EACH_VALUE = 3


@dataclass(frozen=True, slots=True)
class Filters:
    """Which ratings; what is None or empty does not limit them. ``until`` is the last day that counts."""

    review: Review | None = None
    value: int | None = None
    reason: Reason | None = None
    document_id: int | None = None
    person_id: int | None = None
    adapter: str = ""
    since: date | None = None
    until: date | None = None
    support_below: float | None = None
    words: str = ""
    held: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """A rated exchange with its rating, by whom it was rated and who reviewed it, when."""

    id: int
    person: str
    exchange: Exchange
    reviewed_by: str
    reviewed_at: datetime | None
    learnt_by: tuple[str, ...] = ()
    """The adapters that learnt from it."""


def visible() -> ColumnElement[bool]:
    """``exchanges.learnable`` for ratings, which repeat what it needs."""
    consenting = select(PersonRow.id).where(PersonRow.shares_private)
    return or_(~RatingRow.private, RatingRow.person_id.in_(consenting))


def queue(
    session: Session, filters: Filters, *, before: tuple[datetime, int] | None = None, limit: int = 20
) -> list[Item]:
    """The latest first; ``before`` is the time and id of the last one of the page before."""
    query = _filtered(select(RatingRow.id), filters, probing=_are_common(session, filters.words))
    if before is not None:
        query = query.where(tuple_(RatingRow.updated_at, RatingRow.id) < before)
    ids = session.scalars(query.order_by(RatingRow.updated_at.desc(), RatingRow.id.desc()).limit(limit)).all()
    return _items(session, ids)


def count(session: Session, filters: Filters, *, most: int) -> int:
    """How many there are, counted up to ``most``."""
    found = _filtered(select(RatingRow.id), filters).limit(most).subquery()
    return session.scalar(select(func.count()).select_from(found)) or 0


def stream(session: Session, filters: Filters) -> Iterator[Exchange]:
    """All of them, oldest first."""
    whole = _joined(select(ExchangeRow, RatingRow, SupportRow))
    query = _filtered(whole, filters).order_by(RatingRow.updated_at, RatingRow.id)
    yield from map(exchanges.exchange_of, session.execute(query.execution_options(yield_per=200)))


def decide(
    session: Session, seen: Iterable[tuple[int, datetime]], decision: Review, *, by: int, answer: str = ""
) -> int:
    """Accepts, rejects or reopens ratings, each as it was when the admin saw it; returns how many.

    ``answer`` takes the place of the answer for all that learns from it. Raises InputError, and changes nothing, if one
    of them was changed meanwhile, NotFoundError if one is gone or private.
    """
    done = 0
    for rating_id, updated_at in seen:
        row = session.scalar(select(RatingRow).where(RatingRow.id == rating_id, visible()))
        if row is None:
            raise NotFoundError("This rating is gone, or no longer to be seen.")
        if row.updated_at != updated_at:
            raise InputError("A rating was changed since you saw it. Reload the page.")
        row.review, row.accepted_answer = decision, answer
        row.reviewed_by, row.reviewed_at = by, datetime.now(UTC)
        audit.record(session, f"review {decision.value}", person_id=by, subject=row.exchange_id)
        done += 1
    return done


def same_question(session: Session, *, contradicting: bool) -> list[list[Item]]:
    """Groups of ratings of one question, those with opposite ratings alone if ``contradicting``."""
    having = [func.count() > 1]
    if contradicting:
        having += [func.min(RatingRow.value) < 0, func.max(RatingRow.value) > 0]
    hashes = session.scalars(
        select(RatingRow.question_hash)
        .where(RatingRow.question_hash != "")
        .group_by(RatingRow.question_hash)
        .having(and_(*having))
        .limit(_GROUPS)
    ).all()
    place = func.row_number().over(
        partition_by=(RatingRow.question_hash, RatingRow.value), order_by=RatingRow.updated_at.desc()
    )
    ranked = (
        select(RatingRow.id, RatingRow.question_hash, place.label("place"))
        .where(RatingRow.question_hash.in_(hashes), visible())
        .subquery()
    )
    latest = select(ranked.c.id, ranked.c.question_hash).where(ranked.c.place <= _OF_EACH_VALUE)
    rows = session.execute(latest.order_by(ranked.c.question_hash, ranked.c.id)).all()
    items = _items(session, [row.id for row in rows])
    groups: dict[str, list[Item]] = {}
    for row, item in zip(rows, items, strict=True):
        groups.setdefault(row.question_hash, []).append(item)
    return [group for group in groups.values() if len(group) > 1 and (len(_values(group)) > 1 or not contradicting)]


def _values(group: Sequence[Item]) -> set[int]:
    return {item.exchange.rating.feedback.value for item in group if item.exchange.rating is not None}


def adapters(session: Session) -> list[str]:
    """All adapters that have rated answers, by skipping from one to the next through the index."""
    found: list[str] = []
    query = select(func.min(RatingRow.adapter))
    name = session.scalar(query)
    while name is not None:
        found.append(name)
        name = session.scalar(query.where(RatingRow.adapter > name))
    return found


def _joined(query: Select) -> Select:  # type: ignore[type-arg]
    query = query.join(RatingRow, RatingRow.exchange_id == ExchangeRow.id)
    return query.outerjoin(SupportRow, SupportRow.exchange_id == ExchangeRow.id)


def _filtered(query: Select, filters: Filters, *, probing: bool = False) -> Select:  # type: ignore[type-arg]
    """``probing``: rows are looked up among those with the words one by one, for a query that needs few of many."""
    wanted: list[ColumnElement[bool]] = [visible()]
    for value, place in (
        (filters.review, RatingRow.review),
        (filters.value, RatingRow.value),
        (filters.person_id, RatingRow.person_id),
    ):
        if value is not None:
            wanted.append(place == value)
    if filters.adapter:
        wanted.append(RatingRow.adapter.is_(None) if filters.adapter == BASE else RatingRow.adapter == filters.adapter)
    if filters.since is not None:
        wanted.append(RatingRow.updated_at >= audit.midnight(filters.since))
    if filters.until is not None:
        wanted.append(RatingRow.updated_at < audit.midnight(filters.until + timedelta(days=1)))
    if filters.held:
        wanted.append(RatingRow.held.is_(True))
    if filters.support_below is not None:
        below = (SupportRow.exchange_id == RatingRow.exchange_id, SupportRow.score < filters.support_below)
        wanted.append(exists(SupportRow.exchange_id).where(*below).correlate(RatingRow))
    if filters.reason is not None:
        with_reason = select(RatingReasonRow.rating_id).where(RatingReasonRow.reason == filters.reason)
        wanted.append(RatingRow.id.in_(with_reason))
    if filters.document_id is not None:
        showing = select(ExchangeDocumentRow.exchange_id).where(ExchangeDocumentRow.document_id == filters.document_id)
        wanted.append(RatingRow.exchange_id.in_(showing))
    if (matching := _matching(filters.words)) is not None:
        at_row = matching.where(column("rowid", Integer) == RatingRow.id).correlate(RatingRow)
        wanted.append(at_row.exists() if probing else RatingRow.id.in_(matching))
    return query.where(*wanted)


def _matching(words: str) -> Select[int] | None:
    """The ids of the ratings that have all of the words, or stand for exchanges that do; None for no words."""
    terms = words.replace('"', " ").split()
    if not terms:
        return None
    matched = text("rating_words MATCH :words").bindparams(words=" ".join(f'"{term}"' for term in terms))
    return select(column("rowid", Integer)).select_from(table("rating_words")).where(matched)


def _are_common(session: Session, words: str) -> bool:
    matching = _matching(words)
    if matching is None:
        return False
    found = matching.limit(_COMMON).subquery()
    return session.scalar(select(func.count()).select_from(found)) == _COMMON


def _items(session: Session, ids: Sequence[int]) -> list[Item]:
    """In the order of ``ids``."""
    rows = session.execute(
        _joined(select(ExchangeRow, RatingRow, SupportRow, PersonRow.name))
        .join(PersonRow, PersonRow.id == RatingRow.person_id)
        .where(RatingRow.id.in_(ids))
    ).all()
    reviewers = {rating.reviewed_by for _, rating, _, _ in rows}
    known = session.execute(select(PersonRow.id, PersonRow.name).where(PersonRow.id.in_(reviewers)))
    names = {row.id: row.name for row in known}
    found = {
        rating.id: Item(
            id=rating.id,
            person=name,
            exchange=exchanges.exchange_of((logged, rating, judged)),
            reviewed_by=names.get(rating.reviewed_by or 0, ""),
            reviewed_at=rating.reviewed_at,
            learnt_by=tuple(that_saw(session, logged.id)),
        )
        for logged, rating, judged, name in rows
    }
    return [found[rating_id] for rating_id in ids]
