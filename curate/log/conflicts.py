"""Two people's different answers to one question, of whom the later had not seen the earlier: which of them counts.

Each decision says how much of the log on its sample its author had `seen`. One that contradicts another person's word
unseen does not count (the first stands), and a finding asks for somebody who has seen both. This is the only home of
these rules: the log, the App and the offline page all ask here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from curate.log.decision import Decision
from curate.log.rings import find_rings
from curate.storage.tables import FINDINGS, empty, shaped

CONFLICT = "decision_conflict"
DETECTOR = "decisions.jsonl"
LABEL_ISSUES = ("label_error", "label_conflict", "unlabelled")
POLICY = "policy"  # the tool of decisions that give way to every person


class Row(NamedTuple):
    """A conflict as a finding: a row of ``tables.FINDINGS``."""

    sample_id: str
    path: str
    evidence: str
    issue: str = CONFLICT
    score: float = 0.0
    is_issue: bool = True
    group_id: str = ""
    suggested_action: str = ""
    suggested_label: str = ""
    kind: str = ""
    detector: str = DETECTOR


class Weighed(NamedTuple):
    """What the events on one sample amount to.

    `counting` are the decisions that count, in their order; `conflicts` the open ones: what stands, and what contests
    it; `settled_by` is the last decision that settled one, None when none was.
    """

    counting: list[Decision]
    conflicts: list[tuple[Decision, Decision]]
    settled_by: Decision | None


def standing_decisions(events: Sequence[Decision]) -> list[Decision]:
    """Return the decisions that count of all ``events`` of a log, in their order.

    What an `undo` took back counts as never said, and what contests another person's word not before that is settled.
    """
    return _weigh_all(events)[0]


def said_decisions(events: Iterable[Decision]) -> list[Decision]:
    """Return the decisions that nobody took back, also those that do not count."""
    events = list(events)
    return [events[place] for place in _said(events)]


def weigh_sample(events: Sequence[Decision]) -> Weighed:
    """Return what counts of the ``events`` on one sample, all lines of the log on it in order, and what is open."""
    counting, conflicts, settled_by = _weigh(events)
    return Weighed(
        [events[place] for place in counting],
        [(events[first], events[second]) for first, second in conflicts],
        None if settled_by is None else events[settled_by],
    )


def open_conflicts(events: Sequence[Decision]) -> dict[str, list[tuple[Decision, Decision]]]:
    """Return what is open, by sample: what stands, and what contests it. Quick where nothing is."""
    return _weigh_all(events)[1]


def find_conflicts(events: Sequence[Decision], paths: Mapping[str, str]) -> pd.DataFrame:
    """Return the open conflicts as rows of ``tables.FINDINGS``, one a sample; only of samples that ``paths`` names."""
    found = sorted(open_conflicts(events).items())
    rows = [conflict_row(one, pairs, paths) for one, pairs in found if one in paths]
    return shaped(pd.DataFrame(rows), FINDINGS) if rows else empty(FINDINGS)


def conflict_row(sample_id: str, pairs: Sequence[tuple[Decision, Decision]], paths: Mapping[str, str]) -> Row:
    """Return the finding that asks about a sample's conflicts: those who contest the same word in one sentence."""
    contesting: dict[str, list[str]] = {}
    for first, second in pairs:
        aside = ", who had not seen that," if first.sample_id == second.sample_id else ""
        contesting.setdefault(_told(first, paths), []).append(_told(second, paths, aside))
    sentences = [f"{first}; {'; '.join(others)}." for first, others in contesting.items()]
    evidence = " ".join([*sentences, "The first stands until somebody decides."])
    return Row(sample_id, paths.get(sample_id, ""), evidence)


def find_last_word(events: Sequence[Decision], decision: Decision) -> Decision | None:
    """Return what was said last, and counts, on the question that ``decision`` would answer; None while it is open.

    Parameters
    ----------
    events
        All lines of the log on its sample, in order.
    """
    weighed = weigh_sample(events)
    if decision.finding == CONFLICT:
        return None if weighed.conflicts else weighed.settled_by
    words = [one for one in _live(weighed.counting) if _bears_on(one, decision)]
    return words[-1] if words else None


