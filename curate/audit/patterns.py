"""Finds faults of the dataset as a whole: shortcuts, weak slices, imbalance and poor coverage.

A finding belongs to a sample and is decided there; a pattern belongs to the dataset, and what it asks for is to
collect, to prepare or to look. The audit writes both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd

from curate.storage.folder import DatasetFolder
from curate.storage.tables import PATTERN_MEMBERS, PATTERNS, empty, read_table, shaped, write_table

if TYPE_CHECKING:
    from curate.audit.detectors.coverage import Pattern
    from curate.audit.evidence.evidence import Evidence

KINDS = ("shortcut", "weak_slice", "imbalance", "coverage")
TABLES = ("patterns", "pattern_members")


def find_patterns(evidence: Evidence, metadata: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the patterns (``tables.PATTERNS``) and their samples (``tables.PATTERN_MEMBERS``).

    Patterns are sorted by kind, issues first, and score. What ``audit.skip`` names is not looked for. Members are the
    samples that a pattern is about, the most telling first; a pattern of counts has none.

    Parameters
    ----------
    metadata
        The further columns of a CSV source, as the scan wrote them.
    """
    found = [
        (row, rows)
        for kind, find in _finders().items()
        if kind not in evidence.spec.audit.skip and len(evidence.ids)
        for row, rows in find(evidence, metadata)
    ]
    if not found:
        return empty(PATTERNS), empty(PATTERN_MEMBERS)
    table = pd.DataFrame([{**row, "order": KINDS.index(str(row["issue"]))} for row, _ in found])
    # Rounded, so that the last bits of a processor's arithmetic decide neither an order nor a table's bytes.
    table["score"] = table["score"].astype("float64").clip(0, 1).round(6)
    table = table.sort_values(["order", "is_issue", "score", "name"], ascending=[True, False, True, True])
    members = [(row["name"], evidence.ids[one]) for row, rows in found for one in rows]
    listed = pd.DataFrame(members, columns=list(PATTERN_MEMBERS))
    return shaped(table, PATTERNS), shaped(listed, PATTERN_MEMBERS)


def _finders() -> dict[str, Callable[[Evidence, pd.DataFrame], list[Pattern]]]:
    from curate.audit.detectors import coverage, weak_slice
    from curate.audit.detectors.shortcuts import shortcut

    return {
        "shortcut": shortcut.find_shortcuts,
        "weak_slice": weak_slice.find_weak_slices,
        "imbalance": coverage.find_imbalance,
        "coverage": coverage.find_coverage,
    }


def write_patterns(dataset: DatasetFolder, patterns: pd.DataFrame, members: pd.DataFrame) -> None:
    """Write both tables under ``.curate/``."""
    for name, table in zip(TABLES, (patterns, members), strict=True):
        write_table(dataset.cache / f"{name}.parquet", table)


def read_patterns(dataset: DatasetFolder) -> pd.DataFrame:
    """Return the patterns of the last audit.

    Raises
    ------
    Problem
        When there was no audit.
    """
    return read_table(dataset.cache / "patterns.parquet", f"curate audit {dataset.path}", PATTERNS)


def read_members(dataset: DatasetFolder) -> pd.DataFrame:
    """Return which samples each pattern of the last audit is about: ``name, sample_id``, the most telling first."""
    return read_table(dataset.cache / "pattern_members.parquet", f"curate audit {dataset.path}", PATTERN_MEMBERS)
