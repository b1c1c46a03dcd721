"""Finds unusual images of the classes: further from their nearest neighbours than those are from theirs.

An odd pose, a costume, a drawing, an animal far away: to be looked at, and often kept. What shows none of the classes
is ``off_topic`` and no outlier.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from curate.audit.detectors.off_topic import flag_off_topic
from curate.audit.evidence.evidence import Evidence, findings_table
from curate.audit.evidence.ordinary import measure_ordinary, score_spreads

DETECTOR = "outlier-v2"
FEWEST = 10  # samples; among fewer, everything is far from everything
# Chosen on search results, CIFAR-10 and drawings of cats and dogs: one picture in two hundred is flagged, and by eye
# they are the odd ones.
LIMIT = 2.5  # spreads at which the score is 0.5
TINY = 1e-6


def find_outliers(evidence: Evidence) -> pd.DataFrame:
    """Return every readable sample; score 0..1: how much company it has beside what is ordinary here."""
    if len(evidence.readable) < FEWEST:
        evidence.notes.append(f"outlier: {len(evidence.readable)} readable samples, {FEWEST} are needed.")
        return findings_table(evidence.readable.iloc[:0], "outlier", DETECTOR, score=0.0, is_issue=False)
    likeness, others = compute_company(*evidence.neighbours, evidence.groups["group_id"].to_numpy())
    score = score_company(likeness, others)
    is_stranger = flag_off_topic(evidence)
    return findings_table(
        evidence.readable,
        "outlier",
        DETECTOR,
        score=score,
        is_issue=(score < evidence.spec.audit.outlier) & ~is_stranger,
        evidence=[
            f"it is {own:.2f} like its nearest neighbours, they are {other:.2f} like theirs (0 unrelated, 1 the same)"
            + ("; told as off topic" if stranger else "")
            for own, other, stranger in zip(likeness, others, is_stranger, strict=True)
        ],
    )


def compute_company(indices: np.ndarray, similarities: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each row's likeness to its neighbours and that of its neighbours to theirs, both ``(N,)`` in 0..1.

    Likeness is the mean cosine similarity to the neighbours. Copies are no company: members of one near-duplicate
    group do not count, or a picture of something else would pass by lying there twice.
    """
    counts = group[indices] != group[:, None]
    total = np.where(counts, similarities, 0).sum(axis=1)
    number = counts.sum(axis=1)
    # All neighbours are copies: nothing else was seen, so nothing says that the row is far from the rest.
    likeness = np.clip(np.where(number > 0, total / np.maximum(number, 1), 1.0), 0, 1)
    return likeness, likeness[indices].mean(axis=1)


def score_company(likeness: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return scores ``(N,)`` in 0..1, low = bad: 0.5 at ``LIMIT`` spreads above the ordinary.

    What is compared is how far a row is from its neighbours times how many times further that is than they are from
    theirs: drawings are all much alike, so the odd one is less unlike the rest than an odd photo is. Beside what is
    ordinary here: with fewer samples, or in another embedding, everything is further apart.

    References
    ----------
    M. Breunig et al., LOF: Identifying Density-Based Local Outliers, 2000, section 4: the ratio of densities.
    """
    apart, around = np.maximum(1 - likeness, TINY), np.maximum(1 - others, TINY)
    strange = np.log(apart) + np.log(apart / around)
    middle, spread = measure_ordinary(strange)
    return score_spreads(np.round((strange - middle) / spread, 4), LIMIT)
