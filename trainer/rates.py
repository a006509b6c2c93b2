"""Which learning rate: each is tried for a short time, the one with the lowest validation loss is taken.

The rate is the setting that decides how faithful an adapter becomes; a rate that diverges is told and never taken.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from trainer.answers import Answer

UNMEASURED = 2e-4
"""Taken where nothing can be measured, because there are no validation examples."""

ENOUGH = 100
"""Validation items from which on their faithfulness decides between rates that are as good as equal by loss."""

_EQUAL = 0.01  # of the loss
_ROSE = 1.1  # times as high at the end as in the beginning


@dataclass(slots=True)
class Try:
    """One rate: losses by step, the validation loss after it, and the faithfulness of each validation answer.

    ``problem`` says why it must not be taken.
    """

    rate: float
    training: list[tuple[int, float]] = field(default_factory=list)
    loss: float | None = None
    faithfulness: list[float] = field(default_factory=list)
    problem: str | None = None

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self.faithfulness) if self.faithfulness else None


def divergence(attempt: Try, *, before: float, answers: Sequence[Answer], base: Sequence[Answer]) -> str | None:
    """Why a try is no use, or None.

    ``before`` is the validation loss of the base model; ``answers`` are those after the try, ``base`` those before it.
    """
    losses = [loss for _, loss in attempt.training]
    if not all(map(math.isfinite, [*losses, attempt.loss or 0.0])):
        return "diverged: the loss is no number"
    third = max(1, len(losses) // 3)
    rose = len(losses) > 1 and statistics.fmean(losses[-third:]) > _ROSE * statistics.fmean(losses[:third])
    if rose or (attempt.loss is not None and attempt.loss > _ROSE * before):
        return "diverged: the loss rose"
    for name, bad in (("empty", lambda a: not a.text), ("endless", lambda a: not a.ended)):
        now, then = (sum(map(bad, part)) for part in (answers, base))
        if now > len(answers) / 2 and now > then:
            return f"diverged: most answers are {name}"
    return None


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean, by the bootstrap over items, 1,000 times; 0 to 1 where there are none."""
    if not values:
        return 0.0, 1.0
    means = _resampled(values)
    return means[25], means[974]


def worse(after: Sequence[float], before: Sequence[float]) -> bool:
    """Whether answers became less faithful beyond doubt: the upper 95 % bound of the mean difference is below 0.

    By the bootstrap over items, 1,000 times.
    """
    differences = [a - b for a, b in zip(after, before, strict=True)]
    return bool(differences) and _resampled(differences)[949] < 0


def _resampled(values: Sequence[float]) -> list[float]:
    draw = random.Random(0)  # noqa: S311
    return sorted(statistics.fmean(draw.choices(values, k=len(values))) for _ in range(1_000))


def best(tries: Sequence[Try]) -> Try | None:
    """The try to take, or None if none is any use."""
    sound = [attempt for attempt in tries if attempt.problem is None and attempt.loss is not None]
    if not sound:
        return None
    first = min(sound, key=lambda attempt: (attempt.loss, attempt.rate))
    assert first.loss is not None
    if len(first.faithfulness) < ENOUGH:
        return first
    near = [attempt for attempt in sound if (attempt.loss or 0.0) <= first.loss * (1 + _EQUAL)]
    return max(near, key=lambda attempt: attempt.mean or 0.0)


def due(examples: int, *, earlier: int | None) -> bool:
    """Whether rates are to be tried: the first time, and whenever there are twice as many examples as then."""
    return earlier is None or examples >= 2 * earlier
