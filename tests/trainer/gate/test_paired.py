from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from assistant.ledger import ALPHA
from trainer.gate import paired
from trainer.gate.paired import Groups, capped, gather

differences = st.lists(st.floats(-1, 1), min_size=2, max_size=40)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def singles(values: np.ndarray) -> Groups:
    return gather(values, np.arange(len(values)))


def test_groups_are_weighed_by_their_items() -> None:
    groups = gather([0.5, 0.1, 0.3, -1.0], ["a", "b", "b", "c"])
    assert groups.items == 4
    assert groups.losses == 1.0
    assert sorted(groups.means.round(9)) == [-1.0, 0.2, 0.5]
    with pytest.raises(ValueError, match="not a number"):
        gather([0.1, math.nan], ["a", "b"])


@given(st.lists(st.integers(1, 500), min_size=11, max_size=60))
def test_no_group_has_more_than_a_tenth_of_the_weight(sizes: list[int]) -> None:
    counts = np.array(sizes, dtype=float)
    weights = capped(counts)
    assert weights.max() <= weights.sum() / 10 + 1e-9
    assert (weights <= counts).all()
    uncut = weights < weights.max() - 1e-9
    assert (weights[uncut] == counts[uncut]).all()  # only the largest are cut


def test_few_groups_weigh_alike() -> None:
    assert (capped(np.array([50.0, 1.0, 2.0])) == 1).all()


def test_effective_groups_as_kish_counts_them() -> None:
    even = gather(np.zeros(36), np.repeat(np.arange(12), 3))
    assert even.effective == pytest.approx(12)
    uneven = gather(np.zeros(21), [0] * 10 + list(range(1, 12)))
    assert uneven.effective == pytest.approx(uneven.weights.sum() ** 2 / (uneven.weights**2).sum())
    assert uneven.effective < 12


def test_the_error_is_that_of_the_mean_where_groups_are_single() -> None:
    values = rng().normal(0.1, 0.3, 50)
    groups = singles(values)
    assert groups.mean == pytest.approx(values.mean())
    assert groups.error == pytest.approx(values.std(ddof=1) / math.sqrt(50))


def test_sign_flips_agree_with_counting_all_of_them() -> None:
    values = rng(3).normal(0.2, 0.4, 10)
    sums = [sum(s * v for s, v in zip(signs, values, strict=True)) for signs in product((-1, 1), repeat=10)]
    exact = sum(total >= values.sum() - 1e-9 for total in sums) / 2**10
    found = paired.sign_flip(values[None], np.ones((1, 10)), draws=100_000, rng=rng())[0]
    assert found == pytest.approx(exact, abs=4 * math.sqrt(exact / 100_000))


def test_with_normal_differences_all_tests_agree() -> None:
    groups = singles(rng(5).normal(0.06, 0.3, 200))
    found = paired.compare([groups], alpha=ALPHA, rng=rng())[0]
    assert found.p_t == pytest.approx(stats.ttest_1samp(groups.values, 0, alternative="greater").pvalue)
    assert found.p_sign_flip == pytest.approx(found.p_t, rel=0.25)
    assert found.p_bootstrap == pytest.approx(found.p_t, rel=0.25)
    assert found.p == max(found.p_sign_flip, found.p_bootstrap)
    assert found.lower == pytest.approx(paired.bound(groups), abs=0.004)


@given(differences)
@settings(max_examples=30)
def test_p_values_are_never_zero_and_the_bound_lies_below_the_mean(values: list[float]) -> None:
    found = paired.compare([singles(np.array(values))], alpha=0.05, rng=rng(), draws=1_000)[0]
    for p in (found.p_sign_flip, found.p_bootstrap):
        assert 1 / 1_001 <= p <= 1
    assert found.lower <= found.mean + 1e-9


def test_at_least_fifty_draws_fall_into_the_level() -> None:
    everything_won = singles(np.full(40, 0.5))
    found = paired.compare([everything_won], alpha=ALPHA, rng=rng(), draws=10)[0]
    assert found.p_sign_flip == pytest.approx(1 / 12_001)


def test_many_comparisons_are_what_each_would_be_alone() -> None:
    batch = [singles(rng(n).normal(0.05, 0.3, size)) for n, size in enumerate((30, 80, 30, 50))]
    together = paired.compare(batch, alpha=0.05, rng=rng(1), draws=20_000)
    for groups, found in zip(batch, together, strict=True):
        alone = paired.compare([groups], alpha=0.05, rng=rng(2), draws=20_000)[0]
        assert found.mean == alone.mean
        assert found.p_sign_flip == pytest.approx(alone.p_sign_flip, abs=0.015)
        assert found.p_bootstrap == pytest.approx(alone.p_bootstrap, abs=0.015)


