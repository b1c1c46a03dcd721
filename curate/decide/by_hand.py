"""Checks and writes one person's decision on one sample."""

from __future__ import annotations

from typing import Any

from curate.audit.findings import open_findings, read_findings
from curate.images.samples import Scan, find_sample, read_scan
from curate.log.decision import ACTIONS, CONFLICT, LABEL_ISSUES, Decision
from curate.log.decisions import append_decisions, current_user, read_decisions
from curate.log.outcomes import fold_decisions
from curate.spec.model import Spec
from curate.spec.names import trim_name
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder
from curate.versions.current import current_labels


def decide_sample(
    dataset: DatasetFolder,
    spec: Spec,
    sample: str,
    action: str,
    label: str = "",
    reason: str = "",
    actor: str | None = None,
) -> Decision:
    """Write one person's decision on one sample, named by its id, the start of its id, or its path.

    Raises
    ------
    Problem
        When the sample, the action or the class is unknown; the sentence lists what there is.
    """
    scan = read_scan(dataset)
    sample_id = find_sample(scan, sample)
    if action not in ACTIONS:
        raise Problem(f"Expected an action ({', '.join(ACTIONS)}), found {action!r}.")
    label = _expect_label(dataset, spec, scan, sample_id, action, trim_name(label))
    before = current_labels(dataset, spec).get(sample_id, "")
    finding = _finding_answered(dataset, sample_id, action)
    decision = Decision(
        actor=actor or current_user(),
        tool="decide",
        sample_id=sample_id,
        action=action,  # type: ignore[arg-type]
        label=before if action == "keep" and not label else label,
        reason=reason,
        finding="" if finding is None else finding["issue"],
        before=before,
        score=None if finding is None else finding["score"],
        detector=None if finding is None else finding["detector"],
    )
    return append_decisions(dataset.decisions, [decision])[0]


def _expect_label(dataset: DatasetFolder, spec: Spec, scan: Scan, sample_id: str, action: str, label: str) -> str:
    """Return the label of a decision by hand: a class for relabel and keep, the id of what stays for merge, else ''."""
    if action == "merge" and not label:
        raise Problem("Expected the sample that stays, as in `curate decide copy.jpg merge original.jpg`, found none.")
    if action == "merge":
        return _expect_staying(dataset, sample_id, find_sample(scan, label))
    if action in ("drop", "undrop") and label:
        raise Problem(f"Expected nothing after {action}, found {label!r}. A reason goes to `--reason`.")
    if label not in spec.classes and (label or action == "relabel"):
        raise Problem(f"Expected a class of {dataset.spec} ({', '.join(spec.classes)}), found {label or 'none'!r}.")
    return label


def _expect_staying(dataset: DatasetFolder, sample_id: str, keeper: str) -> str:
    """Return ``keeper`` if a sample can be merged into it: merged into each other, two copies would both be gone."""
    gone = set(fold_decisions(read_decisions(dataset.decisions)).query("dropped")["sample_id"])
    if keeper == sample_id or keeper in gone:
        why = "is the sample itself" if keeper == sample_id else "was dropped or merged before"
        raise Problem(f"Expected a sample that stays, but {keeper} {why}. Name another, or `undrop` it first.")
    return keeper


def _finding_answered(dataset: DatasetFolder, sample_id: str, action: str) -> dict[str, Any] | None:
    """Return the open finding that a decision by hand answers: the worst that asks for this kind of answer."""
    if not (dataset.cache / "findings.parquet").is_file():
        return None
    mine = open_findings(dataset, read_findings(dataset))
    mine = mine[mine["sample_id"] == sample_id].sort_values("score")
    conflict = mine[mine["issue"] == CONFLICT]  # first: until that is settled, nobody's word on it is final
    if action == "relabel":
        mine = mine[mine["issue"].isin(LABEL_ISSUES)]
    mine = conflict if len(conflict) else mine
    return mine.to_dict("records")[0] if len(mine) else None
