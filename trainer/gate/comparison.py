"""A candidate beside another model on the same items, measure by measure, as differences by group."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from trainer.gate.paired import Groups, gather
from trainer.gate.scores import Answer, Label, Said, answerable, difference

MARGINS: Mapping[str, float] = {
    "relevancy": 0.03,
    "twin_refusals": 0.05,
    "wrong_refusals": 0.05,
    "f1": 0.05,
    "shorter": math.log(2),
    "longer": math.log(2),
}
"""What may be lost in each measure but faithfulness. The two of length are logarithms: half as long, twice as long."""
RATES = frozenset({"twin_refusals", "wrong_refusals"})


@dataclass(frozen=True, slots=True)
class Row:
    """One item as all models answered it: ``answers`` by the name of the model.

    An item for which the judge failed has no row, for no model.
    """

    item: str
    group: str
    label: Label | None
    answers: Mapping[str, Answer]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A candidate less ``model``: the gain in faithfulness, and by name the measures in which it must not lose."""

    model: str
    gain: Groups
    kept: Mapping[str, Groups]


def compare_models(rows: Sequence[Row], *, candidate: str, other: str, threshold: float) -> Comparison:
    """``threshold`` is the faithfulness from which on an answer is supported."""
    found = [(row.group, differences(row, candidate=candidate, other=other, threshold=threshold)) for row in rows]

    def of(name: str) -> Groups:
        there = [(group, each[name]) for group, each in found if name in each]
        return gather([value for _, value in there], [group for group, _ in there])

    return Comparison(other, of("faithfulness"), {name: of(name) for name in MARGINS})


def differences(row: Row, *, candidate: str, other: str, threshold: float) -> dict[str, float]:
    """Of one item, by measure; measures that do not apply to it are missing."""
    ours, theirs = row.answers[candidate], row.answers[other]
    kept = {name: measure(ours, theirs, row, threshold) for name, measure in _MEASURES.items()}
    there = {name: value for name, value in kept.items() if value is not None}
    return {"faithfulness": difference(ours, theirs, row.label)} | there


def _relevancy(ours: Answer, theirs: Answer, _row: Row, _threshold: float) -> float | None:
    return None if ours.relevancy is None or theirs.relevancy is None else ours.relevancy - theirs.relevancy


def _twin_refusals(ours: Answer, theirs: Answer, _row: Row, _threshold: float) -> float | None:
    if ours.twin_refused is None or theirs.twin_refused is None:
        return None
    return float(ours.twin_refused) - float(theirs.twin_refused)


def _wrong_refusals(ours: Answer, theirs: Answer, row: Row, threshold: float) -> float | None:
    if not answerable(tuple(row.answers.values()), row.label, threshold=threshold):
        return None
    return float(theirs.said is Said.REFUSED) - float(ours.said is Said.REFUSED)


def _f1(ours: Answer, theirs: Answer, _row: Row, _threshold: float) -> float | None:
    return None if ours.f1 is None or theirs.f1 is None else ours.f1 - theirs.f1


def _length(ours: Answer, theirs: Answer) -> float | None:
    both = ours.said is theirs.said is Said.ANSWERED and ours.words and theirs.words
    return math.log(ours.words / theirs.words) if both else None


def _shorter(ours: Answer, theirs: Answer, _row: Row, _threshold: float) -> float | None:
    return _length(ours, theirs)


def _longer(ours: Answer, theirs: Answer, _row: Row, _threshold: float) -> float | None:
    return _length(theirs, ours)


_MEASURES: Mapping[str, Callable[[Answer, Answer, Row, float], float | None]] = {
    "relevancy": _relevancy,
    "twin_refusals": _twin_refusals,
    "wrong_refusals": _wrong_refusals,
    "f1": _f1,
    "shorter": _shorter,
    "longer": _longer,
}
