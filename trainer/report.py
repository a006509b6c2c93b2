"""A run as one self-contained HTML file: what was learnt, how, and what the gate found. It quotes nobody."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
from jinja2 import Environment
from markupsafe import Markup
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from assistant import verdicts
from assistant.records import Run
from assistant.words import en
from trainer import proof
from trainer.evaluate.intervals import interval
from trainer.gate.comparison import Row
from trainer.gate.scores import Answer, Said, difference
from trainer.schedule import run_folder

FILE = "report.html"
_INK, _WARN = "#4a6fa5", "#b5482f"
_SHOWN = 10
_Measure = Callable[[Answer], float | None]

_MEASURES: Mapping[str, _Measure] = {
    "faithfulness of answers": lambda a: a.faithfulness if a.said is Said.ANSWERED else None,
    "answer relevancy": lambda a: a.relevancy,
    "context relevance (of the passages)": lambda a: a.context_relevance,
    "context precision (of the passages)": lambda a: a.context_precision,
    "refusals": lambda a: float(a.said is Said.REFUSED),
    "refusals of twins (right)": lambda a: None if a.twin_refused is None else float(a.twin_refused),
    "empty, endless or repeating": lambda a: float(a.said is Said.BROKEN),
    "F1 against references": lambda a: a.f1,
    "words": lambda a: float(a.words) if a.said is Said.ANSWERED else None,
}

_PAGE = Environment(autoescape=True, trim_blocks=True).from_string(
    (Path(__file__).parent / "report.html").read_text(encoding="utf-8")
)


def write(
    state: Path,
    run: Run,
    stages: Mapping[str, Mapping[str, Any]],
    decided: Mapping[str, Any],
    *,
    documents: Mapping[str, str],
) -> Path:
    """Writes the report of a run into its folder and returns its path.

    ``stages`` are the results of those it had, ``documents`` the names of documents by lineage.
    """
    path = run_folder(state, run.id) / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    incoming = path.with_suffix(".new")
    incoming.write_text(_html(run, stages, decided, documents), encoding="utf-8")
    os.replace(incoming, path)
    return path


def _html(
    run: Run,
    stages: Mapping[str, Mapping[str, Any]],
    decided: Mapping[str, Any],
    documents: Mapping[str, str],
) -> str:
    training = stages.get("train", {}).get("training", {})
    examined, candidate = stages.get("examine"), stages.get("train", {}).get("version", "")
    rows = proof.rows_from_json(examined["rows"]) if examined else []
    champion: str | None = (examined or {}).get("champion")
    models: list[str] = list(dict.fromkeys(["base", champion or "base", candidate])) if rows else []
    gains = [difference(row.answers[candidate], row.answers[champion or "base"], row.label) for row in rows]
    return _PAGE.render(
        run=run,
        base=run.parameters.get("model", "").rpartition("/")[2],
        candidate=candidate,
        champion=champion,
        verdict=verdicts.sentences(decided, en),
        done=[word for name, word in en.STAGES.items() if name in stages],
        conditions=decided.get("conditions", ()),
        models=models,
        table=[(name, [_cell(rows, model, measure) for model in models]) for name, measure in _MEASURES.items()]
        if rows
        else [],
        plots=list(_plots(training, gains)),
        changes=[(_place(group, documents), *figures) for group, *figures in _changes(rows, gains)],
        moved=moved(stages.get("screen", {}).get("answers", ())),
        card=stages.get("collect", {}).get("card", {"examples": {}, "left_out": {}, "of": {}}),
        checked=decided.get("checked_by_people", ()),
        shown=_shown,
        share=_share,
    )


def moved(answers: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The validation answers that improved most, and those that worsened most."""
    ordered = sorted(answers, key=lambda each: each["champion"] - each["candidate"])
    better = [each for each in ordered[:_SHOWN] if each["candidate"] > each["champion"]]
    worse = [each for each in ordered[::-1][:_SHOWN] if each["candidate"] < each["champion"]]
    return better + worse


def _cell(rows: Sequence[Row], model: str, measure: _Measure) -> str:
    found = [(row.group, value) for row in rows if (value := measure(row.answers[model])) is not None]
    if not found:
        return "–"
    values = np.array([value for _, value in found])
    low, high = interval([group for group, _ in found], lambda i: float(values[i].mean()))
    return f"{values.mean():.3f} [{low:.3f}, {high:.3f}] n {len(values)}"


def _changes(rows: Sequence[Row], gains: Sequence[float]) -> list[tuple[str, int, float]]:
    groups: dict[str, list[float]] = {}
    for row, gain in zip(rows, gains, strict=True):
        groups.setdefault(row.group, []).append(gain)
    means = [(group, len(values), float(np.mean(values))) for group, values in groups.items()]
    ordered = sorted((each for each in means if each[2]), key=lambda each: each[2])
    return ordered[:_SHOWN] + [each for each in ordered[-_SHOWN:] if each not in ordered[:_SHOWN]]


def _place(group: str, documents: Mapping[str, str]) -> str:
    """A section by its number, from 1: its heading may be deleted, and this file stays."""
    lineage, _, section = group.rpartition(":")
    return f"{documents.get(lineage, 'a document that is gone')}, section {int(section) + 1}"


def _plots(training: Mapping[str, Any], gains: Sequence[float]) -> list[tuple[str, Markup]]:
    found = []
    if training.get("tries"):
        found.append(("Learning rates", _drawn(lambda axes: _rates(axes, training["tries"]))))
    if training.get("curves"):
        found.append(("Loss", _drawn(lambda axes: _losses(axes, training["curves"]))))
    if gains:
        found.append(("Paired differences", _drawn(lambda axes: _differences(axes, gains))))
    return found


def _rates(axes: Axes, tries: Sequence[Mapping[str, Any]]) -> None:
    sound = [each for each in tries if each["loss"] is not None]
    axes.semilogx([each["rate"] for each in sound], [each["loss"] for each in sound], "o-", color=_INK)
    for each in sound:
        if each["problem"]:
            axes.annotate(each["problem"], (each["rate"], each["loss"]), color=_WARN, fontsize=7)
    axes.set(xlabel="learning rate", ylabel="validation loss")


def _losses(axes: Axes, curves: Mapping[str, Any]) -> None:
    for name, colour in (("training", _INK), ("validation", _WARN), ("preference", "#1f6f5c")):
        if curves.get(name):
            steps, losses = zip(*curves[name], strict=True)
            axes.plot(steps, losses, color=colour, label=name)
    axes.set(xlabel="step", ylabel="loss")
    axes.legend()


def _differences(axes: Axes, gains: Sequence[float]) -> None:
    axes.hist(gains, bins=np.linspace(-1.025, 1.025, 42).tolist(), color=_INK)
    axes.axvline(float(np.mean(gains)), color=_WARN)
    axes.set(xlabel="candidate less champion, faithfulness of an item", ylabel="items")


def _drawn(draw: Callable[[Axes], None]) -> Markup:
    figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
    draw(axes)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=110)
    plt.close(figure)
    return Markup(base64.b64encode(image.getvalue()).decode())  # noqa: S704  (nothing but base64)


def _share(share: Mapping[str, Any]) -> str:
    low, high = share["interval"]
    return f"{share['hits']} of {share['n']} [{low:.2f}, {high:.2f}]"


def _shown(value: Any) -> str:
    return "–" if value is None else f"{value:.4g}"
