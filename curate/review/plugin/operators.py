"""Operators: one an answer, on the sample that is open, else on those selected, else on the whole view."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fiftyone import operators
from fiftyone.operators import types

from curate.review.answers.answering import Answered, tell_refused
from curate.review.answers.desk import Answer
from curate.review.answers.sitting import END, SKIPPED, Sitting, is_ours, sitting_of
from curate.review.mirror.layout import issue_of_view
from curate.storage.files import Problem

PLUGIN = "@specurate/review"
PANEL = "findings"
AT_ONCE = 100  # samples looked at for the next one that waits
ICONS = {
    "accept": "check_circle",
    "keep": "thumb_up",
    "relabel": "sell",
    "drop": "delete",
    "undrop": "restore_from_trash",
    "keep_this_copy": "filter_1",
    "not_copies": "call_split",
}
LABELS = {
    "accept": "Accept the suggestion",
    "keep": "Keep as it is",
    "relabel": "Relabel",
    "drop": "Drop from the dataset",
    "undrop": "Take back into the dataset",
    "keep_this_copy": "Keep this copy, merge the others into it",
    "not_copies": "Not copies: keep the whole group",
}


class AnswerOperator(operators.Operator):
    """An answer to the findings of samples; `answer` is set by the subclasses."""

    answer: Answer = "keep"

    @property
    def config(self) -> operators.OperatorConfig:
        return operators.OperatorConfig(
            name=self.answer,
            label=f"specurate: {LABELS[self.answer]}",
            description="Writes a decision to decisions.jsonl; `undo` takes it back",
            icon=ICONS[self.answer],
            dynamic=True,
            risk_level=types.RiskLevel.LOW,  # nothing is deleted, and undo takes it back
            view_target=False,
        )

    def resolve_input(self, ctx: Any) -> Any:
        inputs = types.Object()
        if not is_ours(ctx.dataset):
            inputs.message("not_ours", "This dataset was not opened by `curate review`.")
            return types.Property(inputs)
        if self.answer == "relabel":
            inputs.enum("label", list(sitting_of(ctx.dataset).answering.evidence.spec.classes), label="Class")
        inputs.str("reason", label="Reason", required=False)
        if not chosen_ids(ctx):
            inputs.bool("all_in_view", label=f"All {len(ctx.view):,} samples in view", default=False)
        view = types.PromptView(submit_button_label=LABELS[self.answer].split(":")[0].split(",")[0])
        return types.Property(inputs, view=view)

    def execute(self, ctx: Any) -> dict[str, Any]:
        return give_answer(ctx, self.answer, ctx.params)


ANSWER_OPERATORS = [
    type(answer.title().replace("_", ""), (AnswerOperator,), {"answer": answer, "__doc__": label})
    for answer, label in LABELS.items()
]


class Undo(operators.Operator):
    """Take the reviewer's last answer back."""

    @property
    def config(self) -> operators.OperatorConfig:
        return _config("undo", "Undo my last answer", "undo")

    def execute(self, ctx: Any) -> dict[str, Any]:
        return undo_answer(ctx)


class Note(operators.Operator):
    """Give the reviewer's decisions on samples a reason."""

    @property
    def config(self) -> operators.OperatorConfig:
        return _config("note", "Note a reason", "edit_note")

    def resolve_input(self, ctx: Any) -> Any:
        inputs = types.Object()
        inputs.str("reason", label="Reason of your decision on these samples", required=True)
        return types.Property(inputs, view=types.PromptView(submit_button_label="Note it"))

    def execute(self, ctx: Any) -> dict[str, Any]:
        try:
            told = sitting_of(ctx.dataset).note(ctx.dataset, _expect_chosen(ctx), ctx.params.get("reason") or "")
        except Problem as problem:
            return _refuse(ctx, str(problem))
        return _tell(ctx, told)


class Skip(operators.Operator):
    """Pass on without a decision: the tag `skipped`, in the App only, keeps the sample from being offered again."""

    @property
    def config(self) -> operators.OperatorConfig:
        return _config("skip", "Skip for now", "skip_next")

    def execute(self, ctx: Any) -> dict[str, Any]:
        return skip(ctx)


