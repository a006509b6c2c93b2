"""What a judge hands back about one answer, whichever judge it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from trainer.evaluate.items import Item


class JudgeError(Exception):
    """A judge gave no score; the text says why. It never carries a vendor's exception type."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of an answer, whether the passages support it, and on what that rests.

    ``probability`` is the bundled judge's; None from a language model, whose ``evidence`` is its reason.
    """

    statement: str
    supported: bool
    evidence: str
    probability: float | None = None
    passage: int | None = None


@dataclass(slots=True)
class Scores:
    """Values by metric, each in [0, 1], and the reason for each metric that has none."""

    values: dict[str, float] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    statements: list[Statement] = field(default_factory=list)


class Scorer(Protocol):
    """A judge with the metrics it computes.

    ``name`` tells configurations apart whose scores must not be mixed; ``judge_name`` is that of the judge in it, by
    which people's checks of its verdicts are kept. ``repeats``: how often each answer is scored and
    averaged. ``concurrency``: how many answers at once.
    """

    name: str
    judge_name: str
    repeats: int
    concurrency: int

    @property
    def metrics(self) -> tuple[str, ...]: ...

    async def score(self, item: Item, answer: str | None) -> Scores:
        """One round of scores. Without an answer (a refusal) only the metrics of the passages are computed.

        Failures of single metrics stand in ``errors``; it raises nothing but JudgeError, which fails all of them.
        """
        ...

    async def close(self) -> None: ...
