"""Accepts every open finding of an issue, as one person's decisions."""

from __future__ import annotations

import pandas as pd

from curate.audit.findings import open_findings, read_findings
from curate.decide.finding import decide_finding
from curate.decide.keepers import find_keepers
from curate.images.samples import read_scan
from curate.log.decision import ACTIONS, Decision
from curate.log.decisions import append_decisions, current_user, read_decisions
from curate.log.outcomes import fold_decisions
from curate.spec.model import Spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder
from curate.versions.current import current_labels
from curate.versions.groups import read_group_table
from curate.versions.places import read_exam

ACCEPT = "accept"  # tool of suggestions that a person accepted in bulk


def accept_findings(
    dataset: DatasetFolder, spec: Spec, issue: str, max_score: float = 1.0, actor: str | None = None
) -> list[Decision]:
    """Write a person's acceptance of every open finding of ``issue`` with a score up to ``max_score``.

    Raises
    ------
    Problem
        When the audit knows no such issue, or it suggests nothing that could be accepted.
    """
    findings = read_findings(dataset)
    _expect_issue(findings, issue)
    if issue == "unlabelled":
        return _accept_unlabelled(dataset, spec, max_score, actor)
    chosen = open_findings(dataset, findings)
    chosen = chosen[(chosen["issue"] == issue) & (chosen["score"] <= max_score)]
    labels = current_labels(dataset, spec)
    gone = set(fold_decisions(read_decisions(dataset.decisions)).query("dropped")["sample_id"])
    samples = read_scan(dataset).samples
    exam = read_exam(dataset, spec, samples)
    keepers = find_keepers(read_group_table(dataset), samples, gone, exam)
    decisions = []
    for row in chosen.itertuples():
        action = row.suggested_action if row.suggested_action in ACTIONS else ""
        if issue == "near_duplicate" and action == "keep":  # unless another one stays: that of the test set
            action = "merge"
        new_label = keepers.get(row.sample_id, "") if action == "merge" else row.suggested_label
        if new_label == row.sample_id:  # the copy that was to stay is gone: this one stays in its place
            action = "keep"
        if action and not (action in ("relabel", "merge") and not new_label):
            before = labels.get(row.sample_id, "")
            decisions.append(decide_finding(row, action, new_label, before, actor or current_user(), ACCEPT))
    if len(chosen) and not decisions:
        raise Problem(
            f"The findings of {issue} suggest nothing to accept. Decide them one by one, or in `curate review`."
        )
    return append_decisions(dataset.decisions, decisions) if decisions else []


def _accept_unlabelled(dataset: DatasetFolder, spec: Spec, max_score: float, actor: str | None) -> list[Decision]:
    """Accept all proposals outside the test split; a score there says how sure one is, so a low one is no reason to."""
    from curate.label.accept import accept_proposals

    if max_score < 1:
        raise Problem(
            "--max-score would take the unsure proposals first. To take the sure ones: `curate label --accept 0.95`."
        )
    return accept_proposals(dataset, spec, at_least=0.0, actor=actor).decisions


def _expect_issue(findings: pd.DataFrame, issue: str) -> None:
    known = sorted(set(findings["issue"]))
    if issue not in known:
        raise Problem(f"Expected an issue that the audit looked for ({', '.join(known)}), found {issue!r}.")
