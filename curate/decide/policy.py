"""Findings to decisions: by the spec's policy, by accepting an issue's suggestions, or one sample by hand.

A policy never decides twice, never overrides a person, and never changes a label in the test split: labels that a model
suggested and a policy accepted would let the model write its own exam.
"""

from __future__ import annotations

import getpass
from collections.abc import Set as AbstractSet
from typing import Any

import pandas as pd

from curate.audit.findings import open_findings, read_findings
from curate.images.scan import Scan, read_scan
from curate.log.conflicts import CONFLICT, LABEL_ISSUES
from curate.log.decisions import ACTIONS, Decision, append_decisions, fold_decisions, read_decisions
from curate.spec.model import AcceptBelow, Policy, Spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder
from curate.storage.tables import read_table
from curate.versions.build import place_samples, read_exam, read_groups, resolve_labels

ACCEPT = "accept"  # tool of suggestions that a person accepted in bulk
GONE = ("dropped", "merged into a near copy")  # what `resolve_labels` says of samples that left


def apply_policy(dataset: DatasetFolder, spec: Spec) -> list[Decision]:
    """Write the decisions that the spec's ``policy:`` makes of the open findings, and return them."""
    scan, findings = read_scan(dataset), open_findings(dataset)
    rows = current_rows(dataset, scan, spec)
    held = held_samples(read_decisions(dataset.decisions))
    proposals = propose_decisions(findings, scan, _groups(dataset), rows, spec.policy, held)
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
    label = dict(zip(rows["sample_id"], rows["label"], strict=True))
    split = dict(zip(rows["sample_id"], rows["split"], strict=True))
    pixels = dict(zip(scan.samples["sample_id"], scan.samples["pixel_hash"], strict=True))
    conflicts = set(findings.loc[findings["issue"] == "label_conflict", "sample_id"])
    exam = set(rows.loc[rows["claim"] == "test", "sample_id"])
    decisions, gone = [], set(rows.loc[rows["excluded"].isin(GONE), "sample_id"])
    # Copies come last: which of them stays is only known when it is known which of them are left out.
    copies = findings["issue"] == "near_duplicate"
    for part in (findings[~copies], findings[copies]):
        keepers = find_keepers(groups, scan.samples, gone, exam)
        for row in part.itertuples():
            keeper, before = keepers.get(row.sample_id, ""), label.get(row.sample_id, "")
            is_exact = pixels.get(row.sample_id) == pixels.get(keeper)
            disagree = row.sample_id in conflicts or before not in ("", label.get(keeper, ""))
            action, new_label = _by_policy(row, policy, keeper, is_exact, disagree)
            if action == "relabel" and (split.get(row.sample_id) == "test" or before == new_label):
                continue
            if not action or row.sample_id in gone or (action in ("drop", "merge") and row.sample_id in held):
                continue
            if action in ("drop", "merge"):
                gone.add(row.sample_id)
            if action == "relabel":  # answers the conflict too, so that the copies are merged now, not the next time
                label[row.sample_id] = new_label
                conflicts.discard(row.sample_id)
            decisions.append(_decision(row, action, new_label, before, "policy", "policy"))
    return decisions


def find_keepers(
    groups: pd.DataFrame,
    samples: pd.DataFrame,
    gone: AbstractSet[str] = frozenset(),
    exam: AbstractSet[str] = frozenset(),
) -> dict[str, str]:
    """Return the sample that stays of each sample's near-duplicate group: the audit's, or the next best if it is gone.

    What is in the test set by itself (``exam``) stays before copies that were trained on or came later, however good
    these are. Members of a group of which nothing is left have none: merging them into what is gone would lose the
    picture.
    """
    left = groups[~groups["sample_id"].isin(gone)]
    left = left.assign(chosen=left["sample_id"] == left["keeper"])
    left = left.assign(tested=left["sample_id"].isin(exam))
    sizes = samples[["sample_id", "bytes"]].assign(pixels=samples["width"] * samples["height"])
    order = ["tested", "chosen", "pixels", "bytes", "sample_id"]
    best = left.merge(sizes, on="sample_id").sort_values(order, ascending=[False, False, False, False, True])
    keeper = best.drop_duplicates("group_id").set_index("group_id")["sample_id"].to_dict()
    members = zip(groups["sample_id"], groups["group_id"], strict=True)
    return {sample_id: keeper[group] for sample_id, group in members if group in keeper}


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
    labels = dict(zip(*_labels_now(dataset, spec), strict=True))
    gone = set(fold_decisions(read_decisions(dataset.decisions)).query("dropped")["sample_id"])
    samples = read_scan(dataset).samples
    exam = read_exam(dataset, spec, samples)
    keepers = find_keepers(_groups(dataset), samples, gone, exam)
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
            decisions.append(_decision(row, action, new_label, before, actor or current_user(), ACCEPT))
    if len(chosen) and not decisions:
        raise Problem(
            f"The findings of {issue} suggest nothing to accept. Decide them one by one, or in `curate review`."
        )
    return append_decisions(dataset.decisions, decisions) if decisions else []


