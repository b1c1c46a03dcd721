"""Computes the learning rate of each step of a training."""

from __future__ import annotations

import math


def one_cycle(done: float, warmup: float) -> float:
    """Return the learning rate as a share of its peak when ``done`` (0..1) of the steps are made: up, then down.

    >>> [round(one_cycle(done, 0.5), 2) for done in (0, 0.5, 0.75, 1)]
    [0.04, 1.0, 0.5, 0.0]
    """
    if done < warmup:
        return 0.04 + 0.96 * done / warmup
    return (1 + math.cos(math.pi * (done - warmup) / (1 - warmup))) / 2
