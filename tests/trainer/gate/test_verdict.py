from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from trainer.gate import verdict
from trainer.gate.comparison import Comparison, Row, compare_models
from trainer.gate.scores import Answer, Said
from trainer.gate.verdict import Evidence, Outcome, Verdict, decide


def answer(faithfulness: float, *, words: int = 20, twin: bool = True, relevancy: float = 0.8) -> Answer:
    return Answer(Said.ANSWERED, faithfulness=faithfulness, relevancy=relevancy, twin_refused=twin, f1=0.5, words=words)


REFUSED = Answer(Said.REFUSED, twin_refused=True, f1=0.0, words=6)


def rows(
    gains: np.ndarray, *, groups: int = 0, candidate: Answer | None = None, share: float = 1.0, base: float = 0.5
) -> list[Row]:
    """The champion has .5 in each item, the candidate ``gains`` more; a ``share`` of its answers is ``candidate``."""
    made = []
    for n, gain in enumerate(gains):
        ours = answer(0.5 + float(gain))
        if candidate is not None and n < share * len(gains):
            ours = (
                candidate if candidate.said is not Said.ANSWERED else replace(candidate, faithfulness=ours.faithfulness)
            )
        group = str(n % groups) if groups else str(n)
        made.append(Row(str(n), group, None, {"candidate": ours, "champion": answer(0.5), "base": answer(base)}))
    return made


def compared(made: list[Row], other: str) -> Comparison:
    return compare_models(made, candidate="candidate", other=other, threshold=0.5)


def evidence(made: list[Row], *, canaries: tuple[bool, ...] = (True, True)) -> Evidence:
    return Evidence(
        champion=compared(made, "champion"),
        base=compared(made, "base"),
        proven=None,
        selected=len(made),
        canaries=canaries,
    )


def decided(found: Evidence) -> Verdict:
    return decide(found, rng=np.random.default_rng(0), draws=12_000)


def spread(items: int, mean: float, deviation: float = 0.2) -> np.ndarray:
    values = np.random.default_rng(items).normal(0, 1, items)
    return np.clip(mean + deviation * (values - values.mean()) / values.std(), -0.5, 0.5)


def test_a_clear_gain_is_promoted_and_says_why() -> None:
    found = decided(evidence(rows(spread(300, 0.08))))
    assert found.outcome is Outcome.PROMOTED
    assert found.decided_by == "test"
    assert all(condition.holds for condition in found.conditions if condition.decides)
    assert {condition.against for condition in found.conditions if condition.name == "relevancy"} == {
        "champion",
        "base",
    }
    assert 0 < found.gains["champion"].lower < found.gains["champion"].mean
    assert found.more_items == 0
    told = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert told["outcome"] == "promoted"
    assert told["gains"]["champion"]["p"] <= told["alpha"]


def test_no_gain_with_plenty_of_evidence_is_rejected() -> None:
    found = decided(evidence(rows(spread(500, 0.004))))
    assert (found.outcome, found.decided_by, found.more_items) == (Outcome.REJECTED, "test", 0)


def test_a_gain_that_few_items_cannot_show_asks_for_more() -> None:
    found = decided(evidence(rows(spread(90, 0.05, 0.3))))
    assert (found.outcome, found.decided_by) == (Outcome.NOT_ENOUGH, "test")
    assert found.more_items == pytest.approx(436 * (0.27 / 0.3) ** 2 - 90, abs=60)  # cut at .5, they spread less


@pytest.mark.parametrize(
    ("items", "groups", "decided_by"), [(59, 0, "items"), (120, 11, "groups"), (120, 12, "test"), (0, 0, "items")]
)
def test_the_least_evidence(items: int, groups: int, decided_by: str) -> None:
    found = decided(evidence(rows(spread(items, 0.3, 0.1) if items else np.array([]), groups=groups)))
    assert found.decided_by == decided_by
    assert found.outcome is (Outcome.PROMOTED if decided_by == "test" else Outcome.NOT_ENOUGH)
    if decided_by == "items":
        assert found.more_items >= 60 - items


def test_a_few_large_groups_do_not_decide_alone() -> None:
    """Of 18 groups 7 have nearly all items: their weight is cut to a tenth each, and they tell as much as 13."""
    made = rows(spread(700, 0.2, 0.1), groups=7) + [replace(r, group="x" + r.item) for r in rows(spread(11, 0.2))]
    found = decided(evidence(made))
    assert found.effective_groups == pytest.approx(12.8, abs=0.1)
    assert max(c.figure for c in found.conditions if c.name == "largest_group") <= 0.1 + 1e-9


