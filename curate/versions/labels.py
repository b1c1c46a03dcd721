"""Computes each sample's current label from votes and decisions, and why a sample is left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from curate.images.samples import Scan
from curate.log.votes import by_people
from curate.spec.model import Spec
from curate.storage.files import Problem


def number_labels(labels: Iterable[str], classes: Sequence[str]) -> np.ndarray:
    """Return the class number of each label ``(N,)``; -1 for what is no class.

    >>> number_labels(["dog", "", "cat"], ["cat", "dog"]).tolist()
    [1, -1, 0]
    """
    number = {name: place for place, name in enumerate(classes)}
    return np.array([number.get(label, -1) for label in labels], dtype=np.int64)


def resolve_labels(scan: Scan, decided: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    """Return one row a sample: ``label``, ``decided_by`` and why it is left out (``excluded``, '' when it is not)."""
    rows = scan.samples[["sample_id", "path", "reason", "given_label", "given_split"]].merge(
        decided, on="sample_id", how="left"
    )
    texts = ["label", "merged_into", "decided_by"]
    rows[texts] = rows[texts].astype("str").where(rows[texts].notna(), "")
    rows["dropped"] = rows["dropped"].eq(True)
    rows["label"] = rows["label"].where(rows["label"] != "", rows["given_label"])
    unknown = rows[~rows["label"].isin(["", *spec.classes])]
    if len(unknown):
        raise Problem(
            f"Expected labels among {', '.join(spec.classes)}, but decisions or votes say {unknown['label'].iloc[0]!r} "
            f"for {unknown['path'].iloc[0]} ({len(unknown)} in all). Relabel them or add the class to dataset.yaml."
        )
    tied = set(by_people(scan.votes)["sample_id"])
    rows["excluded"] = [_why_excluded(row, row.sample_id in tied) for row in rows.itertuples()]
    return rows


def _why_excluded(row: Any, has_votes: bool) -> str:
    if row.reason:
        return "unreadable"
    if row.merged_into:
        return "merged into a near copy"
    if row.dropped:
        return "dropped"
    if not row.label:
        return "votes tie" if has_votes else "unlabelled"
    return ""
