"""From records to figures: mean, interval, number and coverage of every metric; as a table, JSON and a plot."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainer.evaluate.intervals import interval
from trainer.evaluate.runner import Record

LEAST_COVERAGE = 0.95
"""Below this share of scored answers a metric has no score: what failed may be what is bad."""

_REFUSED = ("refusal", "right_refusal", "wrong_refusal")
_ABSTENTION = ("right_answer", "right_refusal", "wrong_refusal", "missed_refusal", "empty")


def summarise(records: Sequence[Record], metrics: Sequence[str]) -> dict[str, Any]:
    """``metrics``: those of the judge, over answers that are no refusals; ``measures``: those without a judge;
    ``abstention``: of items of which it is known whether they can be answered, the shares of each outcome.
    """
    refused = [r for r in records if r["abstention"] in _REFUSED]
    failed = {r["id"]: r["errors"] for r in records if r["errors"]}
    return {
        "items": len(records),
        "documents": len({r["document"] for r in records}),
        "refused": len(refused),
        "failed": failed,
        "metrics": {name: _metric(due, name) for name in metrics if (due := _due(records, name))},
        "measures": {
            name: _mean([(r["document"], r["measures"][name]) for r in records if name in r["measures"]])
            for name in sorted({name for r in records for name in r["measures"]})
        },
        "abstention": _abstention(records),
    }


def _due(records: Sequence[Record], name: str) -> list[Record]:
    """The records that must have the metric: a refusal says nothing to be judged, and precision needs a reference."""
    if name.startswith("context_relevance"):
        return list(records)
    if name.startswith("context_precision"):
        return [r for r in records if r["referenced"]]
    answered = [r for r in records if r["abstention"] not in _REFUSED]
    return [r for r in answered if name != "context_utilization" or not r["referenced"]]


def _metric(due: Sequence[Record], name: str) -> dict[str, Any]:
    scored = [(r["document"], r["metrics"][name]) for r in due if name in r["metrics"]]
    coverage = len(scored) / len(due)
    if coverage >= LEAST_COVERAGE:
        return _mean(scored) | {"coverage": coverage}
    return {"mean": None, "interval": None, "n": len(scored), "coverage": coverage}


def _mean(scored: Sequence[tuple[str, float]]) -> dict[str, Any]:
    values = np.array([value for _, value in scored])
    if not len(values):
        return {"mean": None, "interval": None, "n": 0}
    low, high = interval([document for document, _ in scored], lambda i: float(values[i].mean()))
    bounds = None if math.isnan(low) else [low, high]  # of one document there is none
    return {"mean": float(values.mean()), "interval": bounds, "n": len(values)}


def _abstention(records: Sequence[Record]) -> dict[str, Any]:
    """Rates among the answerable and the unanswerable, and over both the share of right choices: silence is none."""
    counts = {outcome: sum(r["abstention"] == outcome for r in records) for outcome in _ABSTENTION}

    def rate(outcomes: Iterable[str], of: Iterable[str]) -> dict[str, Any]:
        wanted, among = set(outcomes), set(of)
        chosen = [r for r in records if r["abstention"] in among]
        return _mean([(r["document"], float(r["abstention"] in wanted)) for r in chosen])

    return counts | {
        "right_refusals": rate(["right_refusal"], ["right_refusal", "missed_refusal"]),
        "wrong_refusals": rate(["wrong_refusal"], ["right_answer", "wrong_refusal"]),
        "right": rate(["right_answer", "right_refusal"], _ABSTENTION),
    }


def table(summary: dict[str, Any]) -> str:
    """The figures as text: a row for each metric and measure."""
    rows = [("", "mean", "95 % interval", "n", "coverage")]
    groups = [*summary["metrics"].items(), *summary["measures"].items()]
    groups += [(name, summary["abstention"][name]) for name in ("right_refusals", "wrong_refusals", "right")]
    for name, figure in groups:
        if figure["n"] or "coverage" in figure:
            rows.append((name, *_cells(figure)))
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    counts = f"{summary['items']} items of {summary['documents']} documents, {summary['refused']} refused, "
    return "\n".join([*lines, f"{counts}{len(summary['failed'])} failed"])


def _cells(figure: dict[str, Any]) -> tuple[str, str, str, str]:
    coverage = f"{figure['coverage']:.1%}" if "coverage" in figure else ""
    if figure["mean"] is None:
        return "no score", "", str(figure["n"]), coverage
    bounds = "[{:.3f}, {:.3f}]".format(*figure["interval"]) if figure["interval"] else "one document"
    return f"{figure['mean']:.3f}", bounds, str(figure["n"]), coverage


def plot(records: Sequence[Record], summary: dict[str, Any], path: Path) -> None:
    """For each metric the distribution over answers, and the mean of every document, as a PNG or SVG."""
    import matplotlib as mpl  # noqa: PLC0415  (slow to import, and only plots need it)

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    names = list(summary["metrics"])
    figure, axes = plt.subplots(len(names), 2, figsize=(10, 2.6 * len(names)), squeeze=False, layout="constrained")
    for (left, right), name in zip(axes, names, strict=True):
        scored = [(r["document"], r["metrics"][name]) for r in records if name in r["metrics"]]
        values = [value for _, value in scored]
        left.hist(values, bins=20, range=(0, 1), color="#4a6fa5")
        left.set(title=name, xlabel="score of an answer", ylabel="answers")
        means = sorted(_by_document(scored, lambda of: float(np.mean(of))))
        right.plot(means, range(len(means)), ".", color="#4a6fa5")
        right.set(title=f"{name}, by document", xlabel="mean of a document", xlim=(-0.02, 1.02), yticks=[])
        if summary["metrics"][name]["mean"] is not None:
            right.axvline(summary["metrics"][name]["mean"], color="#b5482f")
        if summary["metrics"][name]["interval"] is not None:
            right.axvspan(*summary["metrics"][name]["interval"], color="#b5482f", alpha=0.2)
    figure.savefig(path)
    plt.close(figure)


def _by_document(scored: Sequence[tuple[str, float]], statistic: Callable[[list[float]], float]) -> list[float]:
    groups: dict[str, list[float]] = {}
    for document, value in scored:
        groups.setdefault(document, []).append(value)
    return [statistic(values) for values in groups.values()]