def test_a_judge_that_failed_too_often_decides_nothing() -> None:
    found = decided(replace(evidence(rows(spread(300, 0.2))), selected=316))
    assert (found.outcome, found.decided_by) == (Outcome.NOT_ENOUGH, "coverage")


def test_better_than_the_champion_but_not_than_the_base_is_rejected() -> None:
    found = decided(evidence(rows(spread(300, 0.1), base=0.9)))
    assert (found.outcome, found.decided_by) == (Outcome.REJECTED, "base")


def test_after_a_promotion_by_hand_the_last_proven_champion_has_to_be_beaten_too() -> None:
    made = rows(spread(300, 0.1))
    for row in made:
        row.answers["v3"] = answer(0.9)  # type: ignore[index]
    found = decided(replace(evidence(made), proven=compared(made, "v3")))
    assert (found.outcome, found.decided_by) == (Outcome.REJECTED, "proven")


@pytest.mark.parametrize(
    ("candidate", "share", "decided_by"),
    [
        (answer(0, relevancy=0.7), 0.5, "relevancy"),
        (answer(0, twin=False), 0.06, "twin_refusals"),
        (REFUSED, 0.05, "wrong_refusals"),
        (replace(answer(0), f1=0.3), 0.5, "f1"),
        (answer(0, words=9), 1.0, "shorter"),
        (answer(0, words=45), 1.0, "longer"),
    ],
)
def test_faithfulness_is_not_bought_with_anything_else(candidate: Answer, share: float, decided_by: str) -> None:
    found = decided(evidence(rows(spread(300, 0.2, 0.1), candidate=candidate, share=share)))
    assert (found.outcome, found.decided_by) == (Outcome.REJECTED, decided_by)


def test_few_references_are_shown_and_decide_nothing() -> None:
    found = decided(evidence(rows(spread(150, 0.2, 0.1), candidate=replace(answer(0), f1=0.0), share=1.0)))
    assert found.outcome is Outcome.PROMOTED
    f1 = next(condition for condition in found.conditions if condition.name == "f1")
    assert (f1.holds, f1.decides) == (False, False)


def test_where_few_questions_can_be_answered_wrong_refusals_decide_nothing() -> None:
    """With 40 of them not even a candidate that refuses none stays within the margin."""
    made = []
    for n in range(60):
        better, worse = (0.9, 0.5) if n < 40 else (0.45, 0.05)
        made.append(
            Row(str(n), str(n), None, {"candidate": answer(better), "champion": answer(worse), "base": answer(worse)})
        )
    found = decided(evidence(made))
    assert found.outcome is Outcome.PROMOTED
    refusals = next(condition for condition in found.conditions if condition.name == "wrong_refusals")
    assert (refusals.holds, refusals.decides) == (False, False)


def test_a_model_that_refuses_whatever_is_hard_is_not_promoted() -> None:
    """Dropping what it refuses would leave its good answers alone."""
    made = []
    for n in range(300):
        hard = n % 3 == 0
        ours = REFUSED if hard else answer(0.9)
        theirs = answer(0.2 if hard else 0.88)
        made.append(Row(str(n), str(n), None, {"candidate": ours, "champion": theirs, "base": theirs}))
    found = decided(evidence(made))
    assert found.outcome is Outcome.REJECTED
    assert found.gains["champion"].mean < 0


def test_without_canaries_nothing_is_promoted() -> None:
    made = rows(spread(300, 0.1))
    waiting = decided(evidence(made, canaries=()))
    assert waiting.awaits_canaries
    assert waiting.outcome is not Outcome.PROMOTED
    broken = decided(evidence(made, canaries=(True, False, True)))
    assert (broken.outcome, broken.decided_by, broken.awaits_canaries) == (Outcome.REJECTED, "canaries", False)
    assert not decided(evidence(rows(spread(300, 0.0)), canaries=())).awaits_canaries


def test_a_judge_that_people_contradict_is_not_trusted() -> None:
    made = evidence(rows(spread(300, 0.1)))
    assert decided(replace(made, checked=100, judged=0.64)).outcome is Outcome.NOT_TRUSTED
    assert decided(replace(made, checked=99, judged=0.64)).outcome is Outcome.PROMOTED
    assert decided(replace(made, checked=100, judged=0.65)).outcome is Outcome.PROMOTED


def test_a_verdict_without_any_item_can_be_written_down() -> None:
    told = decided(evidence([])).as_json()
    assert json.dumps(told, allow_nan=False)
    assert told["outcome"] == verdict.Outcome.NOT_ENOUGH
    assert math.isclose(told["coverage"], 0)
