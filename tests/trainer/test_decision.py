"""Which datasets are worth another try."""

from __future__ import annotations

from typing import Any

import pytest

from assistant import cycles
from assistant.records import Run, RunStatus
from assistant.store import gate, runs
from assistant.store.database import Database
from trainer import decision, proof

HASH = "sha256:d"


def ended(database: Database, verdict: dict[str, Any], *, preview: bool = False, ticket: bool = False) -> None:
    with database.write() as session:
        run = runs.claim(session, runs.add(session, kind=cycles.KIND, seed=0, parameters={"preview": preview}).id)
        if ticket:
            gate.take_ticket(session, run.id, dataset_hash=HASH)
        runs.report(session, run.id, token=run.token, dataset_hash=HASH)
        runs.finish(session, run.id, token=run.token, status=RunStatus.DONE, verdict=verdict)


def next_run(database: Database) -> Run:
    with database.write() as session:
        return runs.add(session, kind=cycles.KIND, seed=0)


@pytest.mark.parametrize(
    ("verdict", "known"),
    [
        ({"outcome": "rejected", "decided_by": "gain", "items": 70, "more_items": 0}, True),
        ({"outcome": "not_tried", "decided_by": "screened"}, True),
        ({"outcome": "not_tried", "decided_by": "no_tickets"}, False),
        ({"outcome": "not_enough_evidence", "decided_by": "items", "items": 20}, False),
    ],
)
def test_what_came_to_an_end_is_not_tried_again(database: Database, verdict: dict[str, Any], known: bool) -> None:
    ended(database, verdict)
    run = next_run(database)
    with database.read() as session:
        assert (HASH in decision.tried(session, run)) is known


def test_a_preview_tries_nothing(database: Database) -> None:
    ended(database, {"outcome": "not_tried", "decided_by": "preview"}, preview=True)
    run = next_run(database)
    with database.read() as session:
        assert decision.tried(session, run) == set()


@pytest.mark.parametrize(("items", "known"), [(99, True), (100, False)])
def test_short_evidence_may_be_tried_again_with_what_it_asked_for(
    database: Database, monkeypatch: pytest.MonkeyPatch, items: int, known: bool
) -> None:
    monkeypatch.setattr(proof, "items", lambda _session: [None] * items)
    ended(
        database, {"outcome": "not_enough_evidence", "decided_by": "test", "items": 70, "more_items": 30}, ticket=True
    )
    run = next_run(database)
    with database.read() as session:
        assert (HASH in decision.tried(session, run)) is known


def test_a_ticket_of_a_run_that_failed_is_spent_and_its_own_does_not_count(database: Database) -> None:
    with database.write() as session:
        run = runs.claim(session, runs.add(session, kind=cycles.KIND, seed=0).id)
        gate.take_ticket(session, run.id, dataset_hash=HASH)
        assert decision.tried(session, run) == set()
        runs.finish(session, run.id, token=run.token, status=RunStatus.FAILED, problem="The judge died.")
    another = next_run(database)
    with database.read() as session:
        assert decision.tried(session, another) == {HASH}
