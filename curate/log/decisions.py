"""Reads and appends to the log of what people and policies decided.

``decisions.jsonl`` holds one JSON object a line. Nothing is ever rewritten: `undrop` or a later `relabel` takes a
decision back, and the log still says who thought what, when and why. Each event names its parents, and its id is the
digest of all it says, as with commits in git: a line that was changed, or taken out from under another, is found.
"""

from __future__ import annotations

import getpass
import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from curate.log.ancestry import find_heads
from curate.log.conflicts import weigh_log
from curate.log.decision import Decision
from curate.log.events import append_events, read_events, rising_times
from curate.storage.files import Problem


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
    return weigh_log(read_log(path))[0]


def read_log(path: Path) -> list[Decision]:
    """Return all events in ``path``, ordered by time and id: including undone decisions and their undos.

    Raises
    ------
    Problem
        When a line is not a decision, was changed after it was written, or follows one that is not there; the sentence
        names file, line and sample.
    """
    return _in_order(path, read_events(path, Decision))


def append_decisions(path: Path, decisions: Iterable[Decision]) -> list[Decision]:
    """Add ``decisions`` to the log, on disk when this returns; give each its id and a time later than all before it."""
    made = list(decisions)
    return append_composed(path, lambda _: made)


def append_composed(path: Path, compose: Callable[[list[Decision]], list[Decision]]) -> list[Decision]:
    """Append the events that ``compose`` returns for all events of the log, under the log's lock; return them.

    A decision that does not say what it comes `after` comes after all that the log holds.
    """

    def stamped(events: dict[int, Decision]) -> list[Decision]:
        known = _in_order(path, events)
        return _stamp(compose(known), known)

    return append_events(path, Decision, stamped)


def _in_order(path: Path, events: Mapping[int, Decision]) -> list[Decision]:
    """Return the events in the order of time, each once, after a look at what holds them together."""
    ordered: dict[str, Decision] = {}
    known: set[tuple[str, str]] = set()
    for number, one in sorted(events.items(), key=lambda line: (line[1].time, line[1].id)):
        if one.after is not None and one.id != _digest(one):
            raise _broken(path, number, one, "does not have the id that what it says gives: it was edited")
        if missing := [parent for parent in one.after or () if (one.sample_id, parent) not in known]:
            raise _broken(path, number, one, f"follows the decision {missing[0]}, which is not in the log before it")
        named = one if one.id else one.model_copy(update={"id": _digest(one)})  # a line that was written by hand
        known.add((one.sample_id, named.id))
        ordered.setdefault(named.id, named)
    return list(ordered.values())


def _broken(path: Path, number: int, one: Decision, why: str) -> Problem:
    return Problem(
        f"{path}:{number}: the decision on sample {one.sample_id} {why}. Lines of a log never change: "
        f'bring back what was there (git log -p -- {path.name}), or take "after" and its list out of this line, which '
        "then counts as said after all that is older."
    )


def _stamp(decisions: list[Decision], events: list[Decision]) -> list[Decision]:
    latest = max((decision.time for decision in events), default="")
    asked = {decision.sample_id for decision in decisions}
    own: dict[str, list[Decision]] = {sample_id: [] for sample_id in asked}
    for one in events:
        if one.sample_id in asked:
            own[one.sample_id].append(one)
    stamped = []
    for decision, time in zip(decisions, rising_times(len(decisions), latest), strict=True):
        known = own[decision.sample_id]
        after = find_heads(known) if decision.after is None else decision.after
        dated = decision.model_copy(update={"time": time, "after": after})
        stamped.append(dated.model_copy(update={"id": _digest(dated)}))
        known.append(stamped[-1])
    return stamped


def _digest(decision: Decision) -> str:
    """Return the id of ``decision``: 64 bits of the SHA-256 of all else that it says, its parents included."""
    return hashlib.sha256(decision.model_dump_json(exclude={"id"}, exclude_none=True).encode()).hexdigest()[:16]


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
