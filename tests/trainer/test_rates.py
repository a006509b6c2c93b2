"""Which learning rate is taken, and which never is."""

from __future__ import annotations

import math

import pytest

from trainer import rates
from trainer.answers import Answer
from trainer.rates import Try

FINE = [Answer("It was opened in 1900. [1]", ended=True)] * 8


def falling(rate: float, loss: float, **values: object) -> Try:
    return Try(rate, [(n, 3.0 - 0.1 * n) for n in range(9)], loss, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("attempt", "answers", "told"),
    [
        (falling(1e-4, 1.5), FINE, None),
        (Try(1e-1, [(1, 3.0), (2, math.nan)], 2.0), FINE, "no number"),
        (Try(1e-1, [(1, 3.0)], math.inf), FINE, "no number"),
        (Try(1e-2, [(n, 2.0 + n) for n in range(9)], 2.1), FINE, "rose"),
        (Try(1e-4, [(n, 2.0 + n) for n in range(9)], 1.9), FINE, None),
        (falling(1e-2, 9.0), FINE, "rose"),
        (falling(1e-3, 1.5), [Answer("", ended=True)] * 5 + FINE[:3], "empty"),
        (falling(1e-3, 1.5), [Answer("the the the", ended=False)] * 5 + FINE[:3], "endless"),
    ],
    ids=["fine", "nan", "inf", "rising", "harder batches", "worse than the base", "empty", "endless"],
)
def test_divergence_is_told(attempt: Try, answers: list[Answer], told: str | None) -> None:
    found = rates.divergence(attempt, before=2.0, answers=answers, base=FINE)
    assert (found is None) if told is None else (told in (found or ""))


def test_a_base_that_rambles_already_is_no_divergence() -> None:
    endless = [Answer("the the", ended=False)] * 8
    assert rates.divergence(falling(1e-3, 1.5), before=2.0, answers=endless, base=endless) is None


def test_the_lowest_validation_loss_is_taken_of_those_that_may_be() -> None:
    tries = [falling(1e-4, 1.5), falling(2e-4, 1.2), falling(4e-4, 1.1, problem="diverged: the loss rose")]
    assert rates.best(tries) is tries[1]
    assert rates.best(tries[2:]) is None


def test_faithfulness_decides_between_equals_once_there_are_enough_items() -> None:
    few, many = [0.5] * (rates.ENOUGH - 1), [0.5] * rates.ENOUGH
    tries = [falling(1e-4, 1.200, faithfulness=few), falling(2e-4, 1.205, faithfulness=[0.9] * len(few))]
    assert rates.best(tries) is tries[0], "with fewer it may only veto"
    tries = [falling(1e-4, 1.200, faithfulness=many), falling(2e-4, 1.205, faithfulness=[0.9] * len(many))]
    assert rates.best(tries) is tries[1]
    tries = [falling(1e-4, 1.200, faithfulness=many), falling(2e-4, 1.300, faithfulness=[0.9] * len(many))]
    assert rates.best(tries) is tries[0], "but never against the loss"


def test_higher_rates_are_tried_while_the_highest_is_the_best() -> None:
    planned = [1e-4, 2e-4]
    tries: list[Try] = []
    for rate, loss in ((1e-4, 1.5), (2e-4, 1.4), (4e-4, 1.3), (8e-4, 1.35)):
        assert rates.following(tries, planned) == rate
        tries.append(falling(rate, loss))
    assert rates.following(tries, planned) is None, "the best one lies between others"
    assert rates.best(tries) is tries[2]


@pytest.mark.parametrize(
    ("tries", "planned"),
    [
        ([falling(1e-4, 1.3), falling(2e-4, 1.4)], [1e-4, 2e-4]),
        ([falling(1e-4, 1.4), falling(2e-4, 1.3, problem="diverged")], [1e-4, 2e-4]),
        ([falling(1e-4, 1.4, problem="diverged"), falling(2e-4, 1.3, problem="diverged")], [1e-4, 2e-4]),
        ([falling(1e-4, 1.4)], [1e-4]),
        ([falling(1e-3, 1.4), falling(0.5, 1.3)], [1e-3, 0.5]),
        ([falling(1e-4 * 2**n, 2.0 - 0.1 * n) for n in range(2 + rates.MORE)], [1e-4, 2e-4]),
    ],
    ids=["a lower one is best", "the highest diverged", "none is any use", "one alone is meant", "too high", "enough"],
)
def test_no_higher_rate_is_tried(tries: list[Try], planned: list[float]) -> None:
    assert rates.following(tries, planned) is None


def test_the_order_of_the_rates_does_not_matter() -> None:
    planned = [4e-4, 1e-4]
    tries = [falling(4e-4, 1.2), falling(1e-4, 1.5)]
    assert rates.following(tries[:1], planned) == 1e-4
    assert rates.following(tries, planned) == pytest.approx(1.6e-3)


def test_less_faithful_beyond_doubt_is_a_veto() -> None:
    assert rates.worse([0.1] * 20, [0.8] * 20)
    assert not rates.worse([0.8, 0.1] * 10, [0.1, 0.8] * 10)
    assert not rates.worse([0.9] * 20, [0.8] * 20)
    assert not rates.worse([], [])


def test_rates_are_tried_at_first_and_when_the_data_has_doubled() -> None:
    assert rates.due(10, earlier=None)
    assert not rates.due(199, earlier=100)
    assert rates.due(200, earlier=100)
