"""Rows of groups: the heading sections that were asked about, each with its side."""

from __future__ import annotations

import secrets

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from assistant import splits
from assistant.records import Side
from assistant.store.tables import GroupRow, SecretRow

_SECRET = "groups"  # noqa: S105  (its name)


def side(session: Session, key: str) -> Side:
    """The side of a group, decided now if it is new. In a transaction that writes: groups are counted one by one."""
    known = session.scalar(select(GroupRow.side).where(GroupRow.key == key))
    if known is not None:
        return Side(known)
    number = session.scalar(select(func.coalesce(func.max(GroupRow.number), 0))) or 0
    decided = splits.side_of(number, key=_secret(session))
    session.add(GroupRow(number=number + 1, key=key, side=decided))
    session.flush()
    return decided


def _secret(session: Session) -> bytes:
    row = session.get(SecretRow, _SECRET)
    if row is None:
        row = SecretRow(name=_SECRET, value=secrets.token_bytes(32))
        session.add(row)
    return row.value
