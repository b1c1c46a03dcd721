"""The append-only log of what people and policies decided: read, and added to.

``decisions.jsonl`` holds one JSON object a line. Nothing is ever rewritten: `undrop` or a later `relabel` takes a
decision back, and the log still says who thought what, when and why.
"""

from __future__ import annotations

import getpass
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from curate.log.conflicts import standing_decisions
from curate.log.decision import Decision
from curate.log.events import append_events, read_events, rising_times


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


def decisions_digest(decisions: list[Decision]) -> str:
    """Return the SHA-256 of the log's content, whatever the order of its lines."""
    lines = "\n".join(decision.model_dump_json(exclude_none=True) for decision in decisions)
    return hashlib.sha256(lines.encode()).hexdigest()


def current_user() -> str:
    """Return who is at the keyboard, as decisions name them."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"
