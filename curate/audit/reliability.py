"""Learns from people's answers to turn a detector's scores into probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SPREAD = np.array([1.5, 0.7])  # how far offset and slope of a detector's claims may be off, before any answer (sd)


def jeffreys_interval(right: int, count: int, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of a rate of which ``right`` of ``count`` are known; 0 to 1 when nothing is.

    >>> [round(end, 2) for end in jeffreys_interval(9, 10)]
    [0.62, 0.99]
    """
    from scipy.stats import beta

    if not count:
        return 0.0, 1.0
    low, high = beta.ppf([(1 - level) / 2, (1 + level) / 2], right + 0.5, count - right + 0.5)
    return (0.0 if right == 0 else float(low)), (1.0 if right == count else float(high))


@dataclass(frozen=True)
class Reliability:
    """How a detector's claim, 1 - score, becomes a probability: logit p = offset + slope · logit claim.

    `mean` is (offset, slope), `covariance` (2, 2) what is not known of them, `answers` how many taught it.
    """

    mean: np.ndarray
    covariance: np.ndarray
    answers: int


def fit_reliability(scores: np.ndarray, is_right: np.ndarray) -> Reliability:
    """Return what the answered findings say of a detector's claims; without any, they are taken at their word.

    A logistic curve with a normal prior around offset 0, slope 1: with few answers it stays near the claim, with
    hundreds it follows them; the slope carries over from the answered scores to those not looked at yet.

    References
    ----------
    Platt, Probabilistic Outputs for Support Vector Machines, 1999; Laplace's approximation for the covariance.
    """
    known = ~np.isnan(scores)
    axes, right = _axes(scores[known]), is_right[known].astype(float)
    prior, precision = np.array([0.0, 1.0]), np.diag(1 / SPREAD**2)

    def gain(at: np.ndarray) -> float:
        heights = axes @ at
        return float((right * heights - np.logaddexp(0, heights)).sum() - 0.5 * (at - prior) @ precision @ (at - prior))

    mean, curvature = prior.copy(), precision
    for _ in range(50):
        chance = _sigmoid(axes @ mean)
        slope = axes.T @ (right - chance) - precision @ (mean - prior)
        curvature = (axes * (chance * (1 - chance))[:, None]).T @ axes + precision
        step = np.linalg.solve(curvature, slope)
        while gain(mean + step) < gain(mean) and np.abs(step).max() > 1e-9:
            step = step / 2  # a full Newton step may overshoot where the curve is flat
        mean = mean + step
        if np.abs(step).max() < 1e-8:
            break
    return Reliability(mean, np.linalg.inv(curvature), int(known.sum()))


def predict_right(reliability: Reliability, scores: np.ndarray) -> np.ndarray:
    """Return the probability (N,) that findings with these ``scores`` are right.

    >>> taken_at_its_word = fit_reliability(np.array([]), np.array([]))
    >>> predict_right(taken_at_its_word, np.array([0.1, 0.5])).round(2).tolist()
    [0.9, 0.5]
    """
    chance: np.ndarray = _sigmoid(_axes(scores) @ reliability.mean)
    return chance


def forecast_right(reliability: Reliability, scores: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Return how many of the findings with these ``scores`` will turn out right: expected, low, high.

    The interval holds both what is not known of the detector and the luck of which findings these are.
    """
    from scipy.stats import beta

    if not len(scores):
        return 0.0, 0.0, 0.0
    axes, count = _axes(scores), len(scores)
    chance = _sigmoid(axes @ reliability.mean)
    luck = chance * (1 - chance)
    pull = (axes * luck[:, None]).sum(axis=0)
    variance = float(luck.sum() + pull @ reliability.covariance @ pull) / count**2
    share = float(np.clip(chance.mean(), 1e-6, 1 - 1e-6))
    # A beta curve of that mean and variance stays within 0 and 1, where a normal one would not.
    weight = max(share * (1 - share) / max(variance, 1e-12) - 1, 0.05)
    low, high = beta.ppf([(1 - level) / 2, (1 + level) / 2], share * weight, (1 - share) * weight)
    return float(chance.sum()), float(low) * count, float(high) * count


def _axes(scores: np.ndarray) -> np.ndarray:
    """Return (N, 2): 1 and the logit of the claim; claims of certainty count as 99 in 100."""
    claim = np.clip(1 - scores.astype(float), 0.01, 0.99)
    return np.column_stack([np.ones(len(claim)), np.log(claim / (1 - claim))])


def _sigmoid(heights: np.ndarray) -> np.ndarray:
    chance: np.ndarray = 0.5 * (1 + np.tanh(heights / 2))
    return chance
