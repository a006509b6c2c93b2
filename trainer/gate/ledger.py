"""The ledger of tickets: every try to promote costs one, and a year has twelve.

A year's risk of promoting by mere chance, .05, is divided among them alike. A ticket is written before the gate's first
answer and never given back: not when the run fails, is deleted or is rejected. A run that is resumed uses its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

TICKETS = 12
ALPHA = 0.05 / TICKETS
"""The level of one try: .05 for twelve of them in a year."""
YEAR = timedelta(days=365)
SCREEN = 0.01
"""The gain on validation below which a candidate is not worth a ticket."""
NEW_AFTER_ROLLBACK = 0.10
"""The share of new examples that a dataset needs before it is tried again after its adapter was rolled back."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A try that was paid for: which run's, and when. ``number`` counts all tickets of the installation from 1."""

    number: int
    run_id: int
    at: datetime


def left(tickets: Sequence[Ticket], now: datetime) -> int:
    """How many tries there are now: twelve within any 365 days.

    A ticket from the future, which a clock that was turned back leaves behind, counts as spent.
    """
    return max(0, TICKETS - sum(ticket.at > now - YEAR for ticket in tickets))


def next_at(tickets: Sequence[Ticket], now: datetime) -> datetime | None:
    """When the next ticket can be had; None: now."""
    if left(tickets, now):
        return None
    return sorted(ticket.at for ticket in tickets)[-TICKETS] + YEAR


def of_run(tickets: Sequence[Ticket], run_id: int) -> Ticket | None:
    return next((ticket for ticket in tickets if ticket.run_id == run_id), None)


def worth_a_ticket(
    *, gain: float, dataset: str, tried: Sequence[str], rolled_back: frozenset[str], exchanges: frozenset[str]
) -> str | None:
    """Why a candidate is not worth a ticket, as the name of the reason; None: it is.

    ``gain`` over the champion is that on validation. ``dataset`` is the hash of what it learnt from, ``exchanges`` are
    the ids of that; ``tried`` are the datasets that a ticket was spent on, and ``rolled_back`` the ids behind the
    adapters that were rolled back.
    """
    if dataset in tried:
        return "unchanged"
    if rolled_back and len(exchanges - rolled_back) < NEW_AFTER_ROLLBACK * len(exchanges):
        return "rolled_back"
    return None if gain >= SCREEN else "screened"
