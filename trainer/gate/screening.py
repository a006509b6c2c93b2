"""Which candidates are worth a ticket: those that beat the champion on validation, with a dataset that is new."""

from __future__ import annotations

from collections.abc import Collection

SCREEN = 0.01
"""The gain on validation below which a candidate is not worth a ticket."""
NEW_AFTER_ROLLBACK = 0.10
"""The share of new examples that a dataset needs before it is tried again after its adapter was rolled back."""


def worth_a_ticket(
    *, gain: float, dataset: str, tried: Collection[str | None], rolled_back: frozenset[str], exchanges: frozenset[str]
) -> str | None:
    """Why a candidate is not worth a ticket, as the name of the reason; None: it is.

    ``gain`` over the champion is that on validation. ``dataset`` is the hash of what it learnt from, ``exchanges`` are
    the ids of that; ``tried`` are the datasets that are not to be tried again, and ``rolled_back`` the ids behind the
    adapters that were rolled back.
    """
    if dataset in tried:
        return "unchanged"
    if rolled_back and len(exchanges - rolled_back) < NEW_AFTER_ROLLBACK * len(exchanges):
        return "rolled_back"
    return None if gain >= SCREEN else "screened"
