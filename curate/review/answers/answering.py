"""Checks a reviewer's answer against the current log and writes it to disk before it is confirmed.

Nothing here knows FiftyOne. An `Answering` keeps what the audit and the scan left behind in memory and reads it again
when a file changed; the log is read under its lock for each answer: other reviewers and `git pull` write it too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from curate.log.conflicts import said_decisions, weigh_sample
from curate.log.decision import Decision
from curate.log.decisions import append_composed, current_user
from curate.review.answers.draft import ANSWERS, TOOL, Answer, Draft, State
from curate.review.answers.found import Evidence, read_evidence
from curate.review.answers.plans import take_answer
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder

AT_ONCE = timedelta(microseconds=1)  # between the decisions of one write
TABLES = ("samples", "locations", "votes", "consensus", "findings", "groups")  # of the cache


@dataclass(frozen=True)
class Answered:
    """What became of an answer: the decisions written, why samples were passed over, and how samples stand now.

    `states` holds all samples that an answer may have changed: a copy that is merged leaves another without copies.
    `contested` says of which samples the answer was written, but does not count: somebody else had said otherwise.
    """

    decisions: list[Decision] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    contested: dict[str, str] = field(default_factory=dict)


class Answering:
    """Takes answers for one dataset; keeps the evidence between them."""

    def __init__(self, dataset: DatasetFolder) -> None:
        self.dataset = dataset
        self._stamp: object = None
        self._evidence: Evidence | None = None

    @property
    def evidence(self) -> Evidence:
        """The evidence as it is on disk now; read again only when a file of it changed."""
        stamp = _stamp_of(self.dataset)
        if self._evidence is None or stamp != self._stamp:
            self._evidence, self._stamp = read_evidence(self.dataset), stamp
        return self._evidence

    def answer(
        self,
        sample_ids: Sequence[str],
        answer: Answer,
        *,
        label: str = "",
        issue: str = "",
        reason: str = "",
        reviewer: str | None = None,
        shown: Mapping[str, Sequence[str]] | None = None,
        kept: Collection[str] = (),
    ) -> Answered:
        """Write the decisions that ``answer`` means for each sample to the log, and return the result.

        Saying the same again adds nothing. An answer that contradicts somebody's whom this reviewer could not know of
        is written too, but does not count until somebody decides: it is in ``contested``.

        Parameters
        ----------
        answer
            ``accept`` takes the suggestion of the worst finding that makes one; ``keep`` says that nothing is wrong;
            ``keep_this_copy`` merges the other copies into the sample; ``not_copies`` says that they are none.
        issue
            The finding that is answered; when '', all that are open, or the one that asks for such an answer.
        reviewer
            The login name when None.
        kept
            The samples that get the answer ``keep`` instead, at once with the others.
        shown
            The issues that the reviewer saw as open, by sample; when None, those that are open now, else all.

        Raises
        ------
        Problem
            When the answer, the class or a sample is unknown.
        """
        _expect_answer(self.evidence, sample_ids, answer, label, self.dataset)
        answers = {one: "keep" if one in kept else answer for one in sample_ids}
        begin = partial(Draft, self.evidence, actor=reviewer or current_user(), reason=reason, shown=shown)
        return self._write(begin, answers, label, issue)

    def _write(self, begin: Callable[..., Draft], answers: Mapping[str, Answer], label: str, issue: str) -> Answered:
        told: list[Draft] = []

        def compose(events: list[Decision]) -> list[Decision]:
            draft = begin(events=events)
            for sample_id, answer in answers.items():
                take_answer(draft, sample_id, answer, label, issue)
            told.append(draft)
            return draft.made

        made = append_composed(self.dataset.decisions, compose)
        return Answered(made, told[0].refused, told[0].states(answers), told[0].contested)

    def open_rows(self, sample_id: str, events: Iterable[Decision]) -> list[Any]:
        """Return the findings of the sample that wait for an answer, worst first; ``events`` are those of the log."""
        return Draft(self.evidence, events, "").open(sample_id)

    def undo(self, reviewer: str | None = None) -> Answered:
        """Take back all that the reviewer said with their last answer, so that it counts as never said.

        Also an answer that does not count, because somebody else had said otherwise.
        """
        actor = reviewer or current_user()
        told: list[Draft] = []

        def compose(events: list[Decision]) -> list[Decision]:
            undone = [_undo_of(one, actor) for one in last_answer(said_decisions(events), actor)]
            told.append(Draft(self.evidence, [*events, *undone], actor))
            return undone

        made = append_composed(self.dataset.decisions, compose)
        return Answered(made, {}, told[0].states([one.sample_id for one in made]))

    def note(self, sample_ids: Sequence[str], text: str, reviewer: str | None = None) -> Answered:
        """Give the reviewer's last decision on each sample a reason: it is said again, with ``text``.

        Writing a note does not show what others said: decisions that did not count before still do not.
        """
        actor, evidence = reviewer or current_user(), self.evidence
        refused: dict[str, str] = {}

        def compose(events: list[Decision]) -> list[Decision]:
            own = {one.sample_id: one for one in said_decisions(events) if one.actor == actor}
            for sample_id in set(sample_ids) - set(own):
                name = evidence.path.get(sample_id, sample_id)
                refused[sample_id] = f"{name}: a note is the reason of a decision, and you made none yet. Answer first."
            noted = [own[one] for one in dict.fromkeys(sample_ids) if one in own and own[one].reason != text]
            changed = {"reason": text, "tool": TOOL}
            return [one.model_copy(update={**changed, "after": _after_again(one, events)}) for one in noted]

        return Answered(append_composed(self.dataset.decisions, compose), refused)


def answer_samples(
    dataset: DatasetFolder,
    sample_ids: Sequence[str],
    answer: Answer,
    *,
    label: str = "",
    issue: str = "",
    reason: str = "",
    reviewer: str | None = None,
) -> list[Decision]:
    """Write one answer and return its decisions: `Answering.answer` without anything kept in memory.

    Raises
    ------
    Problem
        When a sample was passed over, or the answer does not count there; what could be written was.
    """
    taken = Answering(dataset)
    answered = taken.answer(sample_ids, answer, label=label, issue=issue, reason=reason, reviewer=reviewer)
    if told := {**answered.refused, **answered.contested}:
        raise Problem(tell_refused(told))
    return answered.decisions


def tell_refused(refused: Mapping[str, str]) -> str:
    """Return one sentence a sample that was passed over: the first three, and how many there are.

    >>> tell_refused({"a": "A is gone.", "b": "B is gone."})
    'A is gone. B is gone.'
    """
    sentences = list(refused.values())
    more = f" And {len(sentences) - 3:,} more." if len(sentences) > 3 else ""
    return " ".join(sentences[:3]) + more


def last_answer(decisions: Iterable[Decision], actor: str) -> list[Decision]:
    """Return the decisions of the last write of ``actor`` in the App: those whose times follow without a gap."""
    own = [one for one in decisions if one.actor == actor and one.tool == TOOL]
    start = len(own) - 1
    while start > 0 and _time(own[start]) - _time(own[start - 1]) == AT_ONCE:
        start -= 1
    return own[max(start, 0) :]


def _expect_answer(
    evidence: Evidence, sample_ids: Iterable[str], answer: str, label: str, dataset: DatasetFolder
) -> None:
    if answer not in ANSWERS:
        raise Problem(f"Expected an answer ({', '.join(ANSWERS)}), found {answer!r}.")
    if answer == "relabel" and label not in evidence.spec.classes:
        classes = ", ".join(evidence.spec.classes)
        raise Problem(f"Expected a class of {dataset.spec} ({classes}), found {label or 'none'!r}.")
    if unknown := [one for one in sample_ids if one not in evidence.path]:
        named = ", ".join(unknown[:3])
        raise Problem(f"Expected samples of {dataset.path}, but {len(unknown)} are not in its last scan ({named}).")


def _after_again(decision: Decision, events: Iterable[Decision]) -> tuple[str, ...] | None:
    """Return what ``decision`` comes after when it is said again: itself where it is in conflict, else all there is."""
    own = [one for one in events if one.sample_id == decision.sample_id]
    return (decision.id,) if any(decision in pair for pair in weigh_sample(own).conflicts) else None


def _undo_of(decision: Decision, actor: str) -> Decision:
    return Decision(
        actor=actor,
        tool=TOOL,
        sample_id=decision.sample_id,
        action="undo",
        label=decision.id,
        finding=decision.finding,
        score=decision.score,
        detector=decision.detector,
    )


def _time(decision: Decision) -> datetime:
    return datetime.fromisoformat(decision.time)


def _stamp_of(dataset: DatasetFolder) -> object:
    files = [dataset.spec, dataset.votes, dataset.lock, *(dataset.cache / f"{name}.parquet" for name in TABLES)]
    return [stamp_of_file(file) for file in files]


def stamp_of_file(file: Path) -> tuple[int, int] | None:
    """Return what changes whenever ``file`` is written; None when it is not there."""
    try:
        about = file.stat()
    except FileNotFoundError:
        return None
    return about.st_mtime_ns, about.st_size
