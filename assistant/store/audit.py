"""The audit log: who did what, and when."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from assistant.records import Event
from assistant.store.tables import AuditRow, PersonRow


def record(session: Session, action: str, *, person_id: int | None, subject: object = "") -> None:
    """``subject`` is an id: what people wrote never comes here, since the log outlives it."""
    session.add(AuditRow(at=datetime.now(UTC), person_id=person_id, action=action, subject=str(subject)[:100]))


def record_some(session: Session, action: str, *, person_id: int | None, subject: str, keep: int) -> None:
    """Likewise, for what anybody can make happen any number of times: of the action the latest ``keep`` are kept."""
    known = person_id is not None and session.get(PersonRow, person_id) is not None  # they may have gone meanwhile
    record(session, action, person_id=person_id if known else None, subject=subject)
    session.flush()
    same = select(AuditRow.id).where(AuditRow.action == action).order_by(AuditRow.id.desc())
    oldest = session.scalar(same.offset(keep).limit(1))
    if oldest is not None:
        session.execute(delete(AuditRow).where(AuditRow.action == action, AuditRow.id <= oldest))


def events(
    session: Session,
    *,
    action: str = "",
    person_id: int | None = None,
    subject: str = "",
    since: date | None = None,
    until: date | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Event]:
    """The latest first. ``subject`` is how that of what is looked for begins, ``until`` the last day that counts, and
    ``before`` the id of the last one of the page before.
    """
    query = select(AuditRow, PersonRow.name).outerjoin(PersonRow, PersonRow.id == AuditRow.person_id)
    if action:
        query = query.where(AuditRow.action == action)
    if person_id is not None:
        query = query.where(AuditRow.person_id == person_id)
    if subject:
        query = query.where(AuditRow.subject >= subject, AuditRow.subject <= f"{subject}\U0010ffff")
    if since is not None:
        query = query.where(AuditRow.at >= midnight(since))
    if until is not None:
        query = query.where(AuditRow.at < midnight(until + timedelta(days=1)))
    if before is not None:
        query = query.where(AuditRow.id < before)
    rows = session.execute(query.order_by(AuditRow.id.desc()).limit(limit))
    return [
        Event(id=row.id, at=row.at, person=name or "", action=row.action, subject=row.subject) for row, name in rows
    ]


def actions(session: Session) -> list[str]:
    """All that ever happened, by skipping from one to the next through the index."""
    found: list[str] = []
    query = select(func.min(AuditRow.action))
    action = session.scalar(query)
    while action is not None:
        found.append(action)
        action = session.scalar(query.where(AuditRow.action > action))
    return found


def midnight(day: date) -> datetime:
    """When a day begins, in UTC."""
    return datetime.combine(day, time(), tzinfo=UTC)
