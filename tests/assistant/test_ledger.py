from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from assistant import ledger
from assistant.ledger import Ticket

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def tickets(*days_ago: float) -> list[Ticket]:
    return [Ticket(n, 100 + n, str(n), NOW - timedelta(days=ago)) for n, ago in enumerate(days_ago, 1)]


def test_twelve_equal_tickets_share_a_twentieth() -> None:
    assert ledger.TICKETS * ledger.ALPHA == 0.05
    assert ledger.left([], NOW) == 12
    assert ledger.left(tickets(*range(5)), NOW) == 7


def test_after_twelve_there_is_none_until_the_first_is_a_year_old() -> None:
    spent = tickets(*range(10, 130, 10))
    assert ledger.left(spent, NOW) == 0
    assert ledger.next_at(spent, NOW) == NOW - timedelta(days=120) + timedelta(days=365)
    assert ledger.left(spent, NOW + timedelta(days=245)) == 1
    assert ledger.next_at(spent[:11], NOW) is None


@given(st.lists(st.floats(-800, 800), max_size=60), st.floats(-800, 800))
def test_no_year_ever_has_more_than_twelve(days: list[float], start: float) -> None:
    """Whatever the times at which tickets are asked for: the ledger hands out at most twelve within 365 days."""
    given_out: list[Ticket] = []
    for n, day in enumerate(sorted(days)):
        now = NOW + timedelta(days=day)
        if ledger.left(given_out, now):
            given_out.append(Ticket(n, n, str(n), now))
    within = [t for t in given_out if NOW + timedelta(days=start) <= t.at < NOW + timedelta(days=start + 365)]
    assert len(within) <= 12


def test_turning_the_clock_back_gives_no_tickets_back() -> None:
    spent = tickets(*range(12))
    assert ledger.left(spent, NOW - timedelta(days=200)) == 0
