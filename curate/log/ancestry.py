"""Tells which events an author had seen: a graph in which each event names its parents, as a git commit does.

Events are named by their places in the order of time, in which parents come first; a set of places is the bits of an
int.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from curate.log.decision import POLICY, Decision


def find_seen(events: Sequence[Decision]) -> list[int]:
    """Return for each of the ``events`` on a sample which others its author had seen, as bits by their places.

    These are its ancestors, and what the author said on another branch: everybody knows their own words.
    """
    places = {one.id: place for place, one in enumerate(events)}
    seen: list[int] = []
    for place, one in enumerate(events):
        parents = range(place) if one.after is None else (places[name] for name in one.after if name in places)
        own = (earlier for earlier in range(place) if events[earlier].actor == one.actor and one.tool != POLICY)
        known = 0
        for parent in (*parents, *own):
            known |= seen[parent] | 1 << parent
        seen.append(known)
    return seen


def find_heads(events: Sequence[Decision]) -> tuple[str, ...]:
    """Return the ids of the latest of the ``events`` on a sample, which none of the others has seen; () without any."""
    seen = find_seen(events)
    return tuple(one.id for place, one in enumerate(events) if not any(later >> place & 1 for later in seen))


def events_seen(events: Sequence[Decision], one: Decision) -> list[Decision]:
    """Return which of the ``events`` on a sample the author of ``one`` of them had seen."""
    known = find_seen(events)[events.index(one)]
    return [earlier for place, earlier in enumerate(events) if known >> place & 1]


def events_without(events: Sequence[Decision], other: Decision, actor: str) -> list[Decision]:
    """Return the ``events`` on a sample that ``actor`` knows, having seen neither ``other`` nor its descendants."""
    place = events.index(other)
    follows = [number == place or bool(seen >> place & 1) for number, seen in enumerate(find_seen(events))]
    return [one for one, is_later in zip(events, follows, strict=True) if one.actor == actor or not is_later]


def find_branched(events: Iterable[Decision]) -> dict[str, list[Decision]]:
    """Return the events of each sample whose history is no single line: few, of a log of many."""
    own: dict[str, list[Decision]] = {}
    branched = set()
    for one in events:
        line = own.setdefault(one.sample_id, [])
        if one.after is not None and one.after != tuple(last.id for last in line[-1:]):
            branched.add(one.sample_id)
        line.append(one)
    return {sample_id: own[sample_id] for sample_id in sorted(branched)}