def _accept_unlabelled(dataset: DatasetFolder, spec: Spec, max_score: float, actor: str | None) -> list[Decision]:
    """Accept all proposals outside the test split; a score there says how sure one is, so a low one is no reason to."""
    from curate.label.propose import accept_proposals

    if max_score < 1:
        raise Problem(
            "--max-score would take the unsure proposals first. To take the sure ones: `curate label --accept 0.95`."
        )
    return accept_proposals(dataset, spec, at_least=0.0, actor=actor).decisions


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
    label = _expect_label(dataset, spec, scan, sample_id, action, label)
    before = dict(zip(*_labels_now(dataset, spec), strict=True)).get(sample_id, "")
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


def find_sample(scan: Scan, name: str) -> str:
    """Return the id of the sample that ``name`` means: its id, a start of it of 6 or more digits, or a path of it."""
    ids = scan.samples["sample_id"]
    matches = set(ids[ids == name]) or set(scan.locations.loc[scan.locations["path"] == name, "sample_id"]) - {""}
    if not matches and len(name) >= 6:
        matches = set(ids[ids.str.startswith(name)])
    if len(matches) != 1:
        alike = [one for one in scan.locations["path"] if one.endswith(f"/{name}")]
        meant = f" (did you mean {' or '.join(alike[:3])}?)" if alike else ""
        found = f"none has it{meant}" if not matches else f"{len(matches)} have it"
        raise Problem(f"Expected a sample id (or 6 or more of its digits) or a path, found {name!r}: {found}.")
    return str(matches.pop())


def current_user() -> str:
    """Return who is at the keyboard, as decisions name them."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"


def _expect_issue(findings: pd.DataFrame, issue: str) -> None:
    known = sorted(set(findings["issue"]))
    if issue not in known:
        raise Problem(f"Expected an issue that the audit looked for ({', '.join(known)}), found {issue!r}.")


def _decision(row: object, action: str, label: str, before: str, actor: str, tool: str) -> Decision:
    return Decision(
        actor=actor,
        tool=tool,
        sample_id=row.sample_id,  # type: ignore[attr-defined]
        action=action,  # type: ignore[arg-type]
        label=label if action in ("relabel", "merge") else before if action == "keep" else "",
        reason=row.evidence,  # type: ignore[attr-defined]
        finding=row.issue,  # type: ignore[attr-defined]
        before=before,
        score=row.score,  # type: ignore[attr-defined]
        detector=row.detector,  # type: ignore[attr-defined]
    )


def _groups(dataset: DatasetFolder) -> pd.DataFrame:
    return read_table(dataset.cache / "groups.parquet", f"curate audit {dataset.path}")


def _labels_now(dataset: DatasetFolder, spec: Spec) -> tuple[pd.Series, pd.Series]:
    rows = resolve_labels(read_scan(dataset), fold_decisions(read_decisions(dataset.decisions)), spec)
    return rows["sample_id"], rows["label"]


def current_rows(dataset: DatasetFolder, scan: Scan, spec: Spec) -> pd.DataFrame:
    """Return a row a sample as it is now: `label, split, excluded`, and `claim`: its split but for its copies."""
    rows = resolve_labels(scan, fold_decisions(read_decisions(dataset.decisions)), spec)
    rows["group_id"] = rows["sample_id"].map(read_groups(dataset, scan))
    places = place_samples(dataset, rows, spec).places.set_index("sample_id")
    return rows.assign(**{name: rows["sample_id"].map(places[name]).fillna("") for name in ("split", "claim")})
