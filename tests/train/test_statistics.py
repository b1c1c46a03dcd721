"""Intervals and tests against counting by hand, plain loops, and scipy."""

from __future__ import annotations

import numpy as np
import pytest

from train.statistics import (
    compute_difference,
    compute_interval,
    compute_mcnemar,
    compute_needed_samples,
    compute_share,
    resample_counts,
)


def test_share_interval_agrees_with_resampling_the_samples_one_by_one() -> None:
    right = np.array([1] * 170 + [0] * 30)
    rng = np.random.default_rng(5)
    plain = [right[rng.integers(0, 200, 200)].mean() for _ in range(4000)]
    share = compute_share(170, 200)
    assert share["value"] == 0.85
    assert share["low"] == pytest.approx(np.quantile(plain, 0.025), abs=0.01)
    assert share["high"] == pytest.approx(np.quantile(plain, 0.975), abs=0.01)


def test_difference_is_paired() -> None:
    # 3 samples differ among 1,000: unpaired intervals of two accuracies of 0.5 would be 13 times wider.
    paired = compute_difference(fixed=3, broken=0, total=1000)
    assert paired["value"] == 0.003
    assert paired["low"] == 0 and paired["high"] == pytest.approx(0.007, abs=0.001)


def test_difference_agrees_with_resampling_the_pairs_one_by_one() -> None:
    change = np.array([1] * 20 + [-1] * 8 + [0] * 172)
    rng = np.random.default_rng(6)
    plain = [change[rng.integers(0, 200, 200)].mean() for _ in range(4000)]
    found = compute_difference(20, 8, 200)
    assert found["low"] == pytest.approx(np.quantile(plain, 0.025), abs=0.01)
    assert found["high"] == pytest.approx(np.quantile(plain, 0.975), abs=0.01)


@pytest.mark.parametrize(("right", "low", "high"), [(10, 0.6915, 1.0), (0, 0.0, 0.3085)])
def test_all_right_of_ten_is_not_certainty(right: int, low: float, high: float) -> None:
    share = compute_share(right, 10)
    assert share["low"] == pytest.approx(low, abs=1e-4) and share["high"] == pytest.approx(high, abs=1e-4)


def test_nothing_gives_nothing() -> None:
    assert compute_share(0, 0) == compute_difference(0, 0, 0) == {"value": None, "low": None, "high": None}
    assert compute_interval(np.array([np.nan, np.nan, 1.0])) == (None, None)
    assert resample_counts(np.zeros(2, int), resamples=3).tolist() == [[0, 0]] * 3


def test_equal_models_have_an_interval_around_zero() -> None:
    found = compute_difference(0, 0, 50)
    assert (found["low"], found["high"]) == pytest.approx((-0.0711, 0.0711), abs=1e-4)


@pytest.mark.parametrize(("fixed", "broken", "p_value"), [(0, 0, 1.0), (6, 0, 2 / 64), (5, 1, 14 / 64), (3, 3, 1.0)])
def test_mcnemar_by_counting_coins(fixed: int, broken: int, p_value: float) -> None:
    assert compute_mcnemar(fixed, broken) == pytest.approx(p_value)


def test_needed_samples_give_the_power_they_promise() -> None:
    needed = compute_needed_samples(12, 6, 300)
    assert needed is not None
    drawn = np.random.default_rng(0).multinomial(needed, [0.04, 0.02, 0.94], size=500)
    found = np.mean([compute_mcnemar(int(fixed), int(broken)) < 0.05 for fixed, broken, _ in drawn])
    # The exact test is a little cautious, so a little under 0.8.
    assert 0.72 < found < 0.85


def test_needed_samples_of_no_difference() -> None:
    assert compute_needed_samples(4, 4, 100) is None


def test_same_seed_same_resamples() -> None:
    drawn = [resample_counts(np.array([30, 10]), seed=seed).tolist() for seed in (3, 3, 4)]
    assert drawn[0] == drawn[1] != drawn[2]
