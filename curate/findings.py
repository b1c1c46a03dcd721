"""What the audit left behind, and which of it still waits for a decision."""

from __future__ import annotations

import pandas as pd

from curate.dataset import DatasetFolder
from curate.decisions import Decision, decided_pairs, fold_decisions, read_decisions
from curate.tables import FINDINGS, read_table

LABEL_ISSUES = ("label_error", "label_conflict", "unlabelled")


def read_findings(dataset: DatasetFolder) -> pd.DataFrame:
    """Return every row the last audit scored, with the columns of ``tables.FINDINGS``, also those that passed.

    Raises
    ------
    Problem
        When there was no audit yet.
    """
    return read_table(dataset.cache / "findings.parquet", f"curate audit {dataset.path}", FINDINGS)


def open_findings(dataset: DatasetFolder, findings: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the findings that are issues and that no decision has answered yet.

    A sample that was dropped asks nothing more, and a copy whose copies are all gone is no copy any more.
    """
    table = read_findings(dataset) if findings is None else findings
    table = table[table["is_issue"]]  # at once: most of the scored rows passed
    decisions = read_decisions(dataset.decisions)
    # A person who stated the label of a sample has answered whatever a detector asks about it.
    stated = {one.sample_id for one in decisions if states_label(one)}
    answered = decided_pairs(decisions) | {(sample_id, issue) for sample_id in stated for issue in LABEL_ISSUES}
    gone = set(fold_decisions(decisions).query("dropped")["sample_id"])
    pairs = zip(table["sample_id"], table["issue"], strict=True)
    waiting = pd.Series([pair not in answered and pair[0] not in gone for pair in pairs], table.index, dtype=bool)
    return table[waiting & ~_alone(dataset, table, gone)].reset_index(drop=True)


def states_label(decision: Decision) -> bool:
    """Return whether ``decision`` says what the sample's label is; to keep a dark picture need not."""
    return decision.action == "relabel" or (decision.action == "keep" and bool(decision.label or not decision.finding))


def _alone(dataset: DatasetFolder, table: pd.DataFrame, gone: set[str]) -> pd.Series:
    """Return which findings on near copies have no other member of their group left."""
    copies = table["issue"].isin(["near_duplicate", "leakage"])
    if not copies.any():
        return copies
    groups = read_table(dataset.cache / "groups.parquet", f"curate audit {dataset.path}")
    size = groups.groupby("group_id").size()
    left = groups[~groups["sample_id"].isin(gone)].groupby("group_id").size()
    group = table["sample_id"].map(groups.set_index("sample_id")["group_id"])
    # One file that was given to two splits is a leak without any group.
    was_grouped = (group.map(size).fillna(0) > 1) | (table["issue"] == "near_duplicate")
    return copies & was_grouped & (group.map(left).fillna(0) < 2)