def test_giving_up_early_changes_no_decision() -> None:
    values = rng(7).normal(0.05, 0.3, (60, 40))
    weights = np.ones_like(values)
    whole = paired.sign_flip(values, weights, draws=10_000, rng=rng(1))
    early = paired.sign_flip(values, weights, draws=10_000, rng=rng(2), give_up=0.05)
    clear = abs(whole - 0.05) > 0.01
    assert clear.sum() > 40
    assert ((whole <= 0.05) == (early <= 0.05))[clear].all()


def test_an_empty_group_counts_for_nothing() -> None:
    values = rng(9).normal(0.1, 0.3, 20)
    padded = np.append(values, 0.9)[None]
    weights = np.append(np.ones(20), 0.0)[None]
    alone = paired.sign_flip(values[None], np.ones((1, 20)), draws=50_000, rng=rng(1))[0]
    assert paired.sign_flip(padded, weights, draws=50_000, rng=rng(2))[0] == pytest.approx(alone, abs=0.01)


def test_p_is_uniform_where_there_is_no_gain() -> None:
    """400 comparisons without any gain, in unequal clusters: the p values fill [0, 1] evenly."""
    draw = rng(11)
    batch = []
    for _ in range(400):
        sizes = 1 + draw.poisson(2, 40)
        shared = np.repeat(draw.normal(0, 0.15, 40), sizes)
        batch.append(gather(shared + draw.normal(0, 0.25, sizes.sum()), np.repeat(np.arange(40), sizes)))
    found = paired.compare(batch, alpha=0.05, rng=draw, draws=2_000)
    for p in ([each.p_sign_flip for each in found], [each.p_bootstrap for each in found]):
        assert stats.kstest(p, "uniform").pvalue > 0.01
    # Items of a group taken for independent would be found significant too often.
    assert np.mean([each.p_t <= 0.05 for each in found]) > np.mean([each.p <= 0.05 for each in found])


def test_rare_losses_that_a_small_sample_does_not_show_are_allowed_for() -> None:
    """A fifth of the items gains .2, one in 25 is lost: the true mean is 0, and without imagined losses the bootstrap
    takes one in twelve such samples for proof (that is, 20 times its level).
    """
    draw = rng(13)
    batch = []
    for _ in range(300):
        chance = draw.random(60)
        batch.append(singles(np.where(chance < 0.2, 0.4 * draw.random(60), np.where(chance > 0.96, -1.0, 0.0))))
    found = paired.compare(batch, alpha=ALPHA, rng=draw, draws=12_000)
    flipped = sum(each.p_sign_flip <= ALPHA for each in found)
    assert flipped > 10  # far above the level
    assert sum(each.p <= ALPHA for each in found) <= 4


def test_how_many_losses_are_imagined() -> None:
    assert paired.unseen_losses(0.0, 10_000, ALPHA) == 7  # ln(480) = 6.17
    assert paired.unseen_losses(3.0, 10_000, ALPHA) == 4
    assert paired.unseen_losses(40.0, 12, ALPHA) == 0
    assert paired.unseen_losses(0.0, 12, ALPHA) == 9
    assert (12 / 21) ** 12 < ALPHA / 2 < (12 / 20) ** 12


def test_a_candidate_that_wins_everywhere_passes_with_the_fewest_groups() -> None:
    everywhere = gather(np.full(60, 0.9), np.repeat(np.arange(12), 5))
    assert paired.compare([everywhere], alpha=ALPHA, rng=rng())[0].p <= ALPHA


@pytest.mark.parametrize(("items", "lost"), [(60, 0), (60, 1), (440, 0), (440, 5), (440, 20)])
def test_the_bound_of_a_rate_comes_close_to_the_exact_one(items: int, lost: int) -> None:
    values = np.zeros(items)
    values[:lost] = -1
    exact = -stats.beta.ppf(0.95, lost + 1, items - lost)  # Clopper and Pearson
    assert paired.rate_bound(singles(values)) == pytest.approx(exact, abs=0.006)


def test_what_440_items_with_a_spread_of_three_tenths_can_show() -> None:
    values = rng(17).normal(0, 1, 440)
    groups = singles(0.3 * (values - values.mean()) / values.std(ddof=1))
    assert paired.needed(groups, gain=0.05, alpha=ALPHA) == 436
