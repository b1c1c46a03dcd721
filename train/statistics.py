"""Computes bootstrap intervals, the exact McNemar test, and the samples needed to detect a difference.

Every bootstrap here resamples *samples*. A resample of N samples that fall into C kinds (say both right, fixed, broken,
both wrong) is a draw from the multinomial distribution of the kinds' shares, so 2,000 resamples cost 2,000 x C numbers.
"""

from __future__ import annotations

import math

import numpy as np

RESAMPLES = 2_000
CONFIDENCE = 0.95
POWER = 0.8


def resample_counts(counts: np.ndarray, seed: int = 0, resamples: int = RESAMPLES) -> np.ndarray:
    """Return bootstrap resamples ``(R, C)`` of the number of samples of each kind, ``counts`` ``(C,)``.

    >>> resample_counts(np.array([3, 0]), resamples=2).tolist()
    [[3, 0], [3, 0]]
    """
    total = int(counts.sum())
    if total == 0:
        return np.zeros((resamples, len(counts)), np.int64)
    return np.random.default_rng(seed).multinomial(total, counts / total, size=resamples)


def compute_interval(values: np.ndarray) -> tuple[float | None, float | None]:
    """Return the middle 95 % of bootstrap ``values``; resamples without a value (nan) are left out.

    (None, None) when fewer than half of the resamples have one: the class is too rare to say.
    """
    known = values[~np.isnan(values)]
    if len(known) < max(1, len(values) / 2):
        return None, None
    low, high = np.quantile(known, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def compute_share(successes: int, total: int, seed: int = 0) -> dict[str, float | None]:
    """Return ``value, low, high`` of a share: 95 % bootstrap interval; None without samples.

    >>> compute_share(10, 10)["low"] < 1
    True
    """
    if total == 0:
        return {"value": None, "low": None, "high": None}
    low, high = compute_interval(resample_counts(np.array([successes, total - successes]), seed)[:, 0] / total)
    # A bootstrap of "all right" is always all right, however few there are: use the exact bound there.
    rare = _unseen_share(total)
    low = 1 - rare if successes == total else low
    high = rare if successes == 0 else high
    return {"value": successes / total, "low": low, "high": high}


def compute_difference(fixed: int, broken: int, total: int, seed: int = 0) -> dict[str, float | None]:
    """Return ``value, low, high`` of the paired difference of accuracies (second - first) over the same samples."""
    if total == 0:
        return {"value": None, "low": None, "high": None}
    drawn = resample_counts(np.array([fixed, broken, total - fixed - broken]), seed)
    low, high = compute_interval((drawn[:, 0] - drawn[:, 1]) / total)
    if fixed + broken == 0:
        low, high = -_unseen_share(total), _unseen_share(total)
    return {"value": (fixed - broken) / total, "low": low, "high": high}


def compute_mcnemar(fixed: int, broken: int) -> float:
    """Return the p value of the exact McNemar test: were the samples on which two models differ a fair coin's work?

    References
    ----------
    McNemar, Note on the sampling error of the difference between correlated proportions, 1947; exact binomial form.

    >>> compute_mcnemar(6, 0)
    0.03125
    """
    from scipy.stats import binomtest

    return float(binomtest(fixed, fixed + broken).pvalue) if fixed + broken else 1.0


def compute_needed_samples(fixed: int, broken: int, total: int) -> int | None:
    """Return how many test samples would show a difference this large with 80 % power at the 5 % level.

    None when there is no difference, which no number of samples would show.

    References
    ----------
    Connor, Sample size for testing differences in proportions for the paired-sample design, 1987.
    """
    from scipy.stats import norm

    if fixed == broken or total == 0:
        return None
    differ, difference = (fixed + broken) / total, abs(fixed - broken) / total
    level, power = norm.ppf((1 + CONFIDENCE) / 2), norm.ppf(POWER)
    spread = level * math.sqrt(differ) + power * math.sqrt(differ - difference**2)
    return math.ceil((spread / difference) ** 2)


def _unseen_share(total: int) -> float:
    """Return the exact upper 97.5 % bound of the share of a kind that was not seen among ``total`` samples."""
    return float(1 - ((1 - CONFIDENCE) / 2) ** (1 / total))
