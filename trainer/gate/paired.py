"""The paired tests of the gate: is the candidate's mean gain above zero beyond doubt, and how low may it be?

Differences of items that lie in one group are not independent, so groups are what is flipped and resampled. All
functions take one comparison or many at once (as a simulation does): an array has the shape ``(comparisons, groups)``.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]

LARGEST_SHARE = 0.10
"""Of the weight, that a group may have."""
DRAWS = 200_000
"""Flips and resamples of a test: more than the 50/α that a level asks for. The larger p decides, so that chance in
either costs power: .01 with 12,000 draws, .002 with 100,000.
"""
_AT_ONCE = 2_000
_TOGETHER = 250  # comparisons that share their draws: more would share their bad luck too
_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Groups:
    """The differences of items (candidate less the other) by group.

    ``means`` in [-1, 1]; ``weights`` in items, none above a tenth of their sum where there are more than ten groups;
    ``values`` are those of the items themselves.
    """

    means: Array
    weights: Array
    values: Array

    @property
    def items(self) -> int:
        return len(self.values)

    @property
    def losses(self) -> float:
        """The sum of all that the candidate lost."""
        return float(np.maximum(-self.values, 0).sum())

    @property
    def mean(self) -> float:
        return float(np.average(self.means, weights=self.weights)) if self.items else 0.0

    @property
    def error(self) -> float:
        """The standard error of the mean."""
        return float(_error(self.means[None], self.weights[None])[0]) if len(self.means) > 1 else math.inf

    @property
    def effective(self) -> float:
        """How many groups of equal weight would tell as much: (Σw)²/Σw² (Kish)."""
        return float(self.weights.sum() ** 2 / (self.weights**2).sum()) if self.items else 0.0

    @property
    def largest_share(self) -> float:
        return float(self.weights.max() / self.weights.sum()) if self.items else 1.0


@dataclass(frozen=True, slots=True)
class Paired:
    """What the tests say of one comparison. ``p`` is the larger of the first two; ``p_t`` is of the seed's
    plain paired t-test over items, for comparison.

    ``lower`` is the lower 95 % bound of the mean gain.
    """

    mean: float
    lower: float
    p_sign_flip: float
    p_bootstrap: float
    p_t: float

    @property
    def p(self) -> float:
        return max(self.p_sign_flip, self.p_bootstrap)


def gather(differences: Sequence[float] | Array, groups: Sequence[str] | NDArray[np.int64]) -> Groups:
    """The differences of items, each with the name of its group. Raises ValueError where one is not a number."""
    values = np.asarray(differences, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("a difference is not a number")
    _, place = np.unique(np.asarray(groups), return_inverse=True)
    counts = np.bincount(place).astype(np.float64)
    means = np.bincount(place, values) / counts
    return Groups(means, capped(counts), values)


def capped(counts: Array, share: float = LARGEST_SHARE) -> Array:
    """Weights for groups of these sizes: the size, cut where a group would have more than ``share`` of all weight.

    Where there are too few groups for that, all weigh alike.
    """
    ordered = np.sort(counts)[::-1]
    for cut in range(len(counts)):  # if the ``cut`` largest are cut, to what size?
        if share * cut >= 1:
            break
        limit = share * ordered[cut:].sum() / (1 - share * cut)
        if ordered[cut] <= limit:
            return np.asarray(np.minimum(counts, limit))
    return np.ones_like(counts)


def compare(
    comparisons: Sequence[Groups], *, alpha: float, rng: np.random.Generator, draws: int = DRAWS
) -> list[Paired]:
    """All tests of each comparison, of at least two groups each. ``alpha`` is the level they will be held against.

    At least 50/α draws are made, whatever ``draws``; comparisons with the same number of groups share them.
    """
    draws = max(draws, math.ceil(50 / alpha))
    alike: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for n, groups in enumerate(comparisons):
        alike[len(groups.means), unseen_losses(groups.losses, len(groups.means), alpha)].append(n)
    found: dict[int, Paired] = {}
    for (_, unseen), all_numbers in sorted(alike.items()):
        for first in range(0, len(all_numbers), _TOGETHER):
            numbers = all_numbers[first : first + _TOGETHER]
            results = _compare_alike([comparisons[n] for n in numbers], unseen, draws, rng)
            found |= zip(numbers, results, strict=True)
    return [found[n] for n in range(len(comparisons))]


def _compare_alike(comparisons: Sequence[Groups], unseen: int, draws: int, rng: np.random.Generator) -> list[Paired]:
    means = np.stack([groups.means for groups in comparisons])
    weights = np.stack([groups.weights for groups in comparisons])
    flipped = sign_flip(means, weights, draws=draws, rng=rng)
    t_star = np.concatenate(list(_bootstrap(means, weights, unseen, draws, rng)))
    tails = np.quantile(t_star, _LEVEL, axis=0, method="higher")
    results = []
    for n, groups in enumerate(comparisons):
        observed = _t(groups.mean, groups.error)
        if groups.error > 0 and math.isfinite(tails[n]):
            lower = groups.mean - float(tails[n]) * groups.error
        else:  # too many resamples are without spread
            lower = min(bound(groups), groups.mean - unseen / groups.items)
        p_bootstrap = float((1 + (t_star[:, n] >= observed).sum()) / (1 + draws))
        results.append(Paired(groups.mean, lower, float(flipped[n]), p_bootstrap, _p_t(groups.values)))
    return results


def _p_t(values: Array) -> float:
    """One-sided p of the paired t-test over items, as if they were independent."""
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    return float(stats.t.sf(_t(float(values.mean()), error), len(values) - 1))


def sign_flip(means: Array, weights: Array, *, draws: int, rng: np.random.Generator, give_up: float = 1.0) -> Array:
    """One-sided p of the permutation test that flips the signs of groups: (1 + hits) / (1 + draws).

    Exact where differences are symmetric about zero (Fisher 1935). A group of weight 0 is as good as none. A comparison
    whose p is already certain to be above ``give_up`` gets the p of the draws made so far, which is above it too.
    """
    sums = (means * weights).astype(np.float32)
    observed = sums.sum(axis=1) - 1e-5 * np.abs(sums).sum(axis=1)  # what is equal but for rounding is a hit
    hits, made = np.zeros(len(sums)), np.zeros(len(sums))
    for count in _portions(draws):
        active = np.flatnonzero(hits <= give_up * (1 + draws) - 1)
        if not len(active):
            break
        signs = rng.integers(0, 2, (count, sums.shape[1]), dtype=np.int8).astype(np.float32) * 2 - 1
        hits[active] += (signs @ sums[active].T >= observed[active]).sum(axis=0)
        made[active] += count
    return np.asarray((1 + hits) / (1 + made))


def unseen_losses(losses: float, groups: int, alpha: float) -> int:
    """How many items lost outright the bootstrap imagines beside those it saw, so that they can be drawn too.

    A sample cannot show what is rare. Of losses that make up u of (groups + u) draws none is drawn with probability
    (1 + u / groups) ** -groups; u is such that this is α/2, so that they count at this level and yet a candidate that
    won everywhere can pass (the rule of three, at this level).

    A bootstrap that knows only what was seen takes many small gains for certain: with 60 items, gains
    of .2 for a fifth of them and total loss for a 25th (true mean 0), the test was passed in 8 % instead of .4 % of all
    cases. Losses seen count against it, so that it costs nothing once evidence is plenty.
    """
    unseen = groups * (math.pow(2 / alpha, 1 / groups) - 1)
    return math.ceil(max(unseen - losses, 0.0))


def rate_bound(groups: Groups) -> float:
    """Lower 95 % bound for differences in [-1, 1] that are mostly 0, such as those of refusals.

    One more item, lost outright, is counted: for rates without gains this comes close to the exact bound of Clopper and
    Pearson (60 items, none lost: -.044 and -.049; 440 items, 20 lost: -.064 and -.065).
    """
    if not groups.items:
        return -1.0
    lost = (np.append(groups.means, -1.0), np.append(groups.weights, 1.0), np.append(groups.values, -1.0))
    return bound(Groups(*lost))


def bound(groups: Groups) -> float:
    """Lower 95 % bound of a mean that is not far from normal, by Student's t over groups; -inf for a single group."""
    if len(groups.means) < 2:
        return -math.inf
    return groups.mean - float(stats.t.ppf(_LEVEL, len(groups.means) - 1)) * groups.error


