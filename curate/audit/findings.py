"""Reads the findings of the audit and the log, and tells which still wait for a decision."""

from __future__ import annotations

import pandas as pd

from curate.log.conflict_findings import find_conflicts
from curate.log.conflicts import weigh_log
from curate.log.decision import CONFLICT, LABEL_ISSUES, states_label
from curate.log.decisions import read_log
from curate.log.outcomes import decided_pairs, fold_decisions
from curate.storage.files import read_cached
from curate.storage.folder import DatasetFolder
from curate.storage.tables import FINDINGS, read_parquet, read_table, shaped


def read_findings(dataset: DatasetFolder) -> pd.DataFrame:
    """Return what the last audit scored, as `read_scored`, and the conflicts of decisions that are open now.

    Raises
    ------
    Problem
        When there was no audit yet.
    """
    return with_conflicts(dataset, read_scored(dataset))


def read_scored(dataset: DatasetFolder) -> pd.DataFrame:
    """Return every row the last audit scored, with the columns of ``tables.FINDINGS``, also those that passed.

    Raises
    ------
    Problem
        When there was no audit yet.
    """
    return read_table(dataset.cache / "findings.parquet", f"curate audit {dataset.path}", FINDINGS)


def with_conflicts(dataset: DatasetFolder, scored: pd.DataFrame) -> pd.DataFrame:
    """Return ``scored`` with the open conflicts between decisions, which come and go with the log alone."""
    events = read_log(dataset.decisions)
    table = read_cached(dataset.cache / "samples.parquet", read_parquet) if weigh_log(events)[1] else None
    if table is None:
        return scored
    conflicts = find_conflicts(events, dict(zip(table["sample_id"], table["path"], strict=True)))
    if conflicts.empty:
        return scored
    return shaped(pd.concat([scored, conflicts]).sort_values(["issue", "score", "sample_id"]), FINDINGS)


def open_findings(dataset: DatasetFolder, findings: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the findings that are issues and that no decision has answered yet.

    A sample that was dropped asks nothing more, but whether it was rightly dropped, and a copy whose copies are all
    gone is no copy any more.
    """
    table = read_findings(dataset) if findings is None else findings
    table = table[table["is_issue"]]  # at once: most of the scored rows passed
    decisions, disputed = weigh_log(read_log(dataset.decisions))  # now: the table may be older than the last decision
    # A person who stated the label of a sample has answered whatever a detector asks about it.
    stated = {one.sample_id for one in decisions if states_label(one)}
    answered = decided_pairs(decisions) | {(sample_id, issue) for sample_id in stated for issue in LABEL_ISSUES}
    gone = set(fold_decisions(decisions).query("dropped")["sample_id"])
    pairs = zip(table["sample_id"], table["issue"], strict=True)
    waiting = [
        pair[0] in disputed if pair[1] == CONFLICT else pair not in answered and pair[0] not in gone for pair in pairs
    ]
    is_waiting = pd.Series(waiting, table.index, dtype=bool)
    return table[is_waiting & ~_alone(dataset, table, gone)].reset_index(drop=True)


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
