"""Rows of the gate: tickets, what was answered and scored, and which items were opened."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Integer, delete, func, select
from sqlalchemy.orm import Session

from assistant import ledger
from assistant.errors import NotFoundError, TooOftenError
from assistant.ledger import Ticket
from assistant.records import DocumentStatus, Exchange, Side
from assistant.store import exchanges
from assistant.store.forget import REDACTED
from assistant.store.tables import DocumentRow, ExchangeRow, GateOpenedRow, GateScoreRow, GroupRow, TicketRow

_AT_ONCE = 500


def tickets(session: Session) -> list[Ticket]:
    """All that were ever spent, in order."""
    rows = session.scalars(select(TicketRow).order_by(TicketRow.number))
    return [Ticket(row.number, row.run_id, row.dataset_hash, row.at) for row in rows]


def take_ticket(session: Session, run_id: int, *, dataset_hash: str, now: datetime | None = None) -> Ticket:
    """The ticket of a run: the one that it has, or else a new one.

    Raises TooOftenError when a year's tickets are spent.
    """
    spent = tickets(session)
    if (own := next((ticket for ticket in spent if ticket.run_id == run_id), None)) is not None:
        return own
    now = now or datetime.now(UTC)
    if (again := ledger.next_at(spent, now)) is not None:
        raise TooOftenError(
            f"All {ledger.TICKETS} tries of this year are spent. The next one can be had on {again:%Y-%m-%d}; until "
            "then the candidate stays one."
        )
    row = TicketRow(run_id=run_id, dataset_hash=dataset_hash, at=now)
    session.add(row)
    session.flush()
    return Ticket(row.number, run_id, dataset_hash, now)


def sealed(session: Session) -> Iterator[Exchange]:
    """All exchanges of sealed groups that may be learnt from, rated or not, streamed; those with redacted passages are
    left out.
    """
    ids = list(session.scalars(_sealed()))
    for first in range(0, len(ids), _AT_ONCE):
        for exchange in exchanges.by_id(session, ids[first : first + _AT_ONCE]):
            if all(passage.document != REDACTED for passage in exchange.passages):
                yield exchange


def validating(session: Session, *, limit: int) -> Iterator[Exchange]:
    """The latest exchanges of validation groups that may be learnt from, rated or not, as ``sealed`` gives its own."""
    query = select(ExchangeRow.id).where(ExchangeRow.side == Side.VALIDATION, exchanges.learnable())
    ids = list(session.scalars(query.order_by(ExchangeRow.created_at.desc()).limit(limit)))
    for exchange in exchanges.by_id(session, ids):
        if all(passage.document != REDACTED for passage in exchange.passages):
            yield exchange


def counts(session: Session) -> dict[str, int]:
    """``exchanges`` that may be learnt from, those of them in sealed groups (``sealed``), and groups of each side."""
    learnable = select(func.count(), func.sum((ExchangeRow.side == Side.GATE).cast(Integer))).where(
        exchanges.learnable(), ExchangeRow.group_key.is_not(None)
    )
    number, inside = session.execute(learnable).one()
    rows = session.execute(select(GroupRow.side, func.count()).group_by(GroupRow.side))
    groups: dict[str, int] = {row[0]: row[1] for row in rows}
    return {"exchanges": number, "sealed": inside or 0} | {f"{side}_groups": groups.get(side, 0) for side in Side}


def latest_ids(session: Session, *, limit: int) -> list[tuple[str, str]]:
    """Ids and groups of the latest items that nobody opened: what a list may show of them."""
    query = select(ExchangeRow.id, ExchangeRow.group_key).where(
        ExchangeRow.side == Side.GATE,
        exchanges.learnable(),
        ExchangeRow.id.not_in(select(GateOpenedRow.exchange_id)),
    )
    rows = session.execute(query.order_by(ExchangeRow.created_at.desc()).limit(limit))
    return [(row[0], row[1] or "") for row in rows]


def opened(session: Session) -> frozenset[str]:
    return frozenset(session.scalars(select(GateOpenedRow.exchange_id)))


def open_item(session: Session, exchange_id: str, *, person_id: int) -> Exchange:
    """An item for somebody to look at, which takes it out of the gate. Raises NotFoundError if it is none."""
    found = next(iter(exchanges.by_id(session, [exchange_id])), None)
    if found is None or found.side is not Side.GATE:
        raise NotFoundError("There is no such item.")
    session.merge(GateOpenedRow(exchange_id=exchange_id, person_id=person_id, at=datetime.now(UTC)))
    session.execute(delete(GateScoreRow).where(GateScoreRow.exchange_id == exchange_id))
    return found


def score(session: Session, key: str) -> Any:
    """What was kept under a key, or None."""
    row = session.get(GateScoreRow, key)
    return None if row is None else row.body["value"]


def keep_score(
    session: Session, key: str, value: Any, *, exchange_id: str | None, documents: Collection[int] = ()
) -> None:
    """Keeps something about an exchange, until that is deleted or redacted; the first value stays.

    ``documents``: of what belongs to no exchange, those that it was made from. Nothing happens if the exchange, or a
    document of either, was deleted meanwhile.
    """
    there = _documents_there(session, documents) if exchange_id is None else _whole(session, exchange_id)
    if there and session.get(GateScoreRow, key) is None:
        session.add(GateScoreRow(key=key, exchange_id=exchange_id, body={"value": value}, created_at=datetime.now(UTC)))


def validation_key(run_id: int, exchange_id: str) -> str:
    """Under which the answers to a validation question are kept for those who look at a run."""
    return f"validation:{run_id}:{exchange_id}"


def _whole(session: Session, exchange_id: str) -> bool:
    row = session.get(ExchangeRow, exchange_id)
    return row is not None and all(passage["document"] != REDACTED for passage in row.passages)


def _documents_there(session: Session, ids: Collection[int]) -> bool:
    there = select(func.count()).where(DocumentRow.id.in_(set(ids)), DocumentRow.status != DocumentStatus.DELETING)
    return session.scalar(there) == len(set(ids))


def _sealed() -> Any:
    return (
        select(ExchangeRow.id)
        .where(ExchangeRow.side == Side.GATE, exchanges.learnable())
        .order_by(ExchangeRow.created_at, ExchangeRow.id)
    )
