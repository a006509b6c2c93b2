"""From the evidence to the verdict: a candidate is promoted if all conditions hold, and not otherwise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from assistant.ledger import ALPHA
from trainer.gate import paired
from trainer.gate.comparison import MARGINS, RATES, Comparison
from trainer.gate.paired import Groups, Paired

ITEMS = 60
GROUPS = 12
EFFECTIVE = 8.0
GAIN = 0.01
"""The least mean gain that is worth a change."""
COVERAGE = 0.95
REFERENCES = 200
"""With fewer references their F1 is shown and decides nothing."""
COMPARABLE = 30
"""Likewise for every other measure: so many items that can be compared. Rates need ITEMS: with fewer than 53 not even a
candidate that lost none could pass.
"""
WANTED = 0.05
"""The gain of which the verdict says how much evidence it would need."""
CHECKED = 100
TRUSTED = 0.65
"""The judge's balanced accuracy on human-checked answers of the gate, below which it is not trusted."""
_EVIDENCE = frozenset({"items", "groups", "effective_groups", "largest_group", "coverage"})


class Outcome(StrEnum):
    """What came of a try. The last two are a cycle's, which broke off or was stopped, and never a verdict's."""

    PROMOTED = "promoted"
    REJECTED = "rejected"
    NOT_ENOUGH = "not_enough_evidence"
    NOT_TRUSTED = "judge_not_trusted"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a verdict rests on.

    ``champion`` and ``base`` are the same comparison while no adapter is live; ``proven`` is the one with the last
    champion that passed the gate, where the present one was promoted by hand. ``selected`` counts the items asked.
    ``judged`` is the judge's balanced accuracy on ``checked`` human-checked gate answers. ``canaries`` tells for each
    whether the real engine answered it properly; none are asked before all else holds, and without them nothing is
    promoted.
    """

    champion: Comparison
    base: Comparison
    proven: Comparison | None
    selected: int
    checked: int = 0
    judged: float | None = None
    canaries: tuple[bool, ...] = ()

    @property
    def comparisons(self) -> dict[str, Comparison]:
        """Those with different models, by model, the champion first."""
        return {each.model: each for each in (self.champion, self.base, self.proven) if each is not None}


@dataclass(frozen=True, slots=True)
class Condition:
    """``figure`` was held against ``limit``. ``decides``: whether the promotion depends on it.

    ``name`` is the kind of condition and ``against`` the model that the candidate was compared with, if any.
    """

    name: str
    holds: bool
    figure: float
    limit: float
    against: str = ""
    decides: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate decided, with all that a person needs to judge it.

    ``decided_by`` names the first condition that failed, the test when all hold. ``gains`` are the tests of
    faithfulness by model. ``more_items`` is how many more items a true gain of .05 would need, 0 if there are enough.
    """

    outcome: Outcome
    decided_by: str
    conditions: tuple[Condition, ...]
    gains: Mapping[str, Paired]
    items: int
    groups: int
    effective_groups: float
    coverage: float
    alpha: float
    more_items: int

    @property
    def awaits_canaries(self) -> bool:
        """Whether all else holds and the real engine has to be asked now."""
        failed = [condition for condition in self.conditions if condition.decides and not condition.holds]
        return [condition.name for condition in failed] == ["canaries"] and failed[0].limit == 0

    def as_json(self) -> dict[str, Any]:
        """For the run's row; numbers that JSON lacks become None."""
        plain = asdict(self) | {"gains": {model: asdict(gain) | {"p": gain.p} for model, gain in self.gains.items()}}
        return {name: _finite(value) for name, value in plain.items()}


def decide(evidence: Evidence, *, rng: np.random.Generator, alpha: float = ALPHA, draws: int = paired.DRAWS) -> Verdict:
    """Weighs the evidence. ``alpha`` is the ticket's."""
    testable = [each for each in evidence.comparisons.values() if len(each.gain.means) > 1]
    tests = paired.compare([each.gain for each in testable], alpha=alpha, rng=rng, draws=draws)
    return conclude(evidence, {each.model: test for each, test in zip(testable, tests, strict=True)}, alpha=alpha)


