"""Counts the distinct images of each class, and finds classes with few of them and slices without a class."""

from __future__ import annotations

import numpy as np
import pandas as pd

from curate.audit.detectors.region_names import describe_region
from curate.audit.evidence.evidence import Evidence
from curate.images.samples import Scan
from curate.versions.slices import find_slice

DETECTOR = "coverage-v2"
DEFAULT_RATIO = 10.0  # largest / smallest class, where the spec states no `check.max_imbalance`
DEFAULT_FEWEST = 10  # different pictures of a class, where the spec states no `check.min_per_class`
MOSTLY_COPIES = 0.5  # share of a class that are near copies of another of its pictures
ALONE = (3, 15)  # pictures of a class in a region of another
DOMINATED = 0.8  # share of the other class there
MOST_ALONE = 5  # regions told
SURE = 0.01  # chance of a false alarm over all slices and classes

Pattern = tuple[dict[str, object], np.ndarray]


def find_imbalance(evidence: Evidence, metadata: pd.DataFrame) -> list[Pattern]:
    """Return a row for each class (how many, beside the largest) and for each class that a slice of the spec lacks."""
    names, labels = evidence.spec.class_names, evidence.given
    counts = np.bincount(labels[labels >= 0], minlength=len(names))
    if not counts.sum():
        return []
    ratio = evidence.spec.check.max_imbalance or DEFAULT_RATIO
    largest = int(counts.argmax())
    shares = counts[counts > 0] / counts.sum()
    effective = f"{np.exp(-(shares * np.log(shares)).sum()):.1f} of {len(names)}"
    rows: list[Pattern] = []
    for place in np.argsort(counts, kind="stable"):
        count = int(counts[place])
        is_issue = count * ratio < counts[largest]
        row = {
            "name": f"{names[place]}: class size",
            "label": names[place],
            "samples": count,
            "score": count / counts[largest],
            "is_issue": is_issue,
            "suggested_action": f"collect {int(np.ceil(counts[largest] / ratio)) - count:,} or more {names[place]}"
            if is_issue
            else "",
            "evidence": f"{count:,} of {counts.sum():,} labelled samples ({count / counts.sum():.1%}); the largest "
            f"class, {names[largest]}, has {counts[largest]:,}. In effect {effective} classes.",
        }
        rows.append(({"issue": "imbalance", **row}, np.zeros(0, dtype=int)))
    return [*_lacking(evidence, metadata), *rows]


def _lacking(evidence: Evidence, metadata: pd.DataFrame) -> list[Pattern]:
    """Return the classes that have no picture in a slice although they are frequent enough to have some."""
    from scipy.stats import fisher_exact

    spec, labels = evidence.spec, evidence.given
    scan = Scan(evidence.readable, evidence.locations, evidence.votes, metadata)
    tried, rows = max(1, len(spec.slices) * len(spec.class_names)), []
    for name, part in spec.slices.items():
        # A slice that is made of labels lacks the others on purpose.
        inside = find_slice(scan, part, name) & (labels >= 0)
        for place, label in enumerate(spec.class_names if not part.given_label else ()):
            own, size = labels == place, int(inside.sum())
            elsewhere = int((own & ~inside).sum())
            if not size or not elsewhere or (own & inside).any():
                continue
            table = [[0, size], [elsewhere, int((~own & ~inside & (labels >= 0)).sum())]]
            if fisher_exact(table, alternative="less").pvalue * tried >= SURE:
                continue
            row = {
                "issue": "imbalance",
                "name": f"{label}: none in slice {name}",
                "label": label,
                "samples": size,
                "score": 0.0,
                "is_issue": True,
                "suggested_action": f"collect {label} for the slice {name}: a model may take one for the other",
                "evidence": f"none of the {size:,} labelled samples of the slice is {label}; elsewhere {elsewhere:,} "
                f"of {elsewhere + table[1][1]:,} are.",
            }
            rows.append((row, np.flatnonzero(inside)))
    return rows


def find_coverage(evidence: Evidence, metadata: pd.DataFrame) -> list[Pattern]:
    """Return a row for each class (how many different pictures, how varied) and for regions where one stands alone."""
    regions = evidence.regions
    groups = evidence.groups["group_id"].to_numpy()
    rows = [
        _class_row(evidence, place, groups, regions)
        for place in range(len(evidence.spec.class_names))
        if (evidence.given == place).any()
    ]
    return [*rows, *_alone(evidence, regions)]


def _class_row(evidence: Evidence, place: int, groups: np.ndarray, regions: np.ndarray) -> Pattern:
    name, own = evidence.spec.class_names[place], np.flatnonzero(evidence.given == place)
    different = len(set(groups[own]))
    fewest = evidence.spec.check.min_per_class
    needed = DEFAULT_FEWEST if fewest is None else fewest
    copies = 1 - different / len(own)
    is_issue = different < needed or copies >= MOSTLY_COPIES
    evidence_parts = [f"{different:,} different pictures among {len(own):,} samples ({copies:.0%} near copies)"]
    if regions.max(initial=-1) >= 0:
        shares = np.bincount(regions[own]) / len(own)
        spread = np.exp(-(shares[shares > 0] * np.log(shares[shares > 0])).sum())
        evidence_parts.append(f"spread as if over {spread:.1f} of {regions.max() + 1} regions of like pictures")
    row = {
        "issue": "coverage",
        "name": f"{name}: different pictures",
        "label": name,
        "samples": len(own),
        "score": min(1.0, different / max(needed, 1)) * different / len(own),
        "is_issue": is_issue,
        "suggested_action": f"collect more {name}: other subjects, places and light, not more of the same series"
        if is_issue
        else "",
        "evidence": ", ".join(evidence_parts) + ".",
    }
    return row, np.zeros(0, dtype=int)


def _alone(evidence: Evidence, regions: np.ndarray) -> list[Pattern]:
    """Return the regions of one class with a few pictures of another: rare there, or labelled wrong."""
    names, found = evidence.spec.class_names, []
    for region in range(int(regions.max(initial=-1)) + 1):
        inside = regions == region
        counts = np.bincount(evidence.given[inside & (evidence.given >= 0)], minlength=len(names))
        if counts.sum() == 0 or counts.max() < DOMINATED * counts.sum():
            continue
        for place in np.flatnonzero((counts >= ALONE[0]) & (counts <= ALONE[1])):
            if place != counts.argmax():
                found.append((counts[place] / counts.sum(), region, int(place), int(counts.argmax())))
    return [
        _alone_row(evidence, regions == region, place, main) for _, region, place, main in sorted(found)[:MOST_ALONE]
    ]


def _alone_row(evidence: Evidence, inside: np.ndarray, place: int, main: int) -> Pattern:
    names = evidence.spec.class_names
    own = np.flatnonzero(inside & (evidence.given == place))
    labelled = int((inside & (evidence.given >= 0)).sum())
    row = {
        "issue": "coverage",
        "name": f"{names[place]}: few among {describe_region(evidence, inside)}",
        "label": names[place],
        "samples": len(own),
        "score": len(own) / labelled,
        "is_issue": False,
        "suggested_action": f"look whether they are {names[place]}; if so, collect more like them",
        "evidence": f"{len(own):,} {names[place]} stand alone among {labelled:,} pictures that look alike, "
        f"most of them {names[main]}.",
    }
    return row, own
