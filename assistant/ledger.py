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


@dataclass(frozen=True, slots=True)
class Ticket:
    """A try that was paid for: which run's, with which dataset, and when. ``number`` counts from 1."""

    number: int
    run_id: int
    dataset_hash: str
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
