"""Searches one property for rules that predict a class, and scores each rule on held-out images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from curate.audit.detectors.properties import Property

FOLDS = 5
COVERS = 0.1  # a nearly pure rule has to cover this share of a class
MOST_ELSEWHERE = 0.1  # of what it covers in the class, a nearly pure rule may cover in the others
SOUGHT = 0.025  # the same where a rule is made: on other pictures it does a little worse
AVOIDS = 0.5  # share of the others in which a rule has to hold that the class avoids, beside more than one other class
BROAD = 0.6  # share covered in the class minus that in the others: a balanced accuracy of 0.8
SURE = 0.01  # chance of a false alarm over all rules tried


@dataclass(frozen=True)
class Rule:
    """What one property says of one class: ``hits`` of its ``size`` pictures, ``wrong`` of the ``others``, unseen."""

    label: int
    of: Property
    sense: str  # has | lacks: whether the class is where the rule holds, or where it does not
    side: str  # above | below | among
    bound: float | tuple[str, ...]
    hits: int
    size: int
    wrong: int
    others: int
    also: list[str] = field(default_factory=list, compare=False)

    @property
    def inside(self) -> float:
        return self.hits / self.size

    @property
    def outside(self) -> float:
        return self.wrong / self.others

    @property
    def strength(self) -> float:
        """0..1: the share covered in the class minus that in the others."""
        return abs(self.inside - self.outside)

    def holds(self, values: np.ndarray) -> np.ndarray:
        """Return where the rule holds: booleans of the shape of ``values``."""
        if self.side == "among":
            return np.isin(values, list(self.bound))  # type: ignore[arg-type]
        with np.errstate(invalid="ignore"):
            found: np.ndarray = values > self.bound if self.side == "above" else values <= self.bound
        return found


def find_rules(one: Property, labels: np.ndarray, label: int) -> Iterator[Rule]:
    """Yield the rules of one property for one class, each counted on pictures that it was not made of."""
    is_class = labels == label
    fold = np.zeros(len(labels), dtype=int)
    for side in (is_class, ~is_class):
        fold[side] = np.arange(side.sum()) % FOLDS
    find = _among if one.is_text else _bounds
    whole = {kind: found for kind, found in find(one.values, is_class).items() if found[1] != "below" or one.below}
    parts = [find(one.values[fold != part], is_class[fold != part]) for part in range(FOLDS)]
    for kind, (sense, side, bound) in whole.items():
        counted = np.zeros(len(labels), dtype=bool)
        for part, found in enumerate(parts):
            if kind in found:
                made = Rule(label, one, *found[kind], 0, 1, 0, 1)
                counted[fold == part] = made.holds(one.values[fold == part])
        hits, wrong = int(counted[is_class].sum()), int(counted[~is_class].sum())
        yield Rule(label, one, sense, side, bound, hits, int(is_class.sum()), wrong, int((~is_class).sum()))


Found = dict[str, tuple[str, str, float | tuple[str, ...]]]


def _bounds(values: np.ndarray, is_class: np.ndarray) -> Found:
    """Return the best bound of each kind of rule: parting most, nearly pure, and avoided, on either side."""
    known = np.isfinite(values)
    if not known.any():
        return {}
    steps = np.unique(values[known])
    if len(steps) < 2:
        return {}
    # Of each bound, the share at most so large: of the class, and of the others.
    own = np.searchsorted(np.sort(values[known & is_class]), steps[:-1], side="right") / max(is_class.sum(), 1)
    rest = np.searchsorted(np.sort(values[known & ~is_class]), steps[:-1], side="right") / max((~is_class).sum(), 1)
    middle = (steps[:-1] + steps[1:]) / 2
    own_all, rest_all = (
        (known & is_class).sum() / max(is_class.sum(), 1),
        (known & ~is_class).sum() / max((~is_class).sum(), 1),
    )
    found: Found = {}
    for side, inside, outside in (("above", own_all - own, rest_all - rest), ("below", own, rest)):
        gains = {"broad": ("has", inside - outside)}
        gains["has"] = ("has", np.where(outside <= SOUGHT * inside, inside, -1))
        gains["lacks"] = ("lacks", np.where(inside <= SOUGHT * outside, outside, -1))
        for kind, (sense, gain) in gains.items():
            if gain.max() > 0:
                found[f"{kind} {side}"] = (sense, side, float(middle[gain.argmax()]))
    return found


def _among(values: np.ndarray, is_class: np.ndarray) -> Found:
    """Return the sets of texts of each kind of rule."""
    table = pd.crosstab(values, is_class).reindex(columns=[False, True], fill_value=0)
    table = table[table.index != ""]
    inside, outside = table[True] / max(is_class.sum(), 1), table[False] / max((~is_class).sum(), 1)
    kinds = {
        "broad": ("has", inside > outside),
        "has": ("has", (inside > 0) & (outside <= SOUGHT * inside)),
        "lacks": ("lacks", (outside > 0) & (inside <= SOUGHT * outside)),
    }
    return {
        kind: (sense, "among", tuple(table.index[chosen])) for kind, (sense, chosen) in kinds.items() if chosen.any()
    }


def is_shortcut(rule: Rule, classes: int, tried: int) -> bool:
    """Return whether a rule tells its class better than pictures of different things would."""
    least, most = sorted((rule.inside, rule.outside))
    is_pure = least <= MOST_ELSEWHERE * most
    # Of two classes, what one avoids the other has; of many, each one avoids much by chance.
    floor = AVOIDS if rule.sense == "lacks" and classes > 2 else COVERS
    sense = "has" if rule.inside > rule.outside else "lacks"
    if sense != rule.sense or not (rule.strength >= BROAD or (is_pure and most >= floor)):
        return False
    table = [[rule.hits, rule.size - rule.hits], [rule.wrong, rule.others - rule.wrong]]
    from scipy.stats import fisher_exact

    return bool(fisher_exact(table).pvalue * tried < SURE)


def strength_interval(rule: Rule) -> tuple[float, float]:
    """Return the 95 % interval of ``strength``.

    References
    ----------
    R. Newcombe, Interval estimation for the difference between independent proportions, 1998, method 10.
    """
    pair = sorted([(rule.hits, rule.size), (rule.wrong, rule.others)], key=lambda one: one[0] / one[1])
    (less, few), (more, many) = pair
    low_less, high_less = wilson_interval(less, few)
    low_more, high_more = wilson_interval(more, many)
    gap, under, over = more / many - less / few, more / many - low_more, high_less - less / few
    beneath, beyond = high_more - more / many, less / few - low_less
    return max(gap - float(np.hypot(under, over)), 0.0), min(gap + float(np.hypot(beneath, beyond)), 1.0)


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share.

    >>> tuple(round(bound, 3) for bound in wilson_interval(41, 100))
    (0.319, 0.508)
    """
    from scipy.stats import binomtest

    found = binomtest(hits, count).proportion_ci(method="wilson")
    return float(found.low), float(found.high)
