"""One event of the log: what somebody decided of one sample, and why."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Action = Literal["keep", "relabel", "drop", "merge", "undrop", "undo"]
# What can be said of a sample; `undo` is said of a decision.
ACTIONS: tuple[str, ...] = ("keep", "relabel", "drop", "merge", "undrop")
# Tools whose decisions take a machine's word in bulk: a person answers for them, but nothing is learnt from them.
UNTAUGHT = ("policy", "label", "accept")


class Decision(BaseModel):
    """One event of the log.

    `finding` is the issue that it answers ('' when none); `before` is the label it replaces; `label` the new class for
    `relabel` and `keep`, the sample that stays for `merge`, or for `undo` the id of the decision that is taken back.
    `time` is UTC in ISO 8601 with microseconds, and is when it was written; `answered` is when it was said, where that
    was elsewhere and earlier. `seen` is how many events on the sample, all lines of the log on it, its author knew of;
    None in logs from before this was written down. `score` and `detector` are those of the finding when it was
    answered: what the ledger of the detectors is made of.
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
    seen: int | None = Field(None, ge=0)
