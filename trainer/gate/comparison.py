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
    gains = [difference(row.answers[candidate], row.answers[other], row.label) for row in rows]
    kept = {}
    for name, measure in _MEASURES.items():
        found = [
            (value, row.group)
            for row in rows
            if (value := measure(row.answers[candidate], row.answers[other], row, threshold)) is not None
        ]
        kept[name] = gather([value for value, _ in found], [group for _, group in found])
    return Comparison(other, gather(gains, [row.group for row in rows]), kept)


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
