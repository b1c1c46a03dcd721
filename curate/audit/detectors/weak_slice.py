"""Finds and names parts of the dataset where the model contradicts the labels far more often than elsewhere.

Looked at are the spec's slices, folders and further CSV columns, ranges of the measures, and regions of pictures that
look alike. A part that is explained by a larger one already told is not told again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from curate.audit.detectors.properties import Property, tabulate_numbers, tabulate_texts
from curate.audit.detectors.region_names import describe_region
from curate.audit.detectors.shortcuts.rules import wilson_interval
from curate.audit.evidence.evidence import Evidence
from curate.images.samples import Scan
from curate.versions.slices import find_slice

DETECTOR = "weak_slice-v1"
FEWEST = 20  # samples of a slice, and of the rest
SHARES = (0.05, 0.1, 0.2)  # of the samples at either end of a measure
TIMES = 2.0  # at least so many times the error elsewhere, by the lower end of the interval
MORE = 0.1  # and at least so much more
SURE = 0.01  # chance of a false alarm over all slices tried
MOST = 10  # slices told


@dataclass(frozen=True)
class Candidate:
    """A named part of the judged samples: ``inside`` are booleans ``(N,)``."""

    name: str
    inside: np.ndarray


def find_weak_slices(evidence: Evidence, metadata: pd.DataFrame) -> list[tuple[dict[str, object], np.ndarray]]:
    """Return each weak slice as a row of ``tables.PATTERNS`` and its samples, first the one with most errors.

    Wrong means that the class with the highest out-of-sample probability is not the given label.
    """
    probs = evidence.pred_probs
    judged = np.zeros(len(evidence.ids), dtype=bool)
    if probs is not None:
        judged = (evidence.given >= 0) & ~np.isnan(probs).any(axis=1)
    if probs is None or judged.sum() < 2 * FEWEST:
        evidence.notes.append(f"weak_slice: {int(judged.sum())} labels can be judged, {2 * FEWEST} are needed.")
        return []
    is_wrong = np.zeros(len(judged), dtype=bool)
    is_wrong[judged] = probs[judged].argmax(axis=1) != evidence.given[judged]
    tried = list_candidates(evidence, metadata)
    return [_row(evidence, one, judged, is_wrong) for one in choose_slices(tried, judged, is_wrong)]


def choose_slices(candidates: list[Candidate], judged: np.ndarray, is_wrong: np.ndarray) -> list[Candidate]:
    """Return the weak ones: greedily the surest, each weak also without the samples of those before."""
    left, chosen = judged.copy(), list[Candidate]()
    while len(chosen) < MOST:
        weak = [
            (p_value, place)
            for place, one in enumerate(candidates)
            if (p_value := _p_value(one.inside, left, is_wrong)) * len(candidates) < SURE
        ]
        if not weak:
            break
        best = candidates[min(weak)[1]]
        chosen.append(best)
        left &= ~best.inside
    return chosen


def _p_value(inside: np.ndarray, judged: np.ndarray, is_wrong: np.ndarray) -> float:
    """Return the one-sided p-value of more errors inside than in the rest; 1 where the difference is too small."""
    part, rest = inside & judged, ~inside & judged
    count, others = int(part.sum()), int(rest.sum())
    if min(count, others) < FEWEST:
        return 1.0
    wrong, elsewhere = int(is_wrong[part].sum()), int(is_wrong[rest].sum())
    low, _ = wilson_interval(wrong, count)
    if low < TIMES * elsewhere / others or wrong / count < MORE + elsewhere / others:
        return 1.0
    table = [[wrong, count - wrong], [elsewhere, others - elsewhere]]
    from scipy.stats import fisher_exact

    return float(f"{fisher_exact(table, alternative='greater').pvalue:.6g}")


def list_candidates(evidence: Evidence, metadata: pd.DataFrame) -> list[Candidate]:
    """Return all parts that are looked at, those that say most to a person first."""
    scan = Scan(evidence.readable, evidence.locations, evidence.votes, metadata)
    listed = [Candidate(f"slice {name}", find_slice(scan, part, name)) for name, part in evidence.spec.slices.items()]
    for text in tabulate_texts(evidence, metadata):
        values = sorted(set(text.values) - {""})
        listed += [Candidate(f"{text.name} {value}", text.values == value) for value in values]
    for number in tabulate_numbers(evidence):
        listed += _ends(number)
    regions = evidence.regions
    for region in range(int(regions.max(initial=-1)) + 1):
        inside = regions == region
        listed.append(Candidate(describe_region(evidence, inside), inside))
    return listed


def _ends(number: Property) -> list[Candidate]:
    """Return the lowest and highest samples of a measure, named by the bound."""
    known = np.isfinite(number.values)
    if known.sum() < 2 * FEWEST:
        return []
    listed = []
    for share in SHARES:
        low, high = np.quantile(number.values[known], [share, 1 - share])
        with np.errstate(invalid="ignore"):
            sides = ((number.below, low, number.values < low), (number.above, high, number.values > high))
        listed += [
            Candidate(f"pictures that {words.format(number.shown.format(bound))}", inside)
            for words, bound, inside in sides
            if inside.sum() >= FEWEST
        ]
    return listed


def _row(
    evidence: Evidence, one: Candidate, judged: np.ndarray, is_wrong: np.ndarray
) -> tuple[dict[str, object], np.ndarray]:
    part, rest = one.inside & judged, ~one.inside & judged
    wrong, count = int(is_wrong[part].sum()), int(part.sum())
    low, high = wilson_interval(wrong, count)
    elsewhere = is_wrong[rest].mean()
    row = {
        "issue": "weak_slice",
        "name": one.name,
        "label": "",
        "samples": count,
        "score": 1 - wrong / count,
        "is_issue": True,
        "suggested_action": "look at the labels there first; where they are right, collect more pictures like these",
        "evidence": f"the model contradicts {wrong:,} of {count:,} labels there ({wrong / count:.0%}, 95 % interval "
        f"{low:.0%} to {high:.0%}), elsewhere {elsewhere:.1%}.",
    }
    # Those that are wrong come first: they are what to look at.
    members = np.flatnonzero(part)
    return row, members[np.argsort(~is_wrong[members], kind="stable")]
