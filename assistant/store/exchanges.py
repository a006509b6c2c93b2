"""Rows of conversations and exchanges: the log that everything is learnt from.

Every query takes the person who asks: what belongs to somebody else is *not found*.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select, update
from sqlalchemy.orm import Session

from assistant import splits
from assistant.errors import NotFoundError
from assistant.records import (
    Citation,
    Conversation,
    Exchange,
    ExchangeStatus,
    Feedback,
    Hit,
    Passage,
    Rating,
    Reason,
    Review,
    Side,
    Timings,
    Turn,
)
from assistant.store import groups, support
from assistant.store.tables import (
    ConversationRow,
    ExchangeDocumentRow,
    ExchangeRow,
    ForgottenRow,
    PersonRow,
    RatingRow,
    SupportRow,
)

_AT_ONCE = 500  # ids in one query

_citations = TypeAdapter(tuple[Citation, ...])
_hits = TypeAdapter(tuple[Hit, ...])
_passages = TypeAdapter(tuple[Passage, ...])
_turns = TypeAdapter(tuple[Turn, ...])

TITLE_CHARACTERS = 80


def add_conversation(session: Session, *, person_id: int, title: str) -> Conversation:
    now = datetime.now(UTC)
    row = ConversationRow(
        id=uuid4().hex, person_id=person_id, title=title[:TITLE_CHARACTERS], created_at=now, updated_at=now
    )
    session.add(row)
    session.flush()
    return _conversation(row)


def get_conversation(session: Session, conversation_id: str, *, person_id: int) -> Conversation:
    return _conversation(_own_conversation(session, conversation_id, person_id))


def conversations(session: Session, *, person_id: int, search: str = "", limit: int = 200) -> list[Conversation]:
    """A person's conversations, the latest first; ``search`` looks in titles, questions and answers."""
    query = select(ConversationRow).where(ConversationRow.person_id == person_id)
    if search:
        inside = (
            select(ExchangeRow.conversation_id)
            .where(ExchangeRow.person_id == person_id, ExchangeRow.shown)
            .where(
                or_(
                    ExchangeRow.question.icontains(search, autoescape=True),
                    ExchangeRow.answer.icontains(search, autoescape=True),
                )
            )
        )
        query = query.where(
            or_(ConversationRow.title.icontains(search, autoescape=True), ConversationRow.id.in_(inside))
        )
    rows = session.scalars(query.order_by(ConversationRow.updated_at.desc()).limit(limit))
    return [_conversation(row) for row in rows]


def rename_conversation(session: Session, conversation_id: str, *, person_id: int, title: str) -> None:
    _own_conversation(session, conversation_id, person_id).title = title.strip()[:TITLE_CHARACTERS]


def delete_conversation(session: Session, conversation_id: str, *, person_id: int) -> None:
    """Deletes it with its exchanges and their ratings."""
    session.delete(_own_conversation(session, conversation_id, person_id))


def add(session: Session, exchange: Exchange) -> Exchange:
    """Logs an exchange, usually while it is still streaming, and moves its conversation to the top.

    Returns it with its group and side, which are decided here and never change.
    """
    _own_conversation(session, exchange.conversation_id, exchange.person_id).updated_at = exchange.created_at
    group = splits.group_of(exchange.passages)
    exchange = replace(exchange, group=group, side=None if group is None else groups.side(session, group))
    session.add(
        ExchangeRow(
            id=exchange.id,
            created_at=exchange.created_at,
            group_key=exchange.group,
            side=exchange.side,
            **_values(exchange),
        )
    )
    session.flush()
    shown = {passage.document_id for passage in exchange.passages}
    session.add_all(ExchangeDocumentRow(exchange_id=exchange.id, document_id=document_id) for document_id in shown)
    return exchange


def finish(session: Session, exchange: Exchange) -> None:
    """Overwrites the row of ``exchange`` with its final state. Nothing happens if it was deleted meanwhile."""
    session.execute(update(ExchangeRow).where(ExchangeRow.id == exchange.id).values(**_values(exchange)))


