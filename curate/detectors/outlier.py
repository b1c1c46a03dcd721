"""Pictures that look like nothing else in the dataset: the distance to their nearest neighbours."""

from __future__ import annotations

import numpy as np
import pandas as pd

from curate.detectors.evidence import Evidence, findings_table

DETECTOR = "outlier-v1"
FEWEST = 10  # samples; among fewer, everything is far from everything


def find_outliers(evidence: Evidence) -> pd.DataFrame:
    """Return every readable sample; score: the mean cosine similarity to its nearest neighbours, 0..1.

    Copies are no company: members of one near-duplicate group do not count as neighbours of each other, or a picture
    of something else would pass by lying there twice.
    """
    if len(evidence.readable) < FEWEST:
        evidence.notes.append(f"outlier: {len(evidence.readable)} readable samples, {FEWEST} are needed.")
        return findings_table(evidence.readable.iloc[:0], "outlier", DETECTOR, score=0.0, is_issue=False)
    score = compute_company(*evidence.neighbours, evidence.groups["group_id"].to_numpy())
    is_issue = score < evidence.spec.audit.outlier
    said = [f"its mean similarity to its nearest neighbours is {value:.2f} (0 unrelated, 1 the same)" for value in score]
    return findings_table(
        evidence.readable,
        "outlier",
        DETECTOR,
        score=score,
        is_issue=is_issue,
        suggested_action=np.where(is_issue, "drop", ""),
        evidence=said,
    )


def compute_company(indices: np.ndarray, similarities: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return each row's mean similarity ``(N,)`` to its neighbours of other groups, clipped to 0..1; 0 without any."""
    counts = group[indices] != group[:, None]
    total = np.where(counts, similarities, 0).sum(axis=1)
    number = counts.sum(axis=1)
    # All neighbours are copies: nothing else was seen, so nothing says that it is far from the rest.
    alone = np.where(similarities.shape[1] > 0, 1.0, 0.0)
    return np.clip(np.where(number > 0, total / np.maximum(number, 1), alone), 0, 1)
