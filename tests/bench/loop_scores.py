"""How the answers of ``make bench-loop`` are measured: each metric with its interval, and beside the base's, paired.

The first measure, ``grounding``, is of a judge that neither filters nor gates: shared words, numbers and names with the
passages, fitted on RAGTruth (``tests.bench.judge.Baseline``). All questions can be answered, so a refusal or an empty
answer counts 0 in whatever measures answers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from assistant import prompts
from tests.bench.judge import Baseline
from tests.bench.loop_people import Question
from trainer.evaluate.cache import Cache
from trainer.evaluate.intervals import interval
from trainer.evaluate.items import Item
from trainer.evaluate.labelled import Labelled
from trainer.evaluate.runner import run
from trainer.evaluate.scoring import Scorer
from trainer.gate import paired

ALPHA = 0.01
"""The level that a gain is held against."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A measured question with what the program showed for it and said."""

    question: Question
    passages: tuple[str, ...]
    answer: str


class Measure:
    """Scores answers by all judges. ``scorers``: by the name that their metrics get."""

    def __init__(self, baseline: Baseline, scorers: dict[str, Scorer], cache: Cache) -> None:
        self._baseline = baseline
        self._scorers = scorers
        self._cache = cache

    async def values(self, answered: Sequence[Answered]) -> dict[str, list[float]]:
        """By metric a value in [0, 1] for each answer, NaN where a judge failed."""
        found = {
            "grounding": self._grounding(answered),
            "right": [float(one.question.right(one.answer)) for one in answered],
            "refused": [float(prompts.is_refusal(one.answer)) for one in answered],
        }
        items = [_item(one) for one in answered]
        for name, scorer in self._scorers.items():
            records = await run(items, [one.answer for one in answered], scorer, self._cache)
            for metric in scorer.metrics:
                if any(metric in record["metrics"] for record in records):
                    # What no judge has a say in is the same from each.
                    shown = metric if metric.endswith("_by_embedding") else f"{metric}, judge {name}"
                    found[shown] = [_value(record, metric) for record in records]
            found["f1"] = [record["measures"].get("f1", 0.0) for record in records]
        return found

    def _grounding(self, answered: Sequence[Answered]) -> list[float]:
        texts = [Labelled("", "", "\n".join(one.passages), one.answer, True, "en") for one in answered]
        chances = self._baseline.probabilities(texts)
        return [0.0 if _silent(one.answer) else float(p) for one, p in zip(answered, chances, strict=True)]


def _silent(answer: str) -> bool:
    return not answer.strip() or prompts.is_refusal(answer)


def _item(one: Answered) -> Item:
    question = one.question
    return Item(
        id=question.id,
        document=question.cluster,
        question=question.text,
        passages=one.passages,
        answer=one.answer,
        references=question.answers,
        answerable=True,
        lang=question.language,
    )


def _value(record: dict[str, Any], metric: str) -> float:
    if metric in record["metrics"]:
        return float(record["metrics"][metric])
    return 0.0 if _silent(record["answer"]) and not metric.startswith("context_") else math.nan


def summed(values: Sequence[float], clusters: Sequence[str]) -> dict[str, Any]:
    """Mean and 95 % interval of what was scored, and how much was."""
    scored = np.array(values, dtype=float)
    known = np.flatnonzero(~np.isnan(scored))
    kept, of = scored[known], [clusters[i] for i in known]
    low, high = interval(of, lambda i: float(kept[i].mean()))
    mean = float(kept.mean()) if len(kept) else math.nan
    return {"mean": mean, "interval": [low, high], "n": len(kept), "of": len(scored)}


def gain(after: Sequence[float], before: Sequence[float], clusters: Sequence[str]) -> dict[str, Any]:
    """The mean difference with its 95 % interval, and the one-sided p of the gate's own tests that it is above 0."""
    differences = np.array(after, dtype=float) - np.array(before, dtype=float)
    known = np.flatnonzero(~np.isnan(differences))
    kept, of = differences[known], [clusters[i] for i in known]
    statistic: Callable[[Any], float] = lambda i: float(kept[i].mean())  # noqa: E731
    low, high = interval(of, statistic)
    told: dict[str, Any] = {"mean": float(kept.mean()), "interval": [low, high], "n": len(kept)}
    groups = paired.gather(kept, of)
    if len(groups.means) > 1 and np.any(kept):
        (tested,) = paired.compare([groups], alpha=ALPHA, rng=np.random.default_rng(0), draws=20_000)
        return told | {"p": tested.p, "lower": tested.lower}
    return told | {"p": 1.0, "lower": told["mean"]}