def fail_unfinished(session: Session) -> int:
    """Marks as failed what was still streaming when the program died; returns how many."""
    changed = session.execute(
        update(ExchangeRow)
        .where(ExchangeRow.status == ExchangeStatus.STREAMING)
        .values(status=ExchangeStatus.FAILED)
        .returning(ExchangeRow.id)
    )
    return len(changed.all())


def get(session: Session, exchange_id: str, *, person_id: int) -> Exchange:
    row = session.execute(_whole().where(ExchangeRow.id == exchange_id)).one_or_none()
    if row is None or row[0].person_id != person_id:
        raise NotFoundError("There is no such exchange.")
    return exchange_of(row)


def in_conversation(session: Session, conversation_id: str, *, person_id: int) -> list[Exchange]:
    """What the conversation shows, in order."""
    _own_conversation(session, conversation_id, person_id)
    rows = session.execute(
        _whole()
        .where(ExchangeRow.conversation_id == conversation_id, ExchangeRow.shown)
        .order_by(ExchangeRow.created_at)
    )
    return [exchange_of(row) for row in rows]


def hide_from(session: Session, exchange_id: str, *, person_id: int) -> None:
    """Takes an exchange and all later ones out of their conversation (asked again, or edited); the log keeps them."""
    exchange = get(session, exchange_id, person_id=person_id)
    session.execute(
        update(ExchangeRow)
        .where(ExchangeRow.conversation_id == exchange.conversation_id, ExchangeRow.created_at >= exchange.created_at)
        .values(shown=False)
    )


def triples(session: Session, *, person_id: int | None = None) -> Iterator[Exchange]:
    """Logged exchanges, oldest first, streamed: all of one person, or without one all that may be learnt from."""
    query = _whole().order_by(ExchangeRow.created_at, ExchangeRow.id)
    query = query.where(learnable() if person_id is None else ExchangeRow.person_id == person_id)
    return map(exchange_of, session.execute(query.execution_options(yield_per=200)))


def unjudged(session: Session, *, limit: int) -> list[Exchange]:
    """The latest whole answers, refusals aside, that no judge has looked at."""
    query = (
        _whole()
        .where(ExchangeRow.status == ExchangeStatus.COMPLETE, ~ExchangeRow.refused, SupportRow.exchange_id.is_(None))
        .order_by(ExchangeRow.created_at.desc())
        .limit(limit)
    )
    return [exchange_of(row) for row in session.execute(query)]


def by_id(session: Session, ids: Sequence[str]) -> Iterator[Exchange]:
    """Those of the exchanges that may be learnt from, in no particular order."""
    return map(exchange_of, session.execute(_whole().where(ExchangeRow.id.in_(ids), learnable())))


def learnable() -> ColumnElement[bool]:
    """Whether others than its owner may see an exchange and anything may learn from it: the one place that says so.

    It is not private, or its owner allows it: an adapter serves everybody, and would tell what it was trained on.
    """
    consenting = select(PersonRow.id).where(PersonRow.shares_private)
    return or_(~ExchangeRow.private, ExchangeRow.person_id.in_(consenting))


def learnable_of(session: Session, ids: Collection[str]) -> set[str]:
    """Those of the exchanges that are there still, were not redacted, and may be learnt from."""
    found: set[str] = set()
    wanted = sorted(ids)
    for start in range(0, len(wanted), _AT_ONCE):
        some = ExchangeRow.id.in_(wanted[start : start + _AT_ONCE])
        gone = select(ForgottenRow.exchange_id)
        found |= set(session.scalars(select(ExchangeRow.id).where(some, learnable(), ExchangeRow.id.not_in(gone))))
    return found


def ratings_by_adapter(session: Session) -> dict[tuple[str | None, int], int]:
    """How many ratings of each value the answers of each adapter have; no adapter: those of base models."""
    rows = session.execute(
        select(ExchangeRow.adapter, RatingRow.value, func.count())
        .join(RatingRow, RatingRow.exchange_id == ExchangeRow.id)
        .group_by(ExchangeRow.adapter, RatingRow.value)
    )
    return {(adapter, value): number for adapter, value, number in rows}


