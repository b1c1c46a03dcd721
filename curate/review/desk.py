"""What an answer means for one sample, given what was found and what has been said; and the tables that it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import pandas as pd

from curate.build import read_exam
from curate.dataset import DatasetFolder
from curate.decide import find_keepers
from curate.decisions import ACTIONS, Action, Decision, Folded, fold_sample
from curate.files import Problem
from curate.findings import LABEL_ISSUES, read_findings, states_label
from curate.scan import read_scan
from curate.spec import Spec, read_spec
from curate.tables import FINDINGS, empty, read_parquet

Answer = Literal["accept", "keep", "relabel", "drop", "undrop", "keep_this_copy", "not_copies"]
ANSWERS: tuple[str, ...] = ("accept", "keep", "relabel", "drop", "undrop", "keep_this_copy", "not_copies")
TOOL = "fiftyone"
COPIES = "near_duplicate"
GROUPS = ("sample_id", "group_id", "keeper")


class State(NamedTuple):
    """A sample as the log has it now; `open_issues` worst first."""

    label: str
    dropped: bool
    kept: bool
    open_issues: list[str]


@dataclass(frozen=True)
class Evidence:
    """What scan and audit left behind, by sample: findings that are issues, groups of two and more.

    `exam` holds the samples that are in test by themselves: of copies, such a one stays. `keepers` is the copy that
    stays of each sample's group while none is gone, and copies suggest what follows from it.
    """

    spec: Spec
    path: dict[str, str]
    given: dict[str, str]
    findings: dict[str, list[Any]]
    group_of: dict[str, str]
    members: dict[str, list[str]]
    groups: pd.DataFrame
    samples: pd.DataFrame
    exam: AbstractSet[str]
    keepers: dict[str, str]

    @property
    def issues(self) -> set[str]:
        return {row.issue for rows in self.findings.values() for row in rows}


def read_evidence(dataset: DatasetFolder) -> Evidence:
    """Return what scan and audit left behind; no findings before the first audit.

    Raises
    ------
    Problem
        When there is no scan.
    """
    spec, samples = read_spec(dataset), read_scan(dataset).samples
    audited = (dataset.cache / "findings.parquet").is_file()
    findings = read_findings(dataset) if audited else empty(FINDINGS)
    groups_file = dataset.cache / "groups.parquet"
    groups = read_parquet(groups_file) if groups_file.is_file() else empty(dict.fromkeys(GROUPS, "str"))
    groups = groups[groups["group_id"].duplicated(keep=False) & (groups["group_id"] != "")]
    exam = read_exam(dataset, spec, samples)
    keepers = find_keepers(groups, samples, exam=exam)
    issues = _with_keepers(findings[findings["is_issue"]], keepers).sort_values(["score", "issue"])
    by_sample: dict[str, list[Any]] = {}
    for row in issues.itertuples(index=False):
        by_sample.setdefault(row.sample_id, []).append(row)
    return Evidence(
        spec=spec,
        path=dict(zip(samples["sample_id"], samples["path"], strict=True)),
        given=dict(zip(samples["sample_id"], samples["given_label"], strict=True)),
        findings=by_sample,
        group_of=dict(zip(groups["sample_id"], groups["group_id"], strict=True)),
        members=groups.groupby("group_id")["sample_id"].agg(list).to_dict(),
        groups=groups.set_index("sample_id", drop=False).rename_axis(None),
        samples=samples.set_index("sample_id", drop=False).rename_axis(None),
        exam=exam,
        keepers=keepers,
    )


def _with_keepers(findings: pd.DataFrame, keepers: Mapping[str, str]) -> pd.DataFrame:
    """Return ``findings`` with the audit's suggestions on copies as the policy would have them."""
    keeper = findings["sample_id"].map(keepers)
    action = (keeper == findings["sample_id"]).map({True: "keep", False: "merge"})
    is_asked = (findings["issue"] == COPIES) & keeper.notna()
    return findings.assign(suggested_action=findings["suggested_action"].mask(is_asked, action))