def needed(groups: Groups, *, gain: float, alpha: float, power: float = 0.8) -> int:
    """How many items of this kind would show a true gain with this power, at this level (normal approximation).

    The spread of the items, their clustering and the unequal weights are those seen; with a spread of .3 and
    independent items it is 436 for a gain of .05 and α = .05/12.
    """
    spread = groups.error * math.sqrt(groups.items)
    z = stats.norm.isf(alpha) + stats.norm.ppf(power)
    return math.ceil(float(z * spread / gain) ** 2)


def _portions(draws: int) -> Iterator[int]:
    for first in range(0, draws, _AT_ONCE):
        yield min(_AT_ONCE, draws - first)


def _bootstrap(
    means: Array, weights: Array, unseen: int, draws: int, rng: np.random.Generator
) -> Iterator[NDArray[np.float32]]:
    """The cluster bootstrap-t (Efron 1979; Hall 1992): groups are resampled, and the mean is studentised.

    Yields studentised means of resampled groups, less the mean of what is resampled: ``(draws, comparisons)``.
    """
    size = means.shape[1]
    if unseen:  # a lost item, as likely to be drawn as ``unseen`` groups together
        means = np.concatenate([means, np.full((len(means), 1), -1.0)], axis=1)
        weights = np.concatenate([weights, np.ones((len(weights), 1))], axis=1)
    odds = np.ones(means.shape[1])
    if unseen:
        odds[-1] = unseen
    centre = (means * weights) @ odds / (weights @ odds)
    z = (weights * (means - centre[:, None])).astype(np.float32).T
    w = weights.astype(np.float32).T
    for count in _portions(draws):
        yield _studentised(_resample(size, unseen, count, rng), z, w)