def count(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(ExchangeRow)) or 0


def _own_conversation(session: Session, conversation_id: str, person_id: int) -> ConversationRow:
    row = session.get(ConversationRow, conversation_id)
    if row is None or row.person_id != person_id:
        raise NotFoundError("There is no such conversation.")
    return row


def _whole() -> Select[ExchangeRow, RatingRow, SupportRow]:
    own = and_(RatingRow.exchange_id == ExchangeRow.id, RatingRow.person_id == ExchangeRow.person_id)
    query = select(ExchangeRow, RatingRow, SupportRow).outerjoin(RatingRow, own)
    return query.outerjoin(SupportRow, SupportRow.exchange_id == ExchangeRow.id)


def _conversation(row: ConversationRow) -> Conversation:
    return Conversation(
        id=row.id, person_id=row.person_id, title=row.title, created_at=row.created_at, updated_at=row.updated_at
    )


def rating_of(row: RatingRow) -> Rating:
    return Rating(
        exchange_id=row.exchange_id,
        person_id=row.person_id,
        feedback=Feedback(
            value=1 if row.value > 0 else -1,
            reasons=tuple(map(Reason, row.reasons)),
            comment=row.comment,
            correction=row.correction,
            wrong_passages=tuple(row.wrong_passages),
        ),
        review=Review(row.review),
        held=row.held,
        accepted_answer=row.accepted_answer,
        updated_at=row.updated_at,
    )


def _values(exchange: Exchange) -> dict[str, Any]:
    return {
        "conversation_id": exchange.conversation_id,
        "person_id": exchange.person_id,
        "question": exchange.question,
        "search_query": exchange.search_query,
        "document_ids": list(exchange.document_ids),
        "history": _dumped(_turns, exchange.history),
        "passages": _dumped(_passages, exchange.passages),
        "left_out": list(exchange.left_out),
        "hits": _dumped(_hits, exchange.hits),
        "prompt_version": exchange.prompt_version,
        "model": exchange.model,
        "adapter": exchange.adapter,
        "answer": exchange.answer,
        "citations": _dumped(_citations, exchange.citations),
        "refused": exchange.refused,
        "status": exchange.status,
        "private": exchange.private,
        "prompt_tokens": exchange.prompt_tokens,
        "completion_tokens": exchange.completion_tokens,
        "retrieve_ms": exchange.timings.retrieve,
        "first_token_ms": exchange.timings.first_token,
        "total_ms": exchange.timings.total,
    }


def _dumped(adapter: TypeAdapter[Any], values: Sequence[Any]) -> list[Any]:
    dumped: list[Any] = adapter.dump_python(tuple(values), mode="json")
    return dumped


_Whole = Row[ExchangeRow, RatingRow, SupportRow] | tuple[ExchangeRow, RatingRow | None, SupportRow | None]


def exchange_of(row: _Whole) -> Exchange:
    logged, rating, judged = row
    return Exchange(
        id=logged.id,
        conversation_id=logged.conversation_id,
        person_id=logged.person_id,
        question=logged.question,
        search_query=logged.search_query,
        document_ids=tuple(logged.document_ids),
        history=_turns.validate_python(logged.history),
        passages=_passages.validate_python(logged.passages),
        left_out=tuple(logged.left_out),
        hits=_hits.validate_python(logged.hits),
        prompt_version=logged.prompt_version,
        model=logged.model,
        adapter=logged.adapter,
        answer=logged.answer,
        citations=_citations.validate_python(logged.citations),
        refused=logged.refused,
        status=ExchangeStatus(logged.status),
        private=logged.private,
        prompt_tokens=logged.prompt_tokens,
        completion_tokens=logged.completion_tokens,
        timings=Timings(retrieve=logged.retrieve_ms, first_token=logged.first_token_ms, total=logged.total_ms),
        created_at=logged.created_at,
        rating=rating_of(rating) if rating is not None else None,
        support=support.support_of(judged) if judged is not None else None,
        group=logged.group_key,
        side=Side(logged.side) if logged.side is not None else None,
    )