def count_seen(events: Sequence[Decision], other: Decision, actor: str) -> int:
    """Return how many ``events`` on a sample ``actor`` knew of who had not seen ``other`` yet, but all before it."""
    return len(events) - sum(one.actor != actor for one in events[events.index(other) :])


def states_label(decision: Decision) -> bool:
    """Return whether ``decision`` says what the sample's label is; to keep a dark picture need not."""
    return decision.action == "relabel" or (decision.action == "keep" and bool(decision.label or not decision.finding))


def takes_out(decision: Decision) -> bool:
    """Return whether ``decision`` leaves the sample out."""
    return decision.action in ("drop", "merge")


def is_same_outcome(one: Decision, other: Decision) -> bool:
    """Return whether two decisions on a sample can both be followed: the same label, or both take it out.

    To relabel to a class and to keep that class is the same; how a sample leaves matters to the one finding only.
    """
    if takes_out(one) or takes_out(other):
        is_alike = (one.action, one.label) == (other.action, other.label) or one.finding != other.finding
        return takes_out(one) and takes_out(other) and is_alike
    return len({word.label or word.before for word in (one, other) if _is_on_label(word)} - {""}) < 2


def tell_word(decision: Decision, paths: Mapping[str, str]) -> str:
    """Return what was said: the action, and the class or the path of the copy that stays."""
    return f"{decision.action} {paths.get(decision.label, decision.label)}".strip()


def _weigh_all(
    events: Sequence[Decision],
) -> tuple[list[Decision], dict[str, list[tuple[Decision, Decision]]]]:
    """Return the decisions that count, without those that close a ring of merges, and by sample what is at odds."""
    doubtful = {sample_id: weigh_sample(own) for sample_id, own in _doubtful(events).items()}
    counting = {id(one) for weighed in doubtful.values() for one in weighed.counting}
    standing = [one for one in said_decisions(events) if one.sample_id not in doubtful or id(one) in counting]
    conflicts = {sample_id: weighed.conflicts for sample_id, weighed in doubtful.items() if weighed.conflicts}
    while rings := find_rings(standing):  # an earlier merge may be in force again, and close another
        for first, latest in rings:
            conflicts.setdefault(latest.sample_id, []).append((first, latest))
        closing = {id(latest) for _, latest in rings}
        standing = [one for one in standing if id(one) not in closing]
    return standing, conflicts


def _doubtful(events: Sequence[Decision]) -> dict[str, list[Decision]]:
    """Return the events on each sample of which somebody had not seen all: few, of a log of many."""
    doubtful: dict[str, list[Decision]] = {}
    before: Counter[str] = Counter()
    for one in events:
        if one.seen is not None and one.seen < before[one.sample_id]:
            doubtful[one.sample_id] = []
        before[one.sample_id] += 1
    for one in events if doubtful else ():
        if one.sample_id in doubtful:
            doubtful[one.sample_id].append(one)
    return doubtful


def _weigh(events: Sequence[Decision]) -> tuple[list[int], list[tuple[int, int]], int | None]:
    """Return the places of what counts, of the pairs in conflict, and of what settled the last one."""
    said = _said(events)
    counting: list[int] = []
    contested: dict[int, int] = {}
    for place in said:
        first = _find_contested(events, place, counting)
        if first is None:
            counting.append(place)
        else:
            contested[place] = first
    if not contested:
        return counting, [], None
    closers = {second: _find_closers(events, said, first, second) for second, first in contested.items()}
    settling = [one for found in closers.values() for one in found if one in counting]
    let_in, conflicts = _settle(events, counting, closers)
    return sorted([*counting, *let_in]), conflicts, max(settling, default=None)


def _said(events: Sequence[Decision]) -> list[int]:
    undone = {one.label for one in events if one.action == "undo"}
    return [place for place, one in enumerate(events) if one.action != "undo" and not (one.id and one.id in undone)]


def _unknown(events: Sequence[Decision], place: int) -> set[int]:
    """Return the places of the events before ``place`` that its author had not seen.

    They are the latest ones of other people: after a merge of two logs all that these have in common is earlier, and
    everybody knows their own words. (Of three people who merge in turns, two may be taken for each other.)
    """
    seen, actor = events[place].seen, events[place].actor
    if seen is None or seen >= place:
        return set()
    return set([one for one in range(place) if events[one].actor != actor][seen - place :])


