"""Pulls edits made in the App back into the decision log, validated.

The App stores any text as a label and keeps no author and no history; so an edit is what differs from the snapshot of
the last push, it must name a class of the spec, and it becomes a decision only if it changes what the log says.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from curate.log.decision import LABEL_ISSUES, Decision
from curate.log.decisions import append_composed, current_user
from curate.review.mirror.rows import DROP, KEEP, current_labels, waiting_findings
from curate.review.mirror.snapshot import mark, read_snapshot, review_name, write_snapshot, writing
from curate.review.services.environment import load_fiftyone
from curate.spec.model import Spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder

Notify = Callable[[str], None]
REASON = "edited in the FiftyOne App"


@dataclass(frozen=True)
class Edit:
    """One sample that differs from what was pushed; `label` is its class, `drop` and `keep` its tags now."""

    fiftyone_id: str
    sample_id: str
    label: str
    drop: bool
    keep: bool
    before: str
    was_dropped: bool
    was_kept: bool
    tags: list[str]


def tell(sentence: str) -> None:
    """Print ``sentence`` on stderr, where it does not mix with results."""
    print(sentence, file=sys.stderr)  # noqa: T201


def pull_review(
    dataset: DatasetFolder, spec: Spec, actor: str | None = None, name: str | None = None, notify: Notify = tell
) -> list[Decision]:
    """Append the edits made in the App since the last push to the decision log and return them; none is [].

    A changed label is a `relabel`, the tag `drop` a `drop`, its removal an `undrop`, the tag `keep` a `keep`. What
    cannot stand (an unknown class, `drop` with `keep`) is put back in FiftyOne and told to ``notify``.

    Parameters
    ----------
    actor
        The reviewer; the login name when None.

    Raises
    ------
    Problem
        When nothing was pushed, or the last push is not the one in this database.
    """
    fo = load_fiftyone()
    name = review_name(dataset, name)
    if not fo.dataset_exists(name):
        raise Problem(f"Expected the FiftyOne dataset {name}, but nothing was pushed yet. Run `curate review` first.")
    with writing(dataset, name):
        view = fo.load_dataset(name)
        snapshot = read_snapshot(dataset, view)
        if snapshot is None:
            raise Problem(
                f"Expected the FiftyOne dataset {name} as it was last pushed, but its snapshot in {dataset.cache} is "
                "gone or of another push, so edits cannot be told from old values. Run `curate review` to push it anew."
            )
        return take_edits_in(dataset, spec, view, snapshot, actor, notify)


def take_edits_in(
    dataset: DatasetFolder,
    spec: Spec,
    view: Any,
    snapshot: pd.DataFrame,
    actor: str | None = None,
    notify: Notify = tell,
) -> list[Decision]:
    """Do what `pull_review` does, for a caller that is `writing` and has read the ``snapshot``."""
    fo = load_fiftyone()
    edits = _find_edits(view, snapshot, notify)
    if not edits:
        return []
    refused = {edit.fiftyone_id: sentence for edit in edits if (sentence := _refusal(edit, spec))}
    for sentence in refused.values():
        notify(sentence)
    accepted = [edit for edit in edits if edit.fiftyone_id not in refused]
    # While nobody else can add to the log: an edit is logged once, whoever else takes edits in.
    decisions = append_composed(
        dataset.decisions, lambda _: list(_decide(dataset, accepted, actor or current_user())) if accepted else []
    )
    _put_back(fo, view, [edit for edit in edits if edit.fiftyone_id in refused])
    mark(view, token="")
    write_snapshot(dataset, view, _refreshed(snapshot, accepted), secrets.token_hex(8))
    return decisions


def _find_edits(view: Any, snapshot: pd.DataFrame, notify: Notify) -> list[Edit]:
    ids, sample_ids, labels, tags = view.values(["id", "sample_id", "label.label", "tags"])
    # FiftyOne has None where the last tag was taken off.
    now = {key: (label or "", own or []) for key, label, own in zip(ids, labels, tags, strict=True)}
    pushed = list(snapshot.itertuples())
    added = sum(not sample_id for sample_id in sample_ids)
    if added:
        notify(f"{added} samples that were added in the App are not in the dataset's sources: passed over.")
    deleted = sum(row.fiftyone_id not in now for row in pushed)
    if deleted:
        notify(f"{deleted} samples were deleted in the App: they come back with the next push; `drop` is a tag.")
    edits = []
    for row in pushed:
        if row.fiftyone_id not in now:
            continue
        label, own = now[row.fiftyone_id]
        flags = (DROP in own, KEEP in own)
        if (label, *flags) != (row.label, row.drop, row.keep):
            edit = Edit(row.fiftyone_id, row.sample_id, label, *flags, row.label, row.drop, row.keep, own)
            edits.append(edit)
    return edits


def _refusal(edit: Edit, spec: Spec) -> str:
    """Return why ``edit`` cannot stand; '' when it can."""
    if edit.label != edit.before and edit.label not in spec.classes:
        found = f"the unknown class {edit.label!r}" if edit.label else "no label"
        classes = ", ".join(spec.class_names)
        return f"Sample {edit.sample_id}: expected one of {classes}, but found {found}. Its label was put back."
    if edit.drop and edit.keep:
        return f"Sample {edit.sample_id} was tagged both {DROP} and {KEEP}. Its tags were put back; choose one."
    return ""


def _decide(dataset: DatasetFolder, edits: list[Edit], actor: str) -> Iterator[Decision]:
    labels, tags = current_labels(dataset)
    findings: dict[str, dict[str, tuple[float, str]]] = {}
    for row in waiting_findings(dataset).itertuples():
        findings.setdefault(row.sample_id, {})[row.issue] = (row.score, row.detector)
    for edit in edits:
        decided = tags.get(edit.sample_id, [])
        for action in _actions(edit, labels.get(edit.sample_id, ""), DROP in decided, KEEP in decided):
            label = edit.label if action in ("relabel", "keep") else ""
            asked = findings.get(edit.sample_id, {})
            for issue in _answered(action, list(asked)):
                score, detector = asked.get(issue, (None, None))
                yield Decision(
                    actor=actor,
                    tool="fiftyone",
                    sample_id=edit.sample_id,
                    action=action,
                    label=label,
                    reason=REASON,
                    finding=issue,
                    before=edit.before,
                    score=score,
                    detector=detector,
                )


def _actions(
    edit: Edit, label: str, dropped: bool, kept: bool
) -> list[Literal["keep", "relabel", "drop", "merge", "undrop"]]:
    """Return what ``edit`` does to a sample whose class, drop and keep the log now has as given.

    The order matters: a relabel takes a drop back, so a sample that stays dropped is dropped once more.
    """
    if edit.label not in ("", edit.before, label):
        return ["relabel", "drop"] if edit.drop else ["relabel"]
    if edit.drop and not edit.was_dropped and not dropped:
        return ["drop"]
    if edit.keep and not edit.was_kept and not kept:
        return ["keep"]
    if edit.was_dropped and not edit.drop and dropped:
        return ["undrop"]
    return []


def _answered(action: str, issues: list[str]) -> list[str]:
    """Return the findings that ``action`` answers: `keep` says of each that it is none, the others answer one."""
    if action == "undrop" or not issues:
        return [""]
    if action == "keep":
        return issues
    return [next((issue for issue in LABEL_ISSUES if issue in issues), issues[0])]


def _put_back(fo: Any, view: Any, edits: list[Edit]) -> None:
    if not edits:
        return
    labels = {edit.fiftyone_id: fo.Classification(label=edit.before) if edit.before else None for edit in edits}
    tags = {}
    for edit in edits:
        pushed = [DROP] * edit.was_dropped + [KEEP] * edit.was_kept
        tags[edit.fiftyone_id] = [tag for tag in edit.tags if tag not in (DROP, KEEP)] + pushed
    view.set_values("label", labels, key_field="id", progress=False)
    view.set_values("tags", tags, key_field="id", progress=False)


def _refreshed(snapshot: pd.DataFrame, accepted: list[Edit]) -> pd.DataFrame:
    """Return ``snapshot`` as FiftyOne is now; an edited row loses its digest, so that the next push writes it."""
    edits = {edit.fiftyone_id: edit for edit in accepted}
    rows = []
    for row in snapshot.to_dict("records"):
        if edit := edits.get(row["fiftyone_id"]):
            row |= {"label": edit.label, "drop": edit.drop, "keep": edit.keep, "digest": ""}
        rows.append(row)
    return pd.DataFrame(rows, columns=list(snapshot.columns))
