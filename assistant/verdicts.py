"""A verdict of the gate in plain words, for the page and for the report."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any


def sentences(verdict: Mapping[str, Any], w: ModuleType) -> list[str]:
    """What was decided, why, on what evidence, and what to do; ``verdict`` is a run's, ``w`` the words to say it in."""
    gain = verdict.get("gains", {}).get(verdict.get("champion") or "base")
    figures = {name: _shown(verdict.get(name)) for name in ("items", "groups", "alpha")}
    figures |= {name: _shown((gain or {}).get(name)) for name in ("mean", "lower", "p")}
    by = verdict["decided_by"]
    why = w.WHY[by].format(**figures) if by in w.WHY else by
    said = [w.VERDICTS[verdict["outcome"]].format(why=why)]
    if gain is not None:
        said.append(w.VERDICT_GAIN.format(**figures))
        if verdict["outcome"] == "promoted":
            said.append(w.VERDICT_WINNER)
        said.append(w.VERDICT_EVIDENCE.format(**figures))
    if verdict["outcome"] == "not_enough_evidence" and verdict.get("more_exchanges"):
        said.append(w.VERDICT_MORE.format(count=f"{verdict['more_exchanges']:,}"))
    if "tickets_left" in verdict:
        said.append(w.VERDICT_TICKETS.format(count=verdict["tickets_left"]))
    return said


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}" if abs(value) < 0.01 else f"{value:.3f}"
