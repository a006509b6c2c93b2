from __future__ import annotations

from trainer.gate import screening

NOTHING: frozenset[str] = frozenset()


def worth(*, gain: float = 0.05, dataset: str = "new", tried: tuple[str, ...] = ()) -> str | None:
    return screening.worth_a_ticket(gain=gain, dataset=dataset, tried=tried, rolled_back=NOTHING, exchanges=NOTHING)


def test_what_costs_nothing() -> None:
    assert worth() is None
    assert worth(gain=0.0099) == "screened"
    assert worth(dataset="old", tried=("old",)) == "unchanged"
    assert worth(gain=float("nan")) == "screened"


def test_a_rolled_back_dataset_needs_a_tenth_of_new_examples() -> None:
    old = frozenset(map(str, range(90)))
    enough = old | frozenset(map(str, range(100, 110)))
    too_few = old | frozenset(map(str, range(100, 109)))
    for exchanges, expected in ((old, "rolled_back"), (too_few, "rolled_back"), (enough, None)):
        found = screening.worth_a_ticket(gain=0.1, dataset="d", tried=(), rolled_back=old, exchanges=exchanges)
        assert found == expected
