"""One event of the log: a decision on one sample, its author and its reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Action = Literal["keep", "relabel", "drop", "merge", "undrop", "undo"]
# What can be said of a sample; `undo` is said of a decision.
ACTIONS: tuple[str, ...] = ("keep", "relabel", "drop", "merge", "undrop")
POLICY = "policy"  # the tool of decisions that give way to every person
# Tools whose decisions take a machine's word in bulk: a person answers for them, but nothing is learnt from them.
UNTAUGHT = (POLICY, "label", "accept")
LABEL_ISSUES = ("label_error", "label_conflict", "unlabelled")
CONFLICT = "decision_conflict"  # the finding that two people's decisions contradict each other


class Decision(BaseModel):
    """One event of the log.

    `finding` is the issue that it answers ('' when none); `before` is the label it replaces; `label` the new class for
    `relabel` and `keep`, the sample that stays for `merge`, or for `undo` the id of the decision that is taken back.
    `time` is UTC in ISO 8601 with microseconds, and is when it was written; `answered` is when it was said, where that
    was elsewhere and earlier. `after` names the event's parents: the ids of the latest events on its sample that its
    author had seen; None, as in a line written by hand, means all that stand before it. `score` and `detector` are
    those of the finding when it was answered: what the ledger of the detectors is made of.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = ""
    time: str = ""
    actor: str
    tool: str
    sample_id: str = Field(pattern=r"^[0-9a-f]{20}$")
    action: Action
    label: str = ""
    reason: str = ""
    finding: str = ""
    before: str = ""
    score: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    detector: str | None = None
    answered: str | None = None
    after: tuple[str, ...] | None = None
    seen: int | None = Field(None, exclude=True)  # read past: what early logs hold in place of `after`


def takes_out(decision: Decision) -> bool:
    """Return whether ``decision`` leaves the sample out."""
    return decision.action in ("drop", "merge")


def states_label(decision: Decision) -> bool:
    """Return whether ``decision`` says what the sample's label is; to keep a dark picture need not."""
    return decision.action == "relabel" or (decision.action == "keep" and bool(decision.label or not decision.finding))


def stated_label(decision: Decision) -> str:
    """Return the class that ``decision`` says the sample has; '' when it says nothing of the label."""
    is_on_label = states_label(decision) or (decision.finding in LABEL_ISSUES and decision.action == "keep")
    return decision.label or decision.before if is_on_label else ""


def tell_word(decision: Decision, paths: Mapping[str, str]) -> str:
    """Return what was said: the action, and the class or the path of the copy that stays."""
    return f"{decision.action} {paths.get(decision.label, decision.label)}".strip()


def said_at(decision: Decision) -> str:
    """Return when ``decision`` was said, which may be before it was written to the log."""
    return decision.answered or decision.time
