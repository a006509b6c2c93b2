"""The audit log: who did what, and when."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from assistant.store.tables import AuditRow


def record(session: Session, action: str, *, person_id: int | None, subject: object = "", detail: str = "") -> None:
    """``subject`` names what it was done to."""
    session.add(AuditRow(at=datetime.now(UTC), who=person_id, action=action, subject=str(subject)[:100], detail=detail))
