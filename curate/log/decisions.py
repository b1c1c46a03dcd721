"""The append-only log of what people and policies decided, and what it amounts to for each sample.

``decisions.jsonl`` holds one JSON object a line. Nothing is ever rewritten: `undrop` or a later `relabel` takes a
decision back, and the log still says who thought what, when and why.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from curate.log.conflicts import standing_decisions
from curate.log.events import append_events, read_events, rising_times

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


def read_decisions(path: Path) -> list[Decision]:
    """Return the decisions in ``path`` that stand, ordered by time and id; none when there is no file.

    What an `undo` took back does not stand: it counts as never said, and only the file still tells of it. Nor does,
    until somebody who has seen both decides, what contradicts another person's word unseen: see ``log.conflicts``.

    Half a line at the end is a write that was cut off and was never acknowledged: it is passed over.

    Raises
    ------
    Problem
        When a line is not a decision; the sentence names file and line.
    """
    return standing_decisions(read_log(path))


def read_log(path: Path) -> list[Decision]:
    """Return all events in ``path``, ordered by time and id: also what does not stand, and what took it back.

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
    return append_composed(path, lambda _: made)


def append_composed(path: Path, compose: Callable[[list[Decision]], list[Decision]]) -> list[Decision]:
    """Add what ``compose`` makes of all events of the log, while nobody else can add to it; return that.

    Where a decision does not say what its author had `seen`, that is the log as it is.
    """

    def stamped(events: dict[int, Decision]) -> list[Decision]:
        known = _in_order(events)
        return _stamp(compose(known), known)

    return append_events(path, Decision, stamped)


def _stamp(decisions: list[Decision], events: list[Decision]) -> list[Decision]:
    latest = max((decision.time for decision in events), default="")
    seen = Counter(decision.sample_id for decision in events)
    stamped = []
    for decision, time in zip(decisions, rising_times(len(decisions), latest), strict=True):
        known = seen[decision.sample_id] if decision.seen is None else decision.seen
        seen[decision.sample_id] += 1
        dated = decision.model_copy(update={"time": time, "seen": known})
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
    said: dict[str, list[Decision]] = {}
    for decision in decisions:
        said.setdefault(decision.sample_id, []).append(decision)
    rows = [{"sample_id": sample_id, **fold_sample(mine)._asdict()} for sample_id, mine in said.items()]
    columns = ["sample_id", *Folded._fields]
    return pd.DataFrame(rows, columns=columns).astype({"dropped": bool}).sort_values("sample_id", ignore_index=True)


class Folded(NamedTuple):
    """What the decisions on one sample amount to; see `fold_decisions`."""

    label: str = ""
    dropped: bool = False
    merged_into: str = ""
    decided_by: str = ""


def fold_sample(decisions: Iterable[Decision]) -> Folded:
    """Return what the decisions on one sample, in their order, amount to.

    >>> drop = Decision(actor="ann", tool="decide", sample_id="0" * 20, action="drop")
    >>> fold_sample([drop]).dropped
    True
    """
    folded = Folded()
    for one in decisions:
        if one.action in ("drop", "merge"):
            merged_into = one.label if one.action == "merge" else ""
            folded = folded._replace(dropped=True, merged_into=merged_into)
        elif one.action == "undrop":
            folded = folded._replace(dropped=False, merged_into="")
        else:
            folded = Folded(label=one.label or folded.label)
        folded = folded._replace(decided_by=one.id)
    return folded


def decided_pairs(decisions: list[Decision]) -> set[tuple[str, str]]:
    """Return the (sample_id, issue) pairs that some decision answered: their findings are closed.

    A merge answers for the sample that stays, too.
    """
    answered = {(one.sample_id, one.finding) for one in decisions if one.finding}
    return answered | {(one.label, one.finding) for one in decisions if one.finding and one.action == "merge"}


def decisions_digest(decisions: list[Decision]) -> str:
    """Return the SHA-256 of the log's content, whatever the order of its lines."""
    lines = "\n".join(decision.model_dump_json(exclude_none=True) for decision in decisions)
    return hashlib.sha256(lines.encode()).hexdigest()
