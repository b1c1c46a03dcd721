"""Turns groups of near copies into findings, with the member of each group that should be kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from curate.audit.evidence.evidence import Evidence, findings_table

DETECTOR = "near_duplicate-v3"


def find_near_duplicates(evidence: Evidence) -> pd.DataFrame:
    """Return every readable sample; score: 1 - similarity to the picture most like it among its candidates."""
    groups = evidence.groups.rename(columns={"kind": "copy_kind", "reason": "why_kept"})
    rows = evidence.readable.merge(groups, on="sample_id")
    grouped = rows["copy_kind"] != ""
    keeps = rows["keeper"] == rows["sample_id"]
    path = dict(zip(rows["sample_id"], rows["path"], strict=True))
    labels = _label_counts(rows[grouped])
    return findings_table(
        rows,
        "near_duplicate",
        DETECTOR,
        score=1 - rows["similarity"],
        is_issue=grouped,
        group_id=rows["group_id"].where(grouped, ""),
        suggested_action=np.where(~grouped, "", np.where(keeps, "keep", "merge")),
        evidence=[_sentence(row, path, labels) for row in rows.itertuples()],
    )


def _label_counts(rows: pd.DataFrame) -> dict[str, str]:
    """Return how often each label was given in the groups whose members' labels differ, as ``cat 2, dog 1``."""
    given = rows[rows["given_label"] != ""]
    counts = given.groupby(["group_id", "given_label"]).size().rename("count").reset_index()
    counts = counts[counts["group_id"].duplicated(keep=False)]
    counts = counts.sort_values(["group_id", "count", "given_label"], ascending=[True, False, True])
    said = counts["given_label"] + " " + counts["count"].astype(str)
    return {str(name): ", ".join(some) for name, some in said.groupby(counts["group_id"])}


def _sentence(row: Any, path: dict[str, str], labels: dict[str, str]) -> str:
    if not row.copy_kind:
        return ""
    kind = row.copy_kind.replace("_", " ")
    closest = path[row.closest]
    if row.copy_kind == "identical_pixels":
        said = f"identical pixels to {closest}"
    else:
        found = f" ({row.found})" if row.found else ""
        said = f"{kind} copy of {closest}{found}, similarity {row.similarity:.2f}"
    kept = "the one to keep" if row.keeper == row.sample_id else f"keep {path[row.keeper]} ({row.keeper})"
    differ = f"; labels differ: {labels[row.group_id]}" if row.group_id in labels else ""
    return f"{said}; {kept}: {row.why_kept}{differ}"
