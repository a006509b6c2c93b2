"""95 % intervals by the cluster bootstrap: whole documents are drawn, because answers about one document are alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

RESAMPLES = 2_000

Indexes = npt.NDArray[np.intp]


def interval(
    clusters: Sequence[str], statistic: Callable[[Indexes], float], *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """The 2.5 % and 97.5 % points of ``statistic`` over resamples of whole clusters, drawn with replacement.

    ``statistic`` takes the indexes of a resample; those for which it is NaN are passed over. NaN without any,
    and with a single cluster, of which there is nothing to draw.
    (Davison and Hinkley 1997, section 3.8.)
    """
    members: dict[str, list[int]] = {}
    for i, cluster in enumerate(clusters):
        members.setdefault(cluster, []).append(i)
    groups = [np.array(indexes) for indexes in members.values()]
    if len(groups) < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    values = np.array(
        [
            statistic(np.concatenate([groups[g] for g in rng.integers(0, len(groups), len(groups))]))
            for _ in range(resamples)
        ]
    )
    values = values[~np.isnan(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
