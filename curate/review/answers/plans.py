"""Defines each answer of a reviewer: the decisions on the sample and its copies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from curate.decide.keepers import find_keepers
from curate.log.decision import ACTIONS, CONFLICT, LABEL_ISSUES, Decision, states_label
from curate.review.answers.draft import Answer, Draft, kept
from curate.review.answers.found import COPIES
from curate.storage.files import Problem


def take_answer(draft: Draft, sample_id: str, answer: Answer, label: str, issue: str) -> None:
    """Add what ``answer`` means for the sample to ``draft``, or why it cannot be taken to its `refused`."""
    try:
        planned = PLANS[answer](draft, sample_id, draft.asked(sample_id, issue), label)
    except Problem as problem:
        draft.refused[sample_id] = str(problem)
    else:
        draft.add(planned, names_class=answer == "relabel")


def _accept(draft: Draft, sample_id: str, asked: list[Any], label: str) -> list[Decision]:
    suggesting = [row for row in asked if row.suggested_action in ACTIONS]
    if not suggesting:
        raise _cannot(draft, sample_id, "no open finding suggests anything to accept. Keep, relabel or drop it")
    row = suggesting[0]
    if row.suggested_action == "relabel":
        return [draft.decide(sample_id, "relabel", row, row.suggested_label, row.evidence)]
    if row.suggested_action == "merge":
        return _merge_into_keeper(draft, sample_id, row)
    keeps = row.suggested_action == "keep" and row.issue in LABEL_ISSUES
    return [draft.decide(sample_id, row.suggested_action, row, draft.label(sample_id) if keeps else "", row.evidence)]


def _merge_into_keeper(draft: Draft, sample_id: str, row: Any) -> list[Decision]:
    """Merge into the copy that the policy would keep; if that is gone, into the next best; the last one stays."""
    members = draft.group(sample_id)
    gone = {copy for copy in members if copy != sample_id and draft.fold(copy).dropped}
    groups, samples = draft.evidence.groups.loc[members], draft.evidence.samples.loc[members]
    keeper = find_keepers(groups, samples.reset_index(drop=True), gone, draft.evidence.exam).get(sample_id, sample_id)
    if keeper == sample_id:
        return [draft.decide(sample_id, "keep", row, reason=row.evidence)]
    return [draft.decide(sample_id, "merge", row, keeper, row.evidence)]


def _keep(draft: Draft, sample_id: str, asked: list[Any], label: str) -> list[Decision]:
    now = draft.label(sample_id)
    if not now:
        raise _cannot(draft, sample_id, "it has no label that could be kept. Choose a class")
    if not asked:
        is_kept = kept(draft.said(sample_id))  # the same request once more, or nothing new
        return [] if is_kept else [draft.decide(sample_id, "keep", None, now)]
    return [
        draft.decide(sample_id, "keep", row, now if row.issue in (*LABEL_ISSUES, CONFLICT) else "") for row in asked
    ]


def _relabel(draft: Draft, sample_id: str, asked: list[Any], label: str) -> list[Decision]:
    doubts = [row for row in asked if row.issue in LABEL_ISSUES]
    # Somebody who changes their mind answers the same question again.
    doubts = doubts or [row for row in draft.evidence.findings.get(sample_id, ()) if row.issue in LABEL_ISSUES]
    conflict = [row for row in asked if row.issue == CONFLICT]
    if conflict and not any(states_label(one) for pair in draft.weighed(sample_id).conflicts for one in pair):
        doubts = conflict  # on something else than the label: a word on the label alone would leave it open
    row = doubts[0] if doubts else None
    # The class that was in doubt: the detector was wrong.
    is_kept = row is not None and row.issue in LABEL_ISSUES and label == draft.evidence.given.get(sample_id)
    return [draft.decide(sample_id, "keep" if is_kept else "relabel", row, label)]


def _drop(draft: Draft, sample_id: str, asked: list[Any], label: str) -> list[Decision]:
    if draft.fold(sample_id).dropped and not asked:
        return []
    suggesting = [row for row in asked if row.suggested_action == "drop"]
    row = next(iter(suggesting or asked), None)
    return [draft.decide(sample_id, "drop", row)]


def _undrop(draft: Draft, sample_id: str, asked: list[Any], label: str) -> list[Decision]:
    row = next((row for row in asked if row.issue == CONFLICT), None)
    return [draft.decide(sample_id, "undrop", row)] if draft.fold(sample_id).dropped else []


def _keep_this_copy(draft: Draft, sample_id: str, asked: list[Any], label: str) -> list[Decision]:
    copies = [copy for copy in _expect_group(draft, sample_id) if copy != sample_id]
    back = _undrop(draft, sample_id, asked, label)
    if back and draft.shown is not None and not back[0].finding:  # who saw it as open does not know that it is left out
        row = next((row for row in asked if row.issue == COPIES), None)
        back = [draft.decide(sample_id, "undrop", row)]
    return back + [draft.decide(copy, "merge", _copies_row(draft, copy), sample_id) for copy in copies]


def _not_copies(draft: Draft, sample_id: str, asked: list[Any], label: str) -> list[Decision]:
    return [
        draft.decide(copy, "keep", row) for copy in _expect_group(draft, sample_id) if (row := _copies_row(draft, copy))
    ]


def _expect_group(draft: Draft, sample_id: str) -> list[str]:
    """Return the copies that are left, and the sample itself and those merged into it: it may be chosen again."""
    members = draft.group(sample_id)
    if not members:
        raise _cannot(draft, sample_id, "it is in no group of near duplicates")
    return [one for one in members if not draft.fold(one).dropped or draft.fold(one).merged_into or one == sample_id]


def _copies_row(draft: Draft, sample_id: str) -> Any:
    return next((row for row in draft.evidence.findings.get(sample_id, ()) if row.issue == COPIES), None)


PLANS: dict[str, Callable[[Draft, str, list[Any], str], list[Decision]]] = {
    "accept": _accept,
    "keep": _keep,
    "relabel": _relabel,
    "drop": _drop,
    "undrop": _undrop,
    "keep_this_copy": _keep_this_copy,
    "not_copies": _not_copies,
}


def _cannot(draft: Draft, sample_id: str, why: str) -> Problem:
    return Problem(f"{draft.evidence.path.get(sample_id, sample_id)}: {why}.")
