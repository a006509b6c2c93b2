from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.gate.scores import Answer, Label, Said, answerable, difference


def said(faithfulness: float) -> Answer:
    return Answer(Said.ANSWERED, faithfulness=faithfulness)


REFUSED = Answer(Said.REFUSED)
BROKEN = Answer(Said.BROKEN)


@pytest.mark.parametrize(
    ("candidate", "champion", "label", "expected"),
    [
        (said(0.9), said(0.4), None, 0.5),
        (said(0.4), said(0.9), Label.ANSWERABLE, -0.5),
        # Unlabelled: a refusal earns nothing.
        (REFUSED, said(0.75), None, -0.75),
        (said(1.0), REFUSED, None, 0.0),
        (REFUSED, REFUSED, None, 0.0),
        (REFUSED, BROKEN, None, 0.0),
        (BROKEN, REFUSED, None, 0.0),
        # People said that it cannot be answered: the refusal is right.
        (REFUSED, said(1.0), Label.UNANSWERABLE, 1.0),
        (said(1.0), REFUSED, Label.UNANSWERABLE, -1.0),
        (BROKEN, REFUSED, Label.UNANSWERABLE, -1.0),
        (REFUSED, BROKEN, Label.UNANSWERABLE, 1.0),
        # People said that it can be: the refusal is wrong.
        (REFUSED, said(0.6), Label.ANSWERABLE, -0.6),
        (said(0.6), REFUSED, Label.ANSWERABLE, 0.6),
        # Empty, endless, unreadable: 0, and never left out.
        (BROKEN, said(0.8), None, -0.8),
        (said(0.8), BROKEN, None, 0.8),
    ],
)
def test_what_an_item_counts(candidate: Answer, champion: Answer, label: Label | None, expected: float) -> None:
    assert difference(candidate, champion, label) == pytest.approx(expected)


answers = st.one_of(st.floats(0, 1).map(said), st.sampled_from([REFUSED, BROKEN]))
labels = st.sampled_from([None, *Label])


@given(answers, answers, labels)
def test_differences_lie_between_minus_one_and_one(a: Answer, b: Answer, label: Label | None) -> None:
    assert -1 <= difference(a, b, label) <= 1


@given(answers, labels)
def test_a_model_gains_nothing_over_itself(answer: Answer, label: Label | None) -> None:
    assert difference(answer, answer, label) == 0


@given(answers, answers)
def test_refusing_where_nobody_labelled_never_gains(a: Answer, b: Answer) -> None:
    assert difference(REFUSED, b, None) <= 0
    assert difference(a, REFUSED, None) <= 0  # nor does another's refusal


@given(st.floats(0, 1), st.floats(0, 1), labels)
def test_a_more_faithful_answer_never_counts_less(low: float, high: float, label: Label | None) -> None:
    low, high = sorted((low, high))
    for other in (said(0.5), REFUSED, BROKEN):
        assert difference(said(high), other, label) >= difference(said(low), other, label)


def test_an_answer_that_was_not_judged_is_an_error_and_no_zero() -> None:
    with pytest.raises(ValueError, match="dropped"):
        difference(Answer(Said.ANSWERED), said(0.5), None)


def test_what_counts_as_answerable() -> None:
    assert answerable((REFUSED,), Label.ANSWERABLE, threshold=0.5)
    assert not answerable((said(1.0),), Label.UNANSWERABLE, threshold=0.5)
    assert answerable((REFUSED, said(0.5)), None, threshold=0.5)
    assert not answerable((REFUSED, said(0.49), BROKEN), None, threshold=0.5)
    for one, two in product([REFUSED, said(0.9)], repeat=2):  # whoever of the models it was
        assert answerable((one, two), None, threshold=0.5) == answerable((two, one), None, threshold=0.5)
