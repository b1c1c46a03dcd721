"""The append-only log of what people and policies decided, and what it amounts to for each sample.

``decisions.jsonl`` holds one JSON object a line. Nothing is ever rewritten: `undrop` or a later `relabel` takes a
decision back, and the log still says who thought what, when and why.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from curate.log import append_events, read_events, rising_times

Action = Literal["keep", "relabel", "drop", "merge", "undrop"]
ACTIONS: tuple[str, ...] = ("keep", "relabel", "drop", "merge", "undrop")
# Tools whose decisions take a machine's word in bulk: a person answers for them, but nothing is learnt from them.
UNTAUGHT = ("policy", "label", "accept")


class Decision(BaseModel):
    """One event of the log.

    `finding` is the issue that it answers ('' when none); `before` is the label it replaces; `label` the new class for
    `relabel` and `keep`, or the sample that stays for `merge`. `time` is UTC in ISO 8601 with microseconds. `score` and
    `detector` are those of the finding when it was answered: what the ledger of the detectors is made of.
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


def read_decisions(path: Path) -> list[Decision]:
    """Return the decisions in ``path``, ordered by time and id; none when there is no file.

    Half a line at the end is a write that was cut off and was never acknowledged: it is passed over.

    Raises
    ------
    Problem
        When a line is not a decision; the sentence names file and line.
    """
    return _in_order(read_events(path, Decision))


def _in_order(events: dict[int, Decision]) -> list[Decision]:
    # A line written by hand may have no id; two of those are two decisions.
    unique = {decision.id or number: decision for number, decision in events.items()}
    return sorted(unique.values(), key=lambda decision: (decision.time, decision.id))


def append_decisions(path: Path, decisions: Iterable[Decision]) -> list[Decision]:
    """Add ``decisions`` to the log, on disk when this returns; give each its id and a time later than all before it."""
    made = list(decisions)
    return append_events(path, Decision, lambda events: _stamp(made, events))


def _stamp(decisions: list[Decision], events: dict[int, Decision]) -> list[Decision]:
    latest = max((decision.time for decision in events.values()), default="")
    stamped = []
    for decision, time in zip(decisions, rising_times(len(decisions), latest), strict=True):
        dated = decision.model_copy(update={"time": time})
        digest = hashlib.sha256(dated.model_dump_json(exclude={"id"}, exclude_none=True).encode()).hexdigest()
        stamped.append(dated.model_copy(update={"id": digest[:16]}))
    return stamped


def fold_decisions(decisions: list[Decision]) -> pd.DataFrame:
    """Return what the log amounts to: one row a decided sample.

    Returns
    -------
    Columns ``sample_id, label, dropped, merged_into, decided_by``: the decided class ('' when the given one stands),
    whether the sample is left out, the sample it was merged into, and the id of the last decision that changed it.
    """
    state: dict[str, dict[str, object]] = {}
    for decision in decisions:
        row = state.setdefault(
            decision.sample_id,
            {"sample_id": decision.sample_id, "label": "", "dropped": False, "merged_into": "", "decided_by": ""},
        )
        row["decided_by"] = decision.id
        if decision.action in ("relabel", "keep"):
            row["label"] = decision.label or row["label"]
        if decision.action in ("drop", "merge"):
            row["dropped"] = True
            row["merged_into"] = decision.label if decision.action == "merge" else ""
        if decision.action in ("undrop", "relabel", "keep"):
            row["dropped"], row["merged_into"] = False, ""
    columns = ["sample_id", "label", "dropped", "merged_into", "decided_by"]
    return (
        pd.DataFrame(list(state.values()), columns=columns)
        .astype({"dropped": bool})
        .sort_values("sample_id", ignore_index=True)
    )


def decided_pairs(decisions: list[Decision]) -> set[tuple[str, str]]:
    """Return the (sample_id, issue) pairs that some decision answered: their findings are closed."""
    return {(decision.sample_id, decision.finding) for decision in decisions if decision.finding}


def decisions_digest(decisions: list[Decision]) -> str:
    """Return the SHA-256 of the log's content, whatever the order of its lines."""
    lines = "\n".join(decision.model_dump_json(exclude_none=True) for decision in decisions)
    return hashlib.sha256(lines.encode()).hexdigest()