class End(operators.Operator):
    """End the review: the command that opened this App takes last edits in, and stops."""

    @property
    def config(self) -> operators.OperatorConfig:
        return _config("end", "End the review", "logout")

    def resolve_input(self, ctx: Any) -> Any:
        inputs = types.Object()
        inputs.message("saved", "Every answer is saved already. `curate review` opens the App again.")
        view = types.PromptView(label="End the review?", submit_button_label="End the review")
        return types.Property(inputs, view=view)

    def execute(self, ctx: Any) -> dict[str, Any]:
        ending = os.environ.get(END)
        if not is_ours(ctx.dataset) or not ending or not Path(ending).parent.is_dir():
            return _refuse(ctx, "This App was not opened by `curate review`: close it where it was started.")
        Path(ending).touch()
        ctx.ops.notify("The review has ended. You can close this page.", variant="success")
        return {"decisions": [], "refused": [], "contested": []}


class Welcome(operators.Operator):
    """On a dataset of ours: a thumb up or down selects, and the panel of the findings opens beside the grid."""

    @property
    def config(self) -> operators.OperatorConfig:
        config = _config("welcome", "Open the findings", "fact_check")
        config.on_dataset_open = True
        return config

    def resolve_placement(self, ctx: Any) -> Any:
        button = types.Button(label="Findings and answers", icon="fact_check", prompt=False)
        return types.Placement(types.Places.SAMPLES_GRID_SECONDARY_ACTIONS, button)

    def execute(self, ctx: Any) -> dict[str, Any]:
        if is_ours(ctx.dataset):
            threading.Thread(target=sitting_of(ctx.dataset).warm_up, daemon=True).start()
            ctx.ops.set_sample_selection_style(default="thumbsup", alt="thumbsdown")
            if not _has_panel_beside(ctx.spaces):
                ctx.ops.open_panel(PANEL, layout="horizontal")
        return {}


def _has_panel_beside(spaces: Any) -> bool:
    """Return whether the App shows more than the grid: a workspace's panels are as somebody wanted them."""
    return spaces is not None and len(spaces.children or []) > 1


OPERATORS = [*ANSWER_OPERATORS, Undo, Note, Skip, End, Welcome]


def give_answer(ctx: Any, answer: Answer, params: dict[str, Any]) -> dict[str, Any]:
    """Answer for the chosen samples, show it, and go on to the next; return what was written.

    ``params`` may hold `label` or `number` (of the class, from 1), `issue`, `reason`, `all_in_view`.
    """
    try:
        sitting, view = sitting_of(ctx.dataset), ctx.dataset
        ids = _expect_chosen(ctx, bool(params.get("all_in_view")))
        order = _order(ctx)  # before: what is answered may leave the view
        issue = params.get("issue") or _issue_of(ctx, sitting)
        label, reason = _label(params, sitting), params.get("reason") or ""
        kept = _thumbs_down(ctx) if answer == "accept" else ()
        answered = sitting.answer(view, ids, answer, label, issue, reason, kept)
    except Problem as problem:
        return _refuse(ctx, str(problem))
    return _tell(ctx, answered, _next_waiting(ctx, order, ids))


def undo_answer(ctx: Any) -> dict[str, Any]:
    """Take the reviewer's last answer back and show it."""
    try:
        undone = sitting_of(ctx.dataset).undo(ctx.dataset)
    except Problem as problem:
        return _refuse(ctx, str(problem))
    if not undone.decisions:
        return _refuse(ctx, "There is no answer of yours to take back.")
    return _tell(ctx, undone)


def skip(ctx: Any) -> dict[str, Any]:
    """Tag the chosen samples as skipped and go on to the next."""
    try:
        sitting_of(ctx.dataset)
        ids, order = _expect_chosen(ctx), _order(ctx)
    except Problem as problem:
        return _refuse(ctx, str(problem))
    ctx.dataset.select(ids).tag_samples(SKIPPED)
    return _tell(ctx, Answered(), _next_waiting(ctx, order, ids))


def chosen_ids(ctx: Any) -> list[str]:
    """Return the sample that is open, else those selected: a selection behind an open sample cannot be seen."""
    return [ctx.current_sample] if ctx.current_sample else list(ctx.selected)


def _expect_chosen(ctx: Any, all_in_view: bool = False) -> list[str]:
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


def _tell(ctx: Any, answered: Answered, following: str = "") -> dict[str, Any]:
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


def _refuse(ctx: Any, sentence: str) -> dict[str, Any]:
    ctx.ops.notify(sentence, variant="warning")
    return {"decisions": [], "refused": [sentence], "contested": []}


def _config(name: str, label: str, icon: str) -> operators.OperatorConfig:
    return operators.OperatorConfig(
        name=name, label=f"specurate: {label}", icon=icon, risk_level=types.RiskLevel.LOW, view_target=False
    )