def _find_contested(events: Sequence[Decision], place: int, counting: Sequence[int]) -> int | None:
    """Return the place of the other person's word that the decision at ``place`` contradicts without having seen it."""
    one, unknown = events[place], _unknown(events, place)
    if not unknown or one.tool == POLICY:
        return None
    words = [word for word in _people(events, counting) if word in unknown and _bears_on(events[word], one)]
    return words[-1] if words and not is_same_outcome(events[words[-1]], one) else None


def _find_closers(events: Sequence[Decision], said: Sequence[int], first: int, second: int) -> list[int]:
    """Return the places of the later decisions of people who knew what was contested, and answered it anew."""
    found = []
    for place in said:
        one, unknown = events[place], _unknown(events, place)
        if place <= second or second in unknown or one.tool == POLICY:
            continue
        is_anew = one.finding == CONFLICT or _is_same_question(events[second], one)
        is_anew |= takes_out(events[first]) and takes_out(one)  # or agrees after all
        if first not in unknown:  # knows both: to take the sample out, or back in, answers whether it stays
            is_anew |= _is_same_question(events[first], one) or takes_out(events[first])
            is_anew |= takes_out(events[second]) and takes_out(one)
        if is_anew:
            found.append(place)
    return found


def _settle(
    events: Sequence[Decision], counting: Sequence[int], closers: Mapping[int, Sequence[int]]
) -> tuple[list[int], list[tuple[int, int]]]:
    """Return which contesting decisions count after all, and the pairs that are still in conflict."""
    let_in: list[int] = []
    conflicts = []
    is_out = any(map(takes_out, _live(events[one] for one in counting)))
    for second, found in closers.items():
        if found:  # whoever settled it speaks for those of the same opinion; the others are superseded
            if found[-1] in counting and is_same_outcome(events[second], events[found[-1]]):
                let_in.append(second)
            continue
        live = _people(events, sorted([*counting, *let_in]))
        words = [one for one in live if _bears_on(events[one], events[second]) and _are_apart(events, one, second)]
        if not words or is_same_outcome(events[words[-1]], events[second]):  # nobody says otherwise any more
            let_in.append(second)
        elif takes_out(events[words[-1]]) or not is_out:  # while a sample is left out, nobody asks for its label
            conflicts.append((words[-1], second))
    return let_in, conflicts


def _are_apart(events: Sequence[Decision], one: int, other: int) -> bool:
    """Return whether the later of two people had not seen what the earlier said; else it was overruled knowingly."""
    return events[one].actor != events[other].actor and min(one, other) in _unknown(events, max(one, other))


def _people(events: Sequence[Decision], places: Sequence[int]) -> list[int]:
    live = _live([events[place] for place in places])
    return [place for place in places if events[place].tool != POLICY and any(events[place] is one for one in live)]


def _live(decisions: Iterable[Decision]) -> list[Decision]:
    """Return ``decisions`` without the drops and merges that a later one took back: their question is open again."""
    live: list[Decision] = []
    for one in decisions:
        live = [*(live if takes_out(one) else [earlier for earlier in live if not takes_out(earlier)]), one]
    return live


def _bears_on(earlier: Decision, later: Decision) -> bool:
    """Return whether ``earlier``, while it counts, says something on what ``later`` answers.

    What keeps or relabels a sample brings it back, whatever it was left out for.
    """
    return takes_out(earlier) or later.finding == CONFLICT or _is_same_question(earlier, later)


def _is_same_question(one: Decision, other: Decision) -> bool:
    return (one.finding != "" and one.finding == other.finding) or (_is_on_label(one) and _is_on_label(other))


def _is_on_label(decision: Decision) -> bool:
    return states_label(decision) or decision.finding in LABEL_ISSUES


def _told(decision: Decision, paths: Mapping[str, str], aside: str = "") -> str:
    said_at = (decision.answered or decision.time)[:16].replace("T", " ")
    where = f"({decision.tool.replace('_', ' ')}, {said_at})"
    word = tell_word(decision, paths)
    if decision.action == "merge":
        merged, kept = (paths.get(one, one) for one in (decision.sample_id, decision.label))
        word = f"merge {merged} into {kept}"
    return f"{decision.actor}{aside} said {word} {where}"
