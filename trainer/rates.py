"""Which learning rate: each is tried for a short time, the one with the lowest validation loss is taken.

The rate is the setting that decides how faithful an adapter becomes; a rate that diverges is told and never taken. The
best one has to lie between others: while it is the highest that was tried, a higher one is tried, too.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from assistant.settings import Training
from trainer.answers import Answer

UNMEASURED = 2e-4
"""Taken where nothing can be measured, because there are no validation examples."""

ENOUGH = 100
"""Validation items from which on their faithfulness decides between rates that are as good as equal by loss."""

MORE = 5
"""Rates that are tried beyond those of the settings, at most."""

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
    # A few batches differ by more than that: a rise counts only where the validation got no better.
    if attempt.loss is not None and attempt.loss > before * (1.0 if rose else _ROSE):
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


def following(tries: Sequence[Try], planned: Sequence[float]) -> float | None:
    """The rate to try next: those that are planned, and then higher ones while the highest has the lowest loss.

    Each is as many times higher as the highest two planned ones lie apart. Where one alone is planned it is meant.
    """
    tried = {attempt.rate for attempt in tries}
    waiting = [rate for rate in planned if rate not in tried]
    if waiting:
        return waiting[0]
    below, highest = sorted({0.0, *planned})[-2:]
    lowest = _lowest(tries)
    if lowest is None or below == 0 or lowest.rate < max(tried) or len(tried) >= len(set(planned)) + MORE:
        return None
    higher = float(f"{lowest.rate * highest / below:.3g}")
    return higher if higher < 1 else None


def most(settings: Training) -> int:
    """How many rates are tried, at most."""
    planned = len(set(settings.learning_rates))
    return planned + (MORE if planned > 1 else 0)


def best(tries: Sequence[Try]) -> Try | None:
    """The try to take, or None if none is any use."""
    first = _lowest(tries)
    if first is None:
        return None
    assert first.loss is not None
    sound = [attempt for attempt in tries if attempt.problem is None and attempt.loss is not None]
    if len(first.faithfulness) < ENOUGH:
        return first
    near = [attempt for attempt in sound if (attempt.loss or 0.0) <= first.loss * (1 + _EQUAL)]
    return max(near, key=lambda attempt: attempt.mean or 0.0)


def _lowest(tries: Sequence[Try]) -> Try | None:
    """The one with the lowest validation loss of those that may be taken."""
    sound = [attempt for attempt in tries if attempt.problem is None and attempt.loss is not None]
    return min(sound, key=lambda attempt: (attempt.loss, attempt.rate), default=None)


def due(examples: int, *, earlier: int | None) -> bool:
    """Whether rates are to be tried: the first time, and whenever there are twice as many examples as then."""
    return earlier is None or examples >= 2 * earlier
