"""The audit log is found by what, who, when and the beginning of an id."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from sqlalchemy import update

from assistant.store import audit
from assistant.store.database import Database
from assistant.store.tables import AuditRow
from tests.conftest import People


def test_every_filter(database: Database, people: People) -> None:
    with database.write() as session:
        audit.record(session, "review accepted", person_id=people.ana.id, subject="abc123")
        session.execute(update(AuditRow).values(at=datetime(2026, 3, 1, 23, 59, tzinfo=UTC)))
        audit.record(session, "sign in", person_id=people.rui.id, subject="100%_sure")

    def found(**filters: object) -> list[str]:
        with database.read() as session:
            return [event.action for event in audit.events(session, **filters)]  # type: ignore[arg-type]

    today = datetime.now(UTC).date()
    assert found() == ["sign in", "review accepted"]
    for filters in (
        {"action": "review accepted"}, {"person_id": people.ana.id}, {"subject": "abc1"}, {"before": 2},
        {"since": date(2026, 3, 1), "until": date(2026, 3, 1)}, {"until": today - timedelta(days=1)},
    ):  # fmt: skip
        assert found(**filters) == ["review accepted"], filters
    for filters in ({"subject": "100%_"}, {"since": date(2026, 3, 2)}, {"since": today, "until": today}):
        assert found(**filters) == ["sign in"], filters
    assert found(subject="abc_") == found(subject="c12") == found(until=date(2026, 2, 28)) == []
