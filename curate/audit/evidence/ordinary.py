"""Expresses values in spreads above the ordinary ones: one scale for all embeddings."""

from __future__ import annotations

import numpy as np

SHARE = 0.8  # of the ordinary values lie below the middle plus 0.8416 spreads, were they normal
WITHIN = 0.8416
BEYOND = 3.5  # spreads; what lies further above takes no part in saying what is ordinary
ROUNDS = 3
LEAST_SPREAD = 0.02  # of logarithms: values that hardly differ are all ordinary


def measure_ordinary(values: np.ndarray) -> tuple[float, float]:
    """Return the middle and the upward spread of the ordinary ones of ``values`` ``(N,)``, N at least 1.

    The middle is the median, the spread comes from the upper side, where the extraordinary lie: it is the wider one.
    Those are left out and the rest is measured again, so that one picture in eight may be something else.

    >>> middle, spread = measure_ordinary(np.append(np.linspace(-1, 1, 101), [9.0] * 10))
    >>> round(middle, 2), round(spread, 1)
    (0.0, 0.7)
    """
    for _ in range(ROUNDS):
        middle = float(np.median(values))
        spread = max((float(np.quantile(values, SHARE)) - middle) / WITHIN, LEAST_SPREAD)
        values = values[values < middle + BEYOND * spread]
    return middle, spread


def score_spreads(spreads: np.ndarray, limit: float) -> np.ndarray:
    """Return scores in 0..1, low = bad: 1 up to the middle, then halved with every ``limit`` spreads above it.

    >>> score_spreads(np.array([-1.0, 0.0, 2.5, 5.0]), 2.5).tolist()
    [1.0, 1.0, 0.5, 0.25]
    """
    scores: np.ndarray = 0.5 ** (np.maximum(spreads, 0) / limit)
    return scores
