"""Measures a bundled judge on texts of which people said whether their context supports them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from assistant.entailment import Judge, SentenceSupport
from assistant.errors import InputError
from trainer.evaluate.intervals import Indexes, interval
from trainer.evaluate.items import lines

_RESAMPLES = 1_000


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text with its context. ``document``: texts of one document are of one cluster."""

    source: str
    document: str
    context: str
    text: str
    supported: bool
    lang: str


def read(paths: Sequence[Path]) -> list[Labelled]:
    """Records of both kinds of open data: with ``text`` and ``supported``, or with ``response`` and ``spans``.

    A response is unsupported if it has a span. The source is the record's or else the file's name. Raises InputError.
    """
    found = []
    for path in paths:
        for number, record in lines(path):
            try:
                found.append(_labelled(record, path.stem))
            except (KeyError, TypeError) as error:
                raise InputError(f"Line {number} of {path.name} has neither of the two shapes: {error!r}.") from error
    if not found:
        raise InputError(f"There is no text in {', '.join(path.name for path in paths)}.")
    return found


def _labelled(record: dict[str, Any], stem: str) -> Labelled:
    context = record["context"]
    if "spans" in record:
        text, supported = record["response"], not record["spans"]
    else:
        text, supported = record["text"], record["supported"]
    if not isinstance(context, str) or not isinstance(text, str) or not isinstance(supported, bool):
        raise TypeError("context and text must be text, supported must be true or false")
    document = str(record.get("source_id") or hashlib.sha256(context.encode()).hexdigest()[:12])
    return Labelled(record.get("source") or stem, document, context, text, supported, record.get("lang") or "en")


def measure(items: Sequence[Labelled], judge: Judge, *, threads: int = 2) -> dict[str, Any]:
    """The figures of ``report`` for what ``judge`` says of each text as a whole, by source and language.

    A text of one sentence has that sentence's probability, as in the chat; a longer one that of an answer.
    """
    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(lambda item: judge.support([item.context], item.text), items))
    probabilities = np.array([_probability(judge, supports) for supports in found])
    said = np.array([judge.supported(supports) for supports in found])
    shipped = {"judge": judge.name, "threshold": judge.threshold, "answer_threshold": judge.answer_threshold}
    return shipped | report(items, probabilities, said)


def _probability(judge: Judge, supports: Sequence[SentenceSupport]) -> float:
    return supports[0].probability if len(supports) == 1 else judge.answer_probability(supports)


def report(
    items: Sequence[Labelled], probabilities: npt.NDArray[np.float64], said: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    """``said``: what was found supported. ``balanced_accuracy``, ``f1`` (of supported texts), ``auroc`` and
    ``calibration_error``, ``length_correlation``, each with an ``interval``.

    The calibration error is the expected one over ten bins of equal size. ``length_correlation`` is Spearman's, of
    probability and length in words among texts of one label (partial): a judge that rewards short or long answers shows
    there, and that supported answers are shorter does not.
    """
    return _figures(items, probabilities, said) | {
        f"by_{name}": {
            value: _figures([items[i] for i in of], probabilities[of], said[of])
            for value in sorted({key(item) for item in items})
            if (of := [i for i, item in enumerate(items) if key(item) == value])
        }
        for name, key in _KEYS.items()
    }


_KEYS: dict[str, Callable[[Labelled], str]] = {"source": lambda item: item.source, "language": lambda item: item.lang}


def _figures(
    items: Sequence[Labelled], probabilities: npt.NDArray[np.float64], said: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    truth = np.array([item.supported for item in items], bool)
    lengths = np.array([len(item.text.split()) for item in items])
    clusters = [item.document for item in items]
    statistics: dict[str, Callable[[Indexes], float]] = {
        "balanced_accuracy": lambda i: balanced_accuracy(truth[i], said[i]),
        "f1": lambda i: _f1(truth[i], said[i]),
        "auroc": lambda i: auroc(truth[i], probabilities[i]),
        "calibration_error": lambda i: calibration_error(truth[i], probabilities[i]),
        "length_correlation": lambda i: length_correlation(truth[i], lengths[i], probabilities[i]),
    }
    everything = np.arange(len(items))
    return {
        **{name: statistic(everything) for name, statistic in statistics.items()},
        "supported": int(truth.sum()),
        "n": len(items),
        "documents": len(set(clusters)),
        "interval": {name: interval(clusters, s, resamples=_RESAMPLES) for name, s in statistics.items()},
    }


def balanced_accuracy(truth: npt.NDArray[np.bool_], said: npt.NDArray[np.bool_]) -> float:
    """Mean of sensitivity and specificity; NaN where one kind is missing."""
    if truth.all() or not truth.any():
        return float("nan")
    return float((said[truth].mean() + (~said[~truth]).mean()) / 2)


def _f1(truth: npt.NDArray[np.bool_], said: npt.NDArray[np.bool_]) -> float:
    both = int((truth & said).sum())
    return 2 * both / (int(truth.sum()) + int(said.sum())) if truth.any() or said.any() else float("nan")


def auroc(truth: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64]) -> float:
    """The chance that a supported text scores above an unsupported one; ties count half."""
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if not positives or not negatives:
        return float("nan")
    ranks = _ranks(scores)
    return float((ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def calibration_error(truth: npt.NDArray[np.bool_], probabilities: npt.NDArray[np.float64], bins: int = 10) -> float:
    order = np.argsort(probabilities, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return float(sum(len(p) * abs(probabilities[p].mean() - truth[p].mean()) for p in parts) / max(1, len(truth)))


def length_correlation(
    truth: npt.NDArray[np.bool_], lengths: npt.NDArray[Any], probabilities: npt.NDArray[np.float64]
) -> float:
    """Of the ranks, less their mean among texts of the same label. NaN where nothing varies."""
    ranks = [_ranks(lengths), _ranks(probabilities)]
    for label in (True, False):
        if (of := truth == label).any():
            for values in ranks:
                values[of] -= values[of].mean()
    scale = float(np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum()))
    return float(ranks[0] @ ranks[1]) / scale if scale > 1e-9 else float("nan")


def _ranks(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """From 1; equal values share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse], np.float64)