class Desk:
    """The log's decisions by sample, what one answer adds to them, and what it is held against."""

    def __init__(
        self,
        evidence: Evidence,
        decisions: Iterable[Decision],
        actor: str,
        reason: str = "",
        shown: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.evidence, self.actor, self.reason, self.shown = evidence, actor, reason, shown
        self.made: list[Decision] = []
        self.refused: dict[str, str] = {}
        self.said: dict[str, list[Decision]] = {}
        for one in decisions:
            self.said.setdefault(one.sample_id, []).append(one)

    def take(self, sample_id: str, answer: Answer, label: str, issue: str) -> None:
        """Add what ``answer`` means for the sample to `made`, or why it cannot be to `refused`."""
        try:
            planned = PLANS[answer](self, sample_id, self._asked(sample_id, issue), label)
            new = [one for one in planned if not self._is_said(one) and not self._is_agreed(one)]
        except Problem as problem:
            self.refused[sample_id] = str(problem)
            return
        for one in new:
            self.made.append(one)
            self.said.setdefault(one.sample_id, []).append(one)

    def states(self, sample_ids: Iterable[str]) -> dict[str, State]:
        """Return how the samples and all copies of them stand now."""
        touched = dict.fromkeys(copy for sample_id in sample_ids for copy in (sample_id, *self.group(sample_id)))
        return {sample_id: self._state(sample_id) for sample_id in touched}

    def _state(self, sample_id: str) -> State:
        said = self.said.get(sample_id, [])
        issues = [row.issue for row in self.open(sample_id)]
        return State(self.label(sample_id), self.fold(sample_id).dropped, kept(said), issues)

    def fold(self, sample_id: str) -> Folded:
        return fold_sample(self.said.get(sample_id, ()))

    def label(self, sample_id: str) -> str:
        return self.fold(sample_id).label or self.evidence.given.get(sample_id, "")

    def group(self, sample_id: str) -> list[str]:
        return self.evidence.members.get(self.evidence.group_of.get(sample_id, ""), [])

    def left(self, sample_id: str) -> list[str]:
        """Return the members of the sample's group that are not left out."""
        return [copy for copy in self.group(sample_id) if not self.fold(copy).dropped]

    def open(self, sample_id: str) -> list[Any]:
        """Return the findings of the sample that wait for an answer, worst first: as `open_findings` has them."""
        if self.fold(sample_id).dropped:
            return []
        said = self.said.get(sample_id, [])
        answered = {one.finding for one in said}
        answered |= set(LABEL_ISSUES) if any(map(states_label, said)) else set()
        answered |= {COPIES} if len(self.left(sample_id)) < 2 else set()
        return [row for row in self.evidence.findings.get(sample_id, ()) if row.issue not in answered]

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

    def _asked(self, sample_id: str, issue: str) -> list[Any]:
        """Return the findings that the reviewer has in view, worst first."""
        rows = self._seen(sample_id)
        if self.shown is None:
            rows = self.open(sample_id) or rows
        return [row for row in rows if row.issue == issue or not issue]

    def _seen(self, sample_id: str) -> list[Any]:
        """Return the findings that the reviewer may have seen as open."""
        rows = self.evidence.findings.get(sample_id, [])
        return rows if self.shown is None else [row for row in rows if row.issue in self.shown.get(sample_id, ())]

    def _is_said(self, decision: Decision) -> bool:
        """Return whether the last word on the finding is the same already, and still holds."""
        said = self.said.get(decision.sample_id, [])
        earlier = [one for one in said if one.finding == decision.finding]
        if not earlier or (earlier[-1].action, earlier[-1].label) != (decision.action, decision.label):
            return False
        return fold_sample([*said, decision])[:3] == fold_sample(said)[:3]

    def _is_agreed(self, decision: Decision) -> bool:
        """Return whether another person said the same of what this reviewer still saw as open.

        Raises
        ------
        Problem
            When they said something else.
        """
        other = self._said_by_another(decision)
        if other is None:
            return False
        is_same = other.action == decision.action
        if is_same and (other.action in ("keep", "drop") or other.label == decision.label):
            return True
        name = self.evidence.path.get(decision.sample_id, decision.sample_id)
        what = f"{other.action} {self.evidence.path.get(other.label, other.label)}".strip()
        raise Problem(f"{name}: {other.actor} said {what} meanwhile, so your answer was not taken. Look again.")

    def _said_by_another(self, decision: Decision) -> Decision | None:
        """Return what closed the finding that ``decision`` answers, if the reviewer cannot know of it."""
        issue, sample_id = decision.finding, decision.sample_id
        is_seen = any(row.issue == issue for row in self._seen(sample_id))
        if not is_seen or any(row.issue == issue for row in self.open(sample_id)):
            return None
        is_out = self.fold(sample_id).dropped
        for one in reversed(self.said.get(sample_id, [])):
            takes_out = is_out and one.action in ("drop", "merge")
            if one.finding == issue or takes_out or (issue in LABEL_ISSUES and states_label(one)):
                return None if one.actor == self.actor or one.tool == "policy" else one
        return None


def kept(said: Sequence[Decision]) -> bool:
    """Return whether the last word on a sample is that it is right as it is."""
    return bool(said) and said[-1].action == "keep"


def _accept(desk: Desk, sample_id: str, asked: list[Any], label: str) -> list[Decision]:
    suggesting = [row for row in asked if row.suggested_action in ACTIONS]
    if not suggesting:
        raise _cannot(desk, sample_id, "no open finding suggests anything to accept. Keep, relabel or drop it")
    row = suggesting[0]
    if row.suggested_action == "relabel":
        return [desk.decide(sample_id, "relabel", row, row.suggested_label, row.evidence)]
    if row.suggested_action == "merge":
        return _merge_into_keeper(desk, sample_id, row)
    keeps = row.suggested_action == "keep" and row.issue in LABEL_ISSUES
    return [desk.decide(sample_id, row.suggested_action, row, desk.label(sample_id) if keeps else "", row.evidence)]


def _merge_into_keeper(desk: Desk, sample_id: str, row: Any) -> list[Decision]:
    """Merge into the copy that the policy would keep; if that is gone, into the next best; the last one stays."""
    members = desk.group(sample_id)
    gone = {copy for copy in members if copy != sample_id and desk.fold(copy).dropped}
    groups, samples = desk.evidence.groups.loc[members], desk.evidence.samples.loc[members]
    keeper = find_keepers(groups, samples.reset_index(drop=True), gone, desk.evidence.exam).get(sample_id, sample_id)
    if keeper == sample_id:
        return [desk.decide(sample_id, "keep", row, reason=row.evidence)]
    return [desk.decide(sample_id, "merge", row, keeper, row.evidence)]


def _keep(desk: Desk, sample_id: str, asked: list[Any], label: str) -> list[Decision]:
    now = desk.label(sample_id)
    if not now:
        raise _cannot(desk, sample_id, "it has no label that could be kept. Choose a class")
    if not asked:
        is_kept = kept(desk.said.get(sample_id, ()))  # the same request once more, or nothing new
        return [] if is_kept else [desk.decide(sample_id, "keep", None, now)]
    return [desk.decide(sample_id, "keep", row, now if row.issue in LABEL_ISSUES else "") for row in asked]


def _relabel(desk: Desk, sample_id: str, asked: list[Any], label: str) -> list[Decision]:
    doubts = [row for row in asked if row.issue in LABEL_ISSUES]
    # Somebody who changes their mind answers the same question again.
    doubts = doubts or [row for row in desk.evidence.findings.get(sample_id, ()) if row.issue in LABEL_ISSUES]
    row = doubts[0] if doubts else None
    # The class that was in doubt: the detector was wrong.
    is_kept = row is not None and label == desk.evidence.given.get(sample_id)
    return [desk.decide(sample_id, "keep" if is_kept else "relabel", row, label)]


def _drop(desk: Desk, sample_id: str, asked: list[Any], label: str) -> list[Decision]:
    if desk.fold(sample_id).dropped and not asked:
        return []
    suggesting = [row for row in asked if row.suggested_action == "drop"]
    row = next(iter(suggesting or asked), None)
    return [desk.decide(sample_id, "drop", row)]


def _undrop(desk: Desk, sample_id: str, asked: list[Any], label: str) -> list[Decision]:
    return [desk.decide(sample_id, "undrop")] if desk.fold(sample_id).dropped else []


def _keep_this_copy(desk: Desk, sample_id: str, asked: list[Any], label: str) -> list[Decision]:
    copies = [copy for copy in _expect_group(desk, sample_id) if copy != sample_id]
    back = _undrop(desk, sample_id, asked, label)
    return back + [desk.decide(copy, "merge", _copies_row(desk, copy), sample_id) for copy in copies]


def _not_copies(desk: Desk, sample_id: str, asked: list[Any], label: str) -> list[Decision]:
    return [
        desk.decide(copy, "keep", row) for copy in _expect_group(desk, sample_id) if (row := _copies_row(desk, copy))
    ]


def _expect_group(desk: Desk, sample_id: str) -> list[str]:
    """Return the copies that are left, and the sample itself and those merged into it: it may be chosen again."""
    members = desk.group(sample_id)
    if not members:
        raise _cannot(desk, sample_id, "it is in no group of near duplicates")
    return [one for one in members if not desk.fold(one).dropped or desk.fold(one).merged_into or one == sample_id]


def _copies_row(desk: Desk, sample_id: str) -> Any:
    return next((row for row in desk.evidence.findings.get(sample_id, ()) if row.issue == COPIES), None)


PLANS: dict[str, Callable[[Desk, str, list[Any], str], list[Decision]]] = {
    "accept": _accept,
    "keep": _keep,
    "relabel": _relabel,
    "drop": _drop,
    "undrop": _undrop,
    "keep_this_copy": _keep_this_copy,
    "not_copies": _not_copies,
}


def _cannot(desk: Desk, sample_id: str, why: str) -> Problem:
    return Problem(f"{desk.evidence.path.get(sample_id, sample_id)}: {why}.")
