"""Resolves decisions by people who did not know of each other's: all rules of conflict are here.

1. A decision that an `undo` took back was never said.
2. Each decision answers one or two questions: whether the sample stays, and what its label is. On each question, the
   decisions that no later one has seen and answered anew are the heads.
3. Two heads by different people that cannot both be followed are in conflict. The one whose branch began first stands;
   the other does not count.
4. A later decision that has seen both settles the conflict. Those that contradict the outcome do not count.
5. A policy's decision gives way to any person's that it had not seen, and contests nobody.
6. Merges may lead in a ring when people keep different copies: the latest merge of a ring is in conflict.

An author had seen an event's ancestors and nothing else: see ``log.ancestry``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from operator import and_
from typing import NamedTuple

from curate.log.ancestry import find_branched, find_seen
from curate.log.decision import POLICY, Decision, stated_label, takes_out
from curate.log.outcomes import fold_sample

Pair = tuple[Decision, Decision]  # the decision that stands, and the one that contests it


class Weighed(NamedTuple):
    """The resolved log of one sample: the decisions that count, in their order, and the open conflicts."""

    counting: list[Decision]
    conflicts: list[Pair]


class _Question(NamedTuple):
    is_answered_by: Callable[[Decision], bool]
    differ: Callable[[Decision, Decision], bool]


def _differ_on_staying(one: Decision, other: Decision) -> bool:
    if takes_out(one) and takes_out(other):  # how it leaves matters to the finding that is answered
        return one.finding == other.finding and (one.action, one.label) != (other.action, other.label)
    return takes_out(one) or takes_out(other)


def _differ_on_label(one: Decision, other: Decision) -> bool:
    return len({stated_label(one), stated_label(other)} - {""}) > 1


STAYS = _Question(lambda _: True, _differ_on_staying)  # what keeps or relabels a sample says that it stays
LABEL = _Question(lambda one: stated_label(one) != "", _differ_on_label)


def contradict(one: Decision, other: Decision) -> bool:
    """Return whether two decisions on a sample cannot both be followed."""
    # The label of a sample that is left out does not matter.
    return STAYS.differ(one, other) or (not takes_out(one) and LABEL.differ(one, other))


def weigh_log(events: Sequence[Decision]) -> tuple[list[Decision], dict[str, list[Pair]]]:
    """Return the decisions that count of all ``events`` of a log, in their order, and the open conflicts by sample."""
    weighed = {sample_id: weigh_sample(own) for sample_id, own in find_branched(events).items()}
    counting = {id(one) for sample in weighed.values() for one in sample.counting}
    standing = [one for one in said_decisions(events) if one.sample_id not in weighed or id(one) in counting]
    conflicts = {sample_id: sample.conflicts for sample_id, sample in weighed.items() if sample.conflicts}
    while rings := find_rings(standing):  # an earlier merge may be in force again, and close another
        for first, latest in rings:
            conflicts.setdefault(latest.sample_id, []).append((first, latest))
        closing = {id(latest) for _, latest in rings}
        standing = [one for one in standing if id(one) not in closing]
    return standing, conflicts


def weigh_sample(events: Sequence[Decision]) -> Weighed:
    """Resolve the ``events`` on one sample (all lines of the log on it, in order): what counts, and what is open."""
    seen, said = find_seen(events), set(map(id, said_decisions(events)))
    places = [place for place, one in enumerate(events) if id(one) in said]
    out, pairs = _weigh(events, seen, places, STAYS)
    mislabelled, on_label = _weigh(events, seen, places, LABEL)
    last = {events[place].actor: place for place in places if place not in out | mislabelled}
    # Who labels a sample, and leaves it out later as others do, does not take the label back.
    out = {place for place in out if place > last.get(events[place].actor, -1)}
    counting = [events[place] for place in places if place not in out | mislabelled]
    if not fold_sample(counting).dropped:  # while a sample is left out, nobody asks for its label
        pairs += on_label
    return Weighed(counting, [(events[first], events[second]) for first, second in pairs])


def said_decisions(events: Iterable[Decision]) -> list[Decision]:
    """Return the decisions that were not undone, including those that do not count."""
    events = list(events)
    undone = {one.label for one in events if one.action == "undo"}
    return [one for one in events if one.action != "undo" and not (one.id and one.id in undone)]


def _weigh(
    events: Sequence[Decision], seen: Sequence[int], said: Iterable[int], question: _Question
) -> tuple[set[int], list[tuple[int, int]]]:
    """Return the places of the decisions that do not count for their answer to ``question``, and pairs in conflict."""

    def are_apart(one: int, other: int) -> bool:
        is_seen = seen[max(one, other)] >> min(one, other) & 1
        return one != other and not is_seen and question.differ(events[one], events[other])

    asked = [place for place in said if question.is_answered_by(events[place])]
    people = [place for place in asked if events[place].tool != POLICY]
    heads = [place for place in people if not any(seen[later] >> place & 1 for later in people)]
    branch = {head: seen[head] | 1 << head for head in heads}
    common = reduce(and_, branch.values(), -1)
    standing: list[int] = []
    pairs = []
    for head in sorted(heads, key=lambda head: (_lowest(branch[head] & ~common), head)):
        against = next((one for one in standing if are_apart(one, head)), None)
        if against is None:
            standing.append(head)
        else:
            pairs.append((against, head))
    differing = {one for one in asked if any(question.differ(events[one], events[head]) for head in standing)}
    return {one for one in differing if any(are_apart(one, other) for other in people)}, pairs


def _lowest(places: int) -> int:
    return (places & -places).bit_length()


def find_rings(decisions: Iterable[Decision]) -> list[Pair]:
    """Return of each ring of merges the latest, which cannot stand, after the one that merged away what it keeps."""
    merged: dict[str, Decision] = {}
    for one in decisions:
        merged.pop(one.sample_id, None)
        if one.action == "merge":
            merged[one.sample_id] = one
    rings, passed = [], set[str]()
    for start in merged:
        here, path = start, list[str]()
        while here in merged and here not in passed:
            passed.add(here)
            path.append(here)
            here = merged[here].label
        if here in path:
            ring = [merged[one] for one in path[path.index(here) :]]
            latest = max(ring, key=lambda one: (one.time, one.id))
            rings.append((merged[latest.label], latest))
    return rings
