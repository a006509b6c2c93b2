"""What the log adds to a verdict: which datasets were tried, what people said of the judge, which tickets are left."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from assistant import ledger
from assistant.records import Run, RunStatus
from assistant.store import gate, runs, samples
from trainer import proof
from trainer.gate.comparison import Row, compare_models
from trainer.gate.verdict import Evidence, Outcome, Verdict

BASE = "base"
"""The name under which the model without an adapter answers in the gate."""


def tried(session: Session, run: Run) -> set[str | None]:
    """The datasets that a ticket was spent on, or that an earlier cycle came to an end with.

    What never reached the gate for want of a ticket or of items may be tried when there are, and what its evidence was
    too short for, with another ticket, once the gate has as many more items as that verdict asked for.
    """
    ended = [
        (earlier.dataset_hash, earlier.verdict)
        for earlier in runs.latest(session, kind=run.kind, limit=1000)
        if earlier.id != run.id
        and earlier.status is RunStatus.DONE
        and not earlier.parameters.get("preview")
        and earlier.verdict
    ]
    spent: set[str | None] = {ticket.dataset_hash for ticket in gate.tickets(session) if ticket.run_id != run.id}
    known: set[str | None] = {
        hash_ for hash_, verdict in ended if verdict["decided_by"] not in {"no_tickets", "items", "groups"}
    }
    items = len(proof.items(session))
    return (known | spent) - {hash_ for hash_, verdict in ended if _outgrown(verdict, items)}


def _outgrown(verdict: Mapping[str, Any], items: int) -> bool:
    more: int = verdict.get("more_items", 0)
    return bool(verdict["outcome"] == Outcome.NOT_ENOUGH and 0 < more <= items - verdict["items"])


def evidence(
    session: Session,
    rows: list[Row],
    candidate: str,
    examined: Mapping[str, Any],
    *,
    supported: float,
    canaries: tuple[bool, ...],
) -> Evidence:
    """All that the gate decides by. ``examined`` is what the stage of that name found."""
    champion, proven = examined["champion"] or BASE, examined["proven"]
    others = {
        name: compare_models(rows, candidate=candidate, other=name, threshold=supported)
        for name in {BASE, champion, *filter(None, [proven])}
    }
    checked, judged = proof.trust(session, examined["judge"])
    return Evidence(
        champion=others[champion],
        base=others[BASE],
        proven=others.get(proven),
        selected=examined["selected"],
        checked=checked,
        judged=judged,
        canaries=canaries,
    )


def told(session: Session, found: Verdict, candidate: str, examined: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict as it is kept and shown, with what is left and how many more exchanges would decide."""
    sealed_share = max(found.items, 1) / max(gate.counts(session)["exchanges"], 1)
    return found.as_json() | {
        "candidate": candidate,
        **{name: examined[name] for name in ("champion", "proven", "judge", "ticket")},
        "checked_by_people": [agreement.as_json() for agreement in samples.agreements(session)],
        "tickets_left": ledger.left(gate.tickets(session), datetime.now(UTC)),
        "more_exchanges": math.ceil(found.more_items / sealed_share),
    }
