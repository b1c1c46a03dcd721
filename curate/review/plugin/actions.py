"""Writes a reviewer's answer, undo or skip to the log, and shows in the App what changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from curate.review.answers.answering import Answered, tell_refused
from curate.review.answers.app_rows import SKIPPED
from curate.review.answers.draft import Answer
from curate.review.answers.sitting import Sitting, sitting_of
from curate.review.mirror.layout import issue_of_view
from curate.storage.files import Problem

AT_ONCE = 100  # samples looked at for the next one that waits


def give_answer(ctx: Any, answer: Answer, params: dict[str, Any]) -> dict[str, Any]:
    """Answer for the chosen samples, show it, and go on to the next; return what was written.

    ``params`` may hold `label` or `number` (of the class, from 1), `issue`, `reason`, `all_in_view`.
    """
    try:
        sitting, view = sitting_of(ctx.dataset), ctx.dataset
        ids = expect_chosen(ctx, bool(params.get("all_in_view")))
        order = _order(ctx)  # before: what is answered may leave the view
        issue = params.get("issue") or _issue_of(ctx, sitting)
        label, reason = _label(params, sitting), params.get("reason") or ""
        kept = _thumbs_down(ctx) if answer == "accept" else ()
        answered = sitting.answer(view, ids, answer, label, issue, reason, kept)
    except Problem as problem:
        return refuse(ctx, str(problem))
    return show_answered(ctx, answered, _next_waiting(ctx, order, ids))


def undo_answer(ctx: Any) -> dict[str, Any]:
    """Take the reviewer's last answer back and show it."""
    try:
        undone = sitting_of(ctx.dataset).undo(ctx.dataset)
    except Problem as problem:
        return refuse(ctx, str(problem))
    if not undone.decisions:
        return refuse(ctx, "There is no answer of yours to take back.")
    return show_answered(ctx, undone)


def skip(ctx: Any) -> dict[str, Any]:
    """Tag the chosen samples as skipped and go on to the next."""
    try:
        sitting_of(ctx.dataset)
        ids, order = expect_chosen(ctx), _order(ctx)
    except Problem as problem:
        return refuse(ctx, str(problem))
    ctx.dataset.select(ids).tag_samples(SKIPPED)
    return show_answered(ctx, Answered(), _next_waiting(ctx, order, ids))


def chosen_ids(ctx: Any) -> list[str]:
    """Return the sample that is open, else those selected: a selection behind an open sample cannot be seen."""
    return [ctx.current_sample] if ctx.current_sample else list(ctx.selected)


def expect_chosen(ctx: Any, all_in_view: bool = False) -> list[str]:
    """Return the chosen samples, or all in view where that was asked for; a Problem when there is none."""
    if ids := chosen_ids(ctx):
        return ids
    if not all_in_view:
        raise Problem("Open a sample or select some first; or answer for all in view, where the operator asks.")
    return list(ctx.view.values("id"))


def _thumbs_down(ctx: Any) -> set[str]:
    """Return what is kept where suggestions are accepted; behind an open sample no selection can be seen."""
    marked = [] if ctx.current_sample else [one for one in ctx.selected_samples if isinstance(one, dict)]
    return {one["id"] for one in marked if one.get("type") == "alt"}


def _label(params: dict[str, Any], sitting: Sitting) -> str:
    classes = sitting.answering.evidence.spec.class_names
    number = int(params.get("number") or 0)
    if number > len(classes):
        raise Problem(f"Expected a key from 1 to {len(classes)}, found {number}: {', '.join(classes)}.")
    return classes[number - 1] if number else params.get("label") or ""


def _issue_of(ctx: Any, sitting: Sitting) -> str:
    """Return the issue that the saved view shows: there, an answer is about nothing else. '' where it shows all."""
    issue = issue_of_view(ctx.request_params.get("view_name") or "")
    return issue if issue in sitting.answering.evidence.issues else ""


def _order(ctx: Any) -> list[str]:
    """Return the samples of the view from the open one on; [] when none is open."""
    if not ctx.current_sample:
        return []
    view = ctx.view.flatten() if ctx.view._is_dynamic_groups else ctx.view  # each copy, not one a group
    keys = view.values("id")
    place = keys.index(ctx.current_sample) + 1 if ctx.current_sample in keys else 0
    return [*keys[place:], *keys[:place]]


def _next_waiting(ctx: Any, order: Sequence[str], answered: Sequence[str]) -> str:
    """Return the first sample in ``order`` that waits for an answer now; '' when none does."""
    for start in range(0, len(order), AT_ONCE):  # in parts: the next one that waits is mostly near
        part = [one for one in order[start : start + AT_ONCE] if one not in answered]
        found = ctx.dataset.select(part).values(["id", "open_issues", "tags"])
        waiting = {key for key, issues, tags in zip(*found, strict=True) if issues and SKIPPED not in (tags or ())}
        if following := next((one for one in part if one in waiting), ""):
            return following
    return ""


def show_answered(ctx: Any, answered: Answered, following: str = "") -> dict[str, Any]:
    """Show the App what has changed, and return it."""
    if passed_over := {**answered.refused, **answered.contested}:
        ctx.ops.notify(tell_refused(passed_over), variant="warning")
    if answered.decisions and len(answered.decisions) > 1:
        ctx.ops.notify(f"{len(answered.decisions):,} decisions written.", variant="success")
    if not ctx.current_sample:
        ctx.ops.clear_selected_samples()
    ctx.ops.reload_samples()
    if following:
        ctx.ops.open_sample(id=following)
    elif ctx.current_sample and not passed_over:
        ctx.ops.notify("Nothing else in this view waits for an answer.", variant="info")
    decisions = [one.model_dump(exclude_none=True) for one in answered.decisions]
    told = {"refused": list(answered.refused.values()), "contested": list(answered.contested.values())}
    return {"decisions": decisions, **told}


def refuse(ctx: Any, sentence: str) -> dict[str, Any]:
    """Show a sentence that says why nothing was written."""
    ctx.ops.notify(sentence, variant="warning")
    return {"decisions": [], "refused": [sentence], "contested": []}
