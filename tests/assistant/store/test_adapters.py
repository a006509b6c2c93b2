"""What the registry's rows say of who was proven, and what stays of what people decided."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy.orm import Session

from assistant.errors import NotAllowedError
from assistant.records import AdapterStatus
from assistant.store import adapters
from assistant.store.database import Database
from assistant.store.tables import ForgottenRow
from tests.conftest import People

BASE = "starter"


def add(session: Session, number: int, *, proven: bool | None) -> str:
    version = f"v{number}"
    adapters.add(session, number=number, version=version, base=BASE, prompt_version="3", weights_hash="", origin="test")
    if proven is not None:
        adapters.decide(session, version, proven=proven)
    return version


def test_after_a_change_by_hand_the_proven_champion_before_counts(database: Database, people: People) -> None:
    admin = people.admin.id
    with database.write() as session:
        old, better, unproven = (add(session, n, proven=proven) for n, proven in ((1, True), (2, True), (3, None)))
        adapters.promote(session, old, person_id=None)
        assert adapters.last_proven(session, BASE) is None, "the gate itself chose it"
        adapters.promote(session, better, person_id=None)
        adapters.promote(session, unproven, person_id=admin, reason="a test")
        assert adapters.last_proven(session, BASE) == better
        adapters.promote(session, old, person_id=admin)
        assert adapters.last_proven(session, BASE) == better, "it is proven, but less than what it took the place of"
        adapters.promote(session, better, person_id=admin)
        adapters.roll_back(session, BASE, to=old, person_id=admin)
        assert adapters.last_proven(session, BASE) is None, "somebody found the better one wanting"


def test_what_the_gate_says_does_not_undo_what_people_did(database: Database, people: People) -> None:
    with database.write() as session:
        withdrawn, live, plain = (add(session, n, proven=None) for n in (1, 2, 3))
        adapters.withdraw(session, withdrawn, person_id=people.admin.id)
        adapters.promote(session, live, person_id=people.admin.id, reason="a test")
        for version in (withdrawn, live, plain):
            adapters.decide(session, version, proven=False)
        states = [adapters.get(session, version).status for version in (withdrawn, live, plain)]
    assert states == [AdapterStatus.WITHDRAWN, AdapterStatus.CHAMPION, AdapterStatus.REJECTED]


def test_the_gate_promotes_only_what_it_proved_against_who_answers(database: Database, people: People) -> None:
    with database.write() as session:
        proven, unproven, affected = (add(session, n, proven=value) for n, value in ((1, True), (2, None), (3, True)))
        adapters.record_exchanges(session, affected, ["gone"])
        session.add(ForgottenRow(exchange_id="gone", at=datetime.now(UTC)))
        session.flush()
        for version, why in ((unproven, "did not pass the gate"), (affected, "was deleted since")):
            with pytest.raises(NotAllowedError, match=why):
                adapters.promote_proven(session, version)
        adapters.promote_proven(session, proven)
        assert adapters.champion(session, BASE) == proven
        adapters.roll_back(session, BASE, to=None, person_id=people.admin.id)
        with pytest.raises(NotAllowedError, match="were changed since"):
            adapters.promote_proven(session, proven)
