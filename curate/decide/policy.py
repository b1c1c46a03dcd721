"""Applies the spec's policy to the findings and writes its decisions.

A policy never decides twice, never overrides a person, and never changes a label in the test split: a model must not be
scored on labels that it suggested itself.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import pandas as pd

from curate.audit.findings import open_findings
from curate.decide.finding import decide_finding
from curate.decide.keepers import find_keepers
from curate.images.samples import Scan, read_scan
from curate.log.decision import Decision
from curate.log.decisions import append_decisions, read_decisions
from curate.spec.model import AcceptBelow, Policy, Spec
from curate.storage.folder import DatasetFolder
from curate.versions.current import current_rows
from curate.versions.groups import read_group_table

GONE = ("dropped", "merged into a near copy")  # what `resolve_labels` says of samples that left


def apply_policy(dataset: DatasetFolder, spec: Spec) -> list[Decision]:
    """Write the decisions that the spec's ``policy:`` makes of the open findings, and return them."""
    scan, findings = read_scan(dataset), open_findings(dataset)
    rows = current_rows(dataset, scan, spec)
    held = held_samples(read_decisions(dataset.decisions))
    proposals = propose_decisions(findings, scan, read_group_table(dataset), rows, spec.policy, held)
    return append_decisions(dataset.decisions, proposals) if proposals else []


def held_samples(decisions: list[Decision]) -> set[str]:
    """Return the samples that a person said stay: no policy takes them out for another reason afterwards."""
    return {one.sample_id for one in decisions if one.tool != "policy" and one.action in ("keep", "undrop")}


def propose_decisions(
    findings: pd.DataFrame,
    scan: Scan,
    groups: pd.DataFrame,
    rows: pd.DataFrame,
    policy: Policy,
    held: AbstractSet[str] = frozenset(),
) -> list[Decision]:
    """Return what ``policy`` decides of open ``findings``, without writing anything.

    Parameters
    ----------
    groups
        Columns ``sample_id, group_id, keeper``: the near-duplicate groups.
    rows
        Columns ``sample_id, label, split, excluded`` as they are now, and ``claim``: its split but for its copies.
    held
        Samples that a person said stay.
    """
    label, split = (dict(zip(rows["sample_id"], rows[name], strict=True)) for name in ("label", "split"))
    pixels = dict(zip(scan.samples["sample_id"], scan.samples["pixel_hash"], strict=True))
    conflicts = set(findings.loc[findings["issue"] == "label_conflict", "sample_id"])
    decisions, gone = [], set(rows.loc[rows["excluded"].isin(GONE), "sample_id"])
    for part in _copies_last(findings):
        keepers = find_keepers(groups, scan.samples, gone, set(rows.loc[rows["claim"] == "test", "sample_id"]))
        for row in part.itertuples():
            keeper, before = keepers.get(row.sample_id, ""), label.get(row.sample_id, "")
            is_exact = pixels.get(row.sample_id) == pixels.get(keeper)
            disagree = row.sample_id in conflicts or before not in ("", label.get(keeper, ""))
            action, new_label = _by_policy(row, policy, keeper, is_exact, disagree)
            is_out = action in ("drop", "merge")
            is_barred = action == "relabel" and (split.get(row.sample_id) == "test" or before == new_label)
            if not action or is_barred or row.sample_id in gone or (is_out and row.sample_id in held):
                continue
            gone |= {row.sample_id} if is_out else set()
            if action == "relabel":  # answers the conflict too, so that the copies are merged now, not the next time
                label[row.sample_id] = new_label
                conflicts.discard(row.sample_id)
            decisions.append(decide_finding(row, action, new_label, before, "policy", "policy"))
    return decisions


def _copies_last(findings: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the findings in two parts: which copy stays is only known when it is known which are left out."""
    copies = findings["issue"] == "near_duplicate"
    return findings[~copies], findings[copies]


def _by_policy(row: object, policy: Policy, keeper: str, is_exact: bool, disagree: bool) -> tuple[str, str]:
    """Return the action and its label that the policy takes on one finding; '' to leave it to a person."""
    issue, sample_id = row.issue, row.sample_id  # type: ignore[attr-defined]
    if issue == "near_duplicate":
        rule = policy.exact_duplicates if is_exact else policy.near_duplicates
        # Copies with different labels: merging them would hide the question which label is right.
        takes = rule != "review" and keeper not in ("", sample_id) and not disagree
        return ("merge", keeper) if takes else ("", "")
    if issue == "label_error":
        accept = policy.label_error
        takes = isinstance(accept, AcceptBelow) and row.score < accept.accept_below  # type: ignore[attr-defined]
        label = row.suggested_label  # type: ignore[attr-defined]
        # No label is suggested where a person must look: several classes in view, or none of them.
        return ("relabel", label) if takes and label else ("", "")
    if issue == "leakage" and row.suggested_action != "drop":  # type: ignore[attr-defined]
        return ("", "")  # the exam stays: the copy that was given to train goes
    return ("drop", "") if getattr(policy, issue, "review") == "drop" else ("", "")
