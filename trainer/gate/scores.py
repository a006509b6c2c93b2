"""From the answers of two models to the difference that counts for an item: refusals and gaps included.

Nothing an answer does takes an item away: dropping refusals would promote a model that refuses whatever is hard.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Label(StrEnum):
    """What people said of a question over its passages; most items have none."""

    ANSWERABLE = "answerable"
    UNANSWERABLE = "unanswerable"


class Said(StrEnum):
    """What a model did with an item. ``BROKEN``: an empty, endless or unreadable output."""

    ANSWERED = "answered"
    REFUSED = "refused"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Answer:
    """A model's answer to an item and its scores, all in [0, 1], None where they do not apply.

    ``faithfulness`` is the gate judge's, None for what is no answer. ``twin_refused`` says whether the same question
    without its supporting passages was refused (None: it has no twin); ``f1`` is against the reference, if there is
    one; ``words`` counts. ``context_relevance`` and ``context_precision`` are of the passages, whoever answers.
    """

    said: Said
    faithfulness: float | None = None
    relevancy: float | None = None
    twin_refused: bool | None = None
    f1: float | None = None
    words: int = 0
    context_relevance: float | None = None
    context_precision: float | None = None


def difference(candidate: Answer, other: Answer, label: Label | None) -> float:
    """The gain of a candidate over another model on one item, in [-1, 1].

    Where people said whether the question can be answered, a refusal scores 1 or 0. Where nobody did and exactly one
    refuses, refusing earns nothing: the candidate loses what the other had, and gains nothing over another's refusal.
    """
    if label is None and (candidate.said is Said.REFUSED or other.said is Said.REFUSED):
        return -_score(other, label) if other.said is not Said.REFUSED else 0.0
    return _score(candidate, label) - _score(other, label)


def _score(answer: Answer, label: Label | None) -> float:
    if answer.said is Said.BROKEN:
        return 0.0
    if answer.said is Said.REFUSED:
        return 1.0 if label is Label.UNANSWERABLE else 0.0
    if label is Label.UNANSWERABLE:
        return 0.0
    if answer.faithfulness is None:
        raise ValueError("an answer without the judge's score: the item has to be dropped, for all models")
    return answer.faithfulness


def answerable(answers: tuple[Answer, ...], label: Label | None, *, threshold: float) -> bool:
    """Whether refusing an item is wrong: people said so, or one of the models gave an answer that is supported."""
    if label is not None:
        return label is Label.ANSWERABLE
    return any(a.said is Said.ANSWERED and (a.faithfulness or 0.0) >= threshold for a in answers)