def conclude(evidence: Evidence, gains: Mapping[str, Paired], *, alpha: float) -> Verdict:
    """The verdict, given the results of the tests by model."""
    kept = {each.model: each for each in (evidence.champion, evidence.base)}
    conditions = (
        *_enough(evidence),
        *_better(evidence, gains, alpha),
        *(condition for comparison in kept.values() for condition in _kept(comparison)),
        Condition(
            "canaries",
            bool(evidence.canaries) and all(evidence.canaries),
            sum(evidence.canaries),
            len(evidence.canaries),
        ),
    )
    failed = next((condition for condition in conditions if condition.decides and not condition.holds), None)
    groups = evidence.champion.gain
    more = _more_items(groups, alpha)
    return Verdict(
        outcome=_outcome(evidence, failed, more),
        decided_by="test" if failed is None else failed.name,
        conditions=conditions,
        gains=dict(gains),
        items=groups.items,
        groups=len(groups.means),
        effective_groups=groups.effective,
        coverage=_coverage(evidence),
        alpha=alpha,
        more_items=more,
    )


def _outcome(evidence: Evidence, failed: Condition | None, more: int) -> Outcome:
    if evidence.checked >= CHECKED and (evidence.judged or 0.0) < TRUSTED:
        return Outcome.NOT_TRUSTED
    if failed is None:
        return Outcome.PROMOTED
    undecided = failed.name == "test" and more > 0 and evidence.champion.gain.mean >= GAIN
    return Outcome.NOT_ENOUGH if failed.name in _EVIDENCE or undecided else Outcome.REJECTED


def _enough(evidence: Evidence) -> Iterator[Condition]:
    groups, coverage = evidence.champion.gain, _coverage(evidence)
    yield Condition("items", groups.items >= ITEMS, groups.items, ITEMS)
    yield Condition("groups", len(groups.means) >= GROUPS, len(groups.means), GROUPS)
    yield Condition("effective_groups", groups.effective >= EFFECTIVE, groups.effective, EFFECTIVE)
    share = groups.largest_share
    yield Condition("largest_group", share <= paired.LARGEST_SHARE + 1e-9, share, paired.LARGEST_SHARE)
    yield Condition("coverage", coverage >= COVERAGE, coverage, COVERAGE)


def _coverage(evidence: Evidence) -> float:
    return evidence.champion.gain.items / evidence.selected if evidence.selected else 0.0


def _better(evidence: Evidence, gains: Mapping[str, Paired], alpha: float) -> Iterator[Condition]:
    champion = gains.get(evidence.champion.model)
    if champion is None:  # one group or none, as was said already
        return
    yield Condition("test", champion.p <= alpha, champion.p, alpha, evidence.champion.model)
    yield Condition("gain", champion.mean >= GAIN, champion.mean, GAIN, evidence.champion.model)
    for name, other in (("base", evidence.base), ("proven", evidence.proven)):
        if other is not None:
            lower = gains[other.model].lower
            yield Condition(name, lower > 0, lower, 0.0, other.model)


def _kept(comparison: Comparison) -> Iterator[Condition]:
    """What must not be lost for the sake of faithfulness."""
    for name, margin in MARGINS.items():
        groups = comparison.kept[name]
        lower = paired.rate_bound(groups) if name in RATES else paired.bound(groups)
        least = REFERENCES if name == "f1" else ITEMS if name in RATES else COMPARABLE
        decides = groups.items >= least
        yield Condition(name, lower >= -margin, lower, -margin, comparison.model, decides)


def _more_items(groups: Groups, alpha: float) -> int:
    """How many more a true gain of .05 would need to be seen with a probability of .8."""
    known = math.isfinite(groups.error) and groups.items >= GROUPS
    needed = paired.needed(groups, gain=WANTED, alpha=alpha) if known else 0
    return max(needed - groups.items, ITEMS - groups.items, 0)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value