def _resample(size: int, unseen: int, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """How often each group is drawn, ``count`` times: ``size`` groups, and one that counts as ``unseen`` of them."""
    columns = size + bool(unseen)
    drawn = np.minimum(rng.integers(0, size + unseen, (count, size)), columns - 1)
    drawn += np.arange(count)[:, None] * columns
    return np.bincount(drawn.ravel(), minlength=count * columns).reshape(count, columns).astype(np.float32)


def _studentised(times: NDArray[np.float32], z: NDArray[np.float32], w: NDArray[np.float32]) -> NDArray[np.float32]:
    size = times.sum(axis=1)[0]
    weight = times @ w
    mean = (times @ z) / weight
    squares = times @ z**2
    spread = squares - 2 * mean * (times @ (z * w)) + mean**2 * (times @ w**2)
    flat = spread <= 1e-6 * squares + 1e-12  # all that was drawn is alike
    error = np.sqrt(np.where(flat, 1, spread) * (size / (size - 1))) / weight
    return np.where(flat, np.where(mean < -1e-6, -np.inf, np.inf), mean / error).astype(np.float32)


def _error(means: Array, weights: Array) -> Array:
    """Of a weighted mean over groups, as in the bootstrap: root of n/(n-1) Σ w²(m - mean)², over Σ w."""
    size = means.shape[1]
    residuals = weights * (means - ((means * weights).sum(axis=1) / weights.sum(axis=1))[:, None])
    return np.asarray(np.sqrt((residuals**2).sum(axis=1) * size / (size - 1)) / weights.sum(axis=1))


def _t(mean: float, error: float) -> float:
    """Of a mean without spread: infinite in its direction, 0 for none."""
    if error > 1e-12:
        return float(mean / error)
    return math.copysign(math.inf, mean) if abs(mean) > 1e-12 else 0.0
