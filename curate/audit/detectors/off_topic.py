"""Finds images that show none of the classes: no part of them resembles the ordinary images of any class.

How far a picture is from each class is measured in ``evidence.strangers``; here that becomes a score and a flag.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from curate.audit.evidence.evidence import Evidence, findings_table
from curate.audit.evidence.ordinary import score_spreads
from curate.audit.evidence.strangers import FEWEST, TRUSTED

DETECTOR = "off_topic-v1"
LIMIT = 2.6  # spreads at which the score is 0.5
NEARER = 0.8  # spreads by which the nearest part of a picture of something else is nearer than the whole: the median


def find_off_topic(evidence: Evidence) -> pd.DataFrame:
    """Return every readable sample; score 0..1: how much it, or a part of it, resembles its nearest class."""
    table = evidence.strangeness
    is_issue = flag_off_topic(evidence)
    if unjudged := int(table["whole"].isna().sum()):
        evidence.notes.append(
            f"off_topic: {unjudged:,} of {len(table):,} samples are not judged: their classes have fewer than {FEWEST} "
            "distinct samples."
        )
    return findings_table(
        evidence.readable,
        "off_topic",
        DETECTOR,
        score=score_strangeness(table),
        is_issue=is_issue,
        suggested_action=np.where(is_issue, "drop", ""),
        evidence=[_sentence(row, evidence) for row in table.itertuples()],
    )


def flag_off_topic(evidence: Evidence) -> np.ndarray:
    """Return which samples ``(N,)`` show none of the classes; none where the spec skips the issue."""
    if "off_topic" in evidence.spec.audit.skip:
        return np.zeros(len(evidence.ids), dtype=bool)
    flags: np.ndarray = score_strangeness(evidence.strangeness) < evidence.spec.audit.off_topic
    return flags


def score_strangeness(table: pd.DataFrame) -> np.ndarray:
    """Return the score ``(N,)`` of each row of ``find_strangers``: 1 ordinary, 0.5 the limit; 1 for the unjudged.

    The whole picture and its nearest part count alike. Where the parts are not known, the nearest is taken to be
    ``NEARER``, as it is for pictures of other things.
    """
    parts = table["parts"].fillna(table["whole"] - NEARER)
    spreads = ((table["whole"] + parts) / 2).fillna(0).to_numpy()
    return score_spreads(np.round(spreads, 4), LIMIT)


def _sentence(row: object, evidence: Evidence) -> str:
    if row.whole != row.whole:  # type: ignore[attr-defined]
        return "not judged: too few distinct samples of its class"
    names = [*evidence.spec.class_names, "the pictures without a label"]
    nearest = names[row.kind]  # type: ignore[attr-defined]
    closest = evidence.readable["path"].iat[row.closest]  # type: ignore[attr-defined]
    told = (
        f"most like {nearest}: {row.likeness:.2f} like the nearest of them, which are "  # type: ignore[attr-defined]
        f"{row.ordinary:.2f} like theirs (0 unrelated, 1 the same); "  # type: ignore[attr-defined]
        f"closest is {closest} with {row.similarity:.2f}"  # type: ignore[attr-defined]
    )
    if row.parts == row.parts:  # type: ignore[attr-defined]
        told += "; a part of it is more like them" if row.parts < TRUSTED else "; no part of it is like them either"  # type: ignore
    return told
