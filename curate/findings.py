"""What the audit left behind, and which of it still waits for a decision."""

from __future__ import annotations

import pandas as pd

from curate.dataset import DatasetFolder
from curate.decisions import decided_pairs, fold_decisions, read_decisions
from curate.tables import read_table

LABEL_ISSUES = ("label_error", "label_conflict")


def read_findings(dataset: DatasetFolder) -> pd.DataFrame:
    """Return every row the last audit scored, with the columns of ``tables.FINDINGS``, also those that passed.

    Raises
    ------
    Problem
        When there was no audit yet.
    """
    return read_table(dataset.cache / "findings.parquet", f"curate audit {dataset.path}")


def open_findings(dataset: DatasetFolder, findings: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the findings that are issues and that no decision has answered yet."""
    table = read_findings(dataset) if findings is None else findings
    decisions = read_decisions(dataset.decisions)
    answered = decided_pairs(decisions)
    # A person who stated the label of a sample has answered whatever a detector asks about it.
    stated = {one.sample_id for one in decisions if one.action in ("relabel", "keep")}
    answered |= {(sample_id, issue) for sample_id in stated for issue in LABEL_ISSUES}
    gone = set(fold_decisions(decisions).query("dropped")["sample_id"])
    is_open = [(row.sample_id, row.issue) not in answered and row.sample_id not in gone for row in table.itertuples()]
    return table[table["is_issue"] & pd.Series(is_open, index=table.index, dtype=bool)].reset_index(drop=True)
