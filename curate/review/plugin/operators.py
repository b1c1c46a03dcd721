"""The operators, one for each answer: on the open sample, else on the selected ones, else on the whole view."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from fiftyone import operators
from fiftyone.operators import types

from curate.review.answers.draft import Answer
from curate.review.answers.sitting import END, is_ours, sitting_of
from curate.review.plugin.actions import (
    chosen_ids,
    expect_chosen,
    give_answer,
    refuse,
    show_answered,
    skip,
    undo_answer,
)
from curate.storage.files import Problem

PLUGIN = "@specurate/review"
PANEL = "findings"
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
            told = sitting_of(ctx.dataset).note(ctx.dataset, expect_chosen(ctx), ctx.params.get("reason") or "")
        except Problem as problem:
            return refuse(ctx, str(problem))
        return show_answered(ctx, told)


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
            return refuse(ctx, "This App was not opened by `curate review`: close it where it was started.")
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


def _config(name: str, label: str, icon: str) -> operators.OperatorConfig:
    return operators.OperatorConfig(
        name=name, label=f"specurate: {label}", icon=icon, risk_level=types.RiskLevel.LOW, view_target=False
    )
