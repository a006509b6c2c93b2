"""Differences between two models without a true change, for measuring the gate: recorded ones, or a stand-in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assistant.errors import InputError
from trainer.gate.comparison import MARGINS
from trainer.gate.paired import Array
from trainer.gate.verdict import GROUPS

_MEASURES = ("faithfulness", *MARGINS)


@dataclass(frozen=True, slots=True)
class Record:
    """Differences that were seen between two models without a true change: ``values[measure][item]``, NaN where
    there is none. ``starts`` and ``sizes`` say which items each group holds. The mean faithfulness is 0.
    """

    values: dict[str, Array]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @property
    def spread(self) -> float:
        return float(self.values["faithfulness"].std())

    def draw(self, groups: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """For items in these groups (numbered from 0), the items of the record whose differences they shall have.

        What lies in one group comes from one group of the record; every item of the record is drawn alike often.
        """
        drawn = rng.integers(0, self.sizes.sum(), int(groups.max()) + 1)
        source = (np.searchsorted(self.starts, drawn, side="right") - 1)[groups]
        return np.asarray(self.starts[source] + (rng.random(len(groups)) * self.sizes[source]).astype(np.int64))


def read(path: Path) -> Record:
    """JSON Lines with ``group``, ``faithfulness`` and, where there are, the other measures' differences.

    Raises InputError for a file that cannot be read as that, or with fewer than 12 groups.
    """
    rows: list[tuple[str, list[float]]] = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
                values = [float(row["faithfulness"]), *(float(row.get(name, "nan")) for name in MARGINS)]
                rows.append((str(row["group"]), values))
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f"{path}, line {number}: a group and a difference in faithfulness are needed."
                ) from error
    rows.sort(key=lambda row: row[0])
    names, starts, sizes = np.unique([group for group, _ in rows], return_index=True, return_counts=True)
    if len(names) < GROUPS:
        raise InputError(f"{path} has {len(names)} groups; at least {GROUPS} are needed.")
    return _record(np.array([values for _, values in rows]).T, starts, sizes)


def realistic(rng: np.random.Generator, groups: int = 1500) -> Record:
    """Stand-in until real differences are recorded: two trainings on the same data with different seeds.

    Groups of one to nine questions. About half of all answers are the same (difference 0); the others differ by
    a share of their sentences, more in some groups than in others; one of the two refuses 3 % of the items. The spread
    of faithfulness is .3. Relevancy differs by .08 (standard deviation) where the answers do, refusals of twins in
    4 %, the length by a factor of 1.5 either way.
    """
    sizes = 1 + rng.poisson(1.5, groups)
    n = int(sizes.sum())
    changed = rng.random(n) < np.repeat(rng.beta(4, 4, groups), sizes)
    share = rng.choice([0.25, 1 / 3, 0.5, 2 / 3, 1.0], n, p=[0.2, 0.2, 0.25, 0.1, 0.25])
    towards = np.repeat(rng.beta(4, 4, groups), sizes)  # some sections suit one of the two
    faithfulness = np.where(changed, np.where(rng.random(n) < towards, share, -share), 0.0)
    refuses = rng.random(n) < 0.015, rng.random(n) < 0.015
    faithfulness[refuses[0]] = -rng.beta(4, 1, int(refuses[0].sum()))
    faithfulness[refuses[1] & ~refuses[0]] = 0.0
    faithfulness *= 0.3 / faithfulness.std()
    length = np.where(changed, rng.normal(0, 0.4, n), 0.0)
    values = {
        "relevancy": np.where(changed, rng.normal(0, 0.08, n), 0.0),
        "twin_refusals": rng.choice([-1.0, 0.0, 1.0], n, p=[0.02, 0.96, 0.02]),
        "wrong_refusals": refuses[1].astype(float) - refuses[0].astype(float),
        "f1": np.where(rng.random(n) < 0.2, np.where(changed, rng.normal(0, 0.25, n), 0.0), np.nan),
        "shorter": length,
        "longer": -length,
    }
    starts = np.concatenate([[0], sizes.cumsum()[:-1]])
    return _record(np.array([faithfulness, *(values[name] for name in MARGINS)]), starts, sizes)


def _record(values: Array, starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> Record:
    named = dict(zip(_MEASURES, values, strict=True))
    # Recentred and not label-swapped: swapping makes every distribution symmetric, which is what is to be tried.
    named["faithfulness"] = named["faithfulness"] - named["faithfulness"].mean()
    return Record(named, starts, sizes)
