"""Drafts the decisions of one answer, checked against the findings and other people's decisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from curate.log.ancestry import events_without, find_heads
from curate.log.conflict_findings import conflict_row
from curate.log.conflicts import Pair, Weighed, contradict, find_rings, weigh_sample
from curate.log.decision import CONFLICT, LABEL_ISSUES, POLICY, Action, Decision, states_label, tell_word
from curate.log.last_word import find_last_word, has_settled
from curate.log.outcomes import Folded, fold_sample
from curate.review.answers.found import COPIES, Evidence

Answer = Literal["accept", "keep", "relabel", "drop", "undrop", "keep_this_copy", "not_copies"]
ANSWERS: tuple[str, ...] = ("accept", "keep", "relabel", "drop", "undrop", "keep_this_copy", "not_copies")
TOOL = "fiftyone"


class State(NamedTuple):
    """A sample as the log has it now; `open_issues` worst first."""

    label: str
    dropped: bool
    kept: bool
    open_issues: list[str]


class Draft:
    """The log by sample with the decisions that an answer adds, before they are written."""

    def __init__(
        self,
        evidence: Evidence,
        events: Iterable[Decision],
        actor: str,
        reason: str = "",
        shown: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.evidence, self.actor, self.reason, self.shown = evidence, actor, reason, shown
        self.made: list[Decision] = []
        self.refused: dict[str, str] = {}
        self.contested: dict[str, str] = {}
        self.events: dict[str, list[Decision]] = {}
        self._weighed: dict[str, Weighed] = {}
        for one in events:
            self.events.setdefault(one.sample_id, []).append(one)

    def add(self, planned: Iterable[Decision], names_class: bool) -> None:
        """Add an answer's decisions on a sample and its copies to `made`, checked against other people's.

        What contradicts another person's word that the reviewer cannot know of is made too, and told in `contested`.

        Parameters
        ----------
        names_class
            The reviewer chose the class; else to keep means the class that the reviewer saw.
        """
        planned = list(planned)
        held = [self._hold_against(one, names_class) for one in planned]
        is_contested = any(one.sample_id in self.contested for one in planned)
        unseen = {one.sample_id: one.after for one in held if one and one.after is not None}
        for one in filter(None, held):
            if is_contested and one.after is None and one.action == "merge":
                continue  # into a copy that does not stay while it is contested: both would be gone
            # Who had not seen one word on a sample had not seen it for their other answers there, either.
            said = one.model_copy(update={"after": unseen[one.sample_id]}) if one.sample_id in unseen else one
            self.made.append(said)
            self.events.setdefault(one.sample_id, []).append(said)
            self._weighed.pop(one.sample_id, None)

    def states(self, sample_ids: Iterable[str]) -> dict[str, State]:
        """Return how the samples and all copies of them stand now."""
        touched = dict.fromkeys(copy for sample_id in sample_ids for copy in (sample_id, *self.group(sample_id)))
        return {sample_id: self._state(sample_id) for sample_id in touched}

    def _state(self, sample_id: str) -> State:
        issues = [row.issue for row in self.open(sample_id)]
        return State(self.label(sample_id), self.fold(sample_id).dropped, kept(self.said(sample_id)), issues)

    def weighed(self, sample_id: str) -> Weighed:
        """Return the outcome for the sample of the log and this draft together."""
        weighed = self._alone(sample_id)
        while ring := self._closes_ring(sample_id, weighed):
            counting = [one for one in weighed.counting if one is not ring[1]]
            weighed = weighed._replace(counting=counting, conflicts=[*weighed.conflicts, ring])
        return weighed

    def _alone(self, sample_id: str) -> Weighed:
        """Return the outcome of the events on this sample alone."""
        if sample_id not in self._weighed:
            self._weighed[sample_id] = weigh_sample(self.events.get(sample_id, ()))
        return self._weighed[sample_id]

    def _closes_ring(self, sample_id: str, weighed: Weighed) -> Pair | None:
        """Return the sample's merge, after what it is at odds with, where it is the latest of a ring of merges."""
        path: dict[str, Decision] = {}
        last = weighed.counting[-1:]
        while last and last[0].action == "merge" and last[0].sample_id not in path:
            path[last[0].sample_id] = last[0]
            last = self._alone(last[0].label).counting[-1:]
        return next((ring for ring in find_rings(path.values()) if ring[1].sample_id == sample_id), None)

    def said(self, sample_id: str) -> list[Decision]:
        """Return the decisions on the sample that count."""
        return self.weighed(sample_id).counting

    def fold(self, sample_id: str) -> Folded:
        return fold_sample(self.said(sample_id))

    def label(self, sample_id: str) -> str:
        return self.fold(sample_id).label or self.evidence.given.get(sample_id, "")

    def group(self, sample_id: str) -> list[str]:
        return self.evidence.members.get(self.evidence.group_of.get(sample_id, ""), [])

    def left(self, sample_id: str) -> list[str]:
        """Return the members of the sample's group that are not left out."""
        return [copy for copy in self.group(sample_id) if not self.fold(copy).dropped]

    def open(self, sample_id: str) -> list[Any]:
        """Return the findings of the sample that wait for an answer, worst first: as `open_findings` has them."""
        conflicts = self._conflict_rows(sample_id, is_settled_too=False)
        if self.fold(sample_id).dropped:
            return conflicts
        said = self.said(sample_id)
        answered = {one.finding for one in said}
        # A merge answers for the sample that stays, too, as in `decided_pairs`.
        answered |= {one.finding for copy in self.group(sample_id) for one in self.said(copy) if one.label == sample_id}
        answered |= set(LABEL_ISSUES) if any(map(states_label, said)) else set()
        answered |= {COPIES} if len(self.left(sample_id)) < 2 else set()
        rows = [row for row in self.evidence.findings.get(sample_id, ()) if row.issue not in answered]
        return sorted(conflicts + rows, key=lambda row: (row.score, row.issue))

    def open_everywhere(self) -> list[Any]:
        """Return the findings of all samples that wait for an answer; quick where few were answered of many."""
        told = {copy for one in self.events for copy in (one, *self.group(one))}
        rows = [row for one in told for row in self.open(one)]
        for sample_id, found in self.evidence.findings.items():
            if sample_id not in told:  # nothing was said of it, nor of a copy
                is_copy = sample_id in self.evidence.group_of
                rows += [row for row in found if is_copy or row.issue != COPIES]
        return rows

    def _conflict_rows(self, sample_id: str, is_settled_too: bool) -> list[Any]:
        """Return the finding that two people differ on the sample, if it is open or (`is_settled_too`) was."""
        weighed = self.weighed(sample_id)
        is_asked = weighed.conflicts or (is_settled_too and has_settled(self.events.get(sample_id, ())))
        is_there = self.evidence.audited and sample_id in self.evidence.path
        return [conflict_row(sample_id, weighed.conflicts, self.evidence.path)] if is_asked and is_there else []

    def decide(self, sample_id: str, action: Action, row: Any = None, label: str = "", reason: str = "") -> Decision:
        """Return a decision that answers the finding ``row``; with None, it answers none."""
        return Decision(
            actor=self.actor,
            tool=TOOL,
            sample_id=sample_id,
            action=action,
            label=label,
            reason=self.reason or reason,
            finding="" if row is None else row.issue,
            before=self.label(sample_id),
            score=None if row is None else row.score,
            detector=None if row is None else row.detector,
        )

    def asked(self, sample_id: str, issue: str) -> list[Any]:
        """Return the findings that the reviewer has in view, worst first."""
        rows = self._seen(sample_id)
        if self.shown is None:
            rows = self.open(sample_id) or rows
        return [row for row in rows if row.issue == issue or not issue]

    def _seen(self, sample_id: str) -> list[Any]:
        """Return the findings that the reviewer may have seen as open."""
        conflicts = self._conflict_rows(sample_id, is_settled_too=self.shown is not None)
        rows = [*conflicts, *self.evidence.findings.get(sample_id, ())]
        return rows if self.shown is None else [row for row in rows if row.issue in self.shown.get(sample_id, ())]

    def _hold_against(self, decision: Decision, names_class: bool) -> Decision | None:
        """Return ``decision`` as it is to be written, held against what was said; None when it says nothing new."""
        if self._is_said(decision):
            return None
        other = self._said_by_another(decision)
        if other is None:
            return decision
        meant = self._as_seen(decision, other, names_class)
        if not contradict(other, meant):
            return None
        what = f"{other.actor} said {tell_word(other, self.evidence.path)} meanwhile"
        self.contested[decision.sample_id] = (
            f"{self.evidence.path.get(decision.sample_id, decision.sample_id)}: {what}. Your answer is noted and does "
            f"not count until one of you decides: the sample is now in {CONFLICT}."
        )
        own = [one for _, one in self.weighed(decision.sample_id).conflicts if one.actor == self.actor]
        is_noted = any(one.finding == meant.finding and not contradict(one, meant) for one in own)
        return None if is_noted else meant

    def _is_said(self, decision: Decision) -> bool:
        """Return whether the last word on the finding is the same already, and still holds."""
        said = self.said(decision.sample_id)
        earlier = [one for one in said if one.finding == decision.finding]
        if not earlier or (earlier[-1].action, earlier[-1].label) != (decision.action, decision.label):
            return False
        return fold_sample([*said, decision])[:3] == fold_sample(said)[:3]

    def _said_by_another(self, decision: Decision) -> Decision | None:
        """Return another person's word on what ``decision`` answers, if the reviewer still saw that as open."""
        issue, sample_id = decision.finding, decision.sample_id
        is_seen = any(row.issue == issue for row in self._seen(sample_id))
        if not is_seen or any(row.issue == issue for row in self.open(sample_id)):
            return None
        other = find_last_word(self.events.get(sample_id, ()), decision)
        return None if other is None or other.actor == self.actor or other.tool == POLICY else other

    def _as_seen(self, decision: Decision, other: Decision, names_class: bool) -> Decision:
        """Return ``decision`` as a reviewer meant it who had not seen the ``other`` one yet."""
        seen = events_without(self.events[decision.sample_id], other, self.actor)
        before = fold_sample(weigh_sample(seen).counting).label or self.evidence.given.get(decision.sample_id, "")
        keeps_label = decision.action == "keep" and decision.label and not names_class
        label = before if keeps_label else decision.label
        return decision.model_copy(update={"before": before, "label": label, "after": find_heads(seen)})


def kept(said: Sequence[Decision]) -> bool:
    """Return whether the last word on a sample is that it is right as it is."""
    return bool(said) and said[-1].action == "keep"
