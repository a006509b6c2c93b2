"""The people who use the program."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from assistant.records import Person, Role
from assistant.store.tables import PersonRow

LOCAL_ADMIN = "local"


def local_admin(session: Session) -> Person:
    """The one person of a program that listens on loopback and asks for no login; made on first use."""
    row = session.scalar(select(PersonRow).where(PersonRow.name == LOCAL_ADMIN))
    if row is None:
        row = PersonRow(name=LOCAL_ADMIN, role=Role.ADMIN, created_at=datetime.now(UTC))
        session.add(row)
        session.flush()
    return Person(id=row.id, name=row.name, role=Role(row.role))
