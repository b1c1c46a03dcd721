"""Imports the answers of an offline page: checked line by line, and written all or none.

The file comes from an unknown machine, perhaps days after the page was made. So each line is untrusted input and is
checked against the dataset as it is now: what somebody else has answered meanwhile is never overwritten.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from curate.audit.findings import read_findings
from curate.decide.answers_file import Answer, read_answers
from curate.exchange.check import Fault, describe_faults
from curate.exchange.rows import brief
from curate.images.samples import Scan, read_scan
from curate.log.conflicts import contradict, said_decisions, weigh_log, weigh_sample
from curate.log.decision import CONFLICT, LABEL_ISSUES, POLICY, Decision, said_at, tell_word
from curate.log.decisions import append_composed
from curate.log.last_word import find_last_word
from curate.log.outcomes import fold_decisions
from curate.spec.model import Spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder
from curate.storage.tables import read_table
from curate.versions.labels import resolve_labels

TOOL = "review_page"


@dataclass(frozen=True)
class Applied:
    """What became of a file: the decisions written, and how many answers said nothing new.

    `known` are in the log already, or a later answer of the same reviewer is; `agreed` were answered alike by somebody
    else; `contested` of the decisions contradict what somebody else said meanwhile, and do not count until somebody
    decides; `faults` are the lines that were passed over.
    """

    decisions: list[Decision]
    known: int
    agreed: int
    contested: int
    faults: list[Fault]


def apply_answers(dataset: DatasetFolder, spec: Spec, path: Path, skip_bad: bool = False) -> Applied:
    """Write the answers in ``path`` to the decision log: all of them or, when one cannot stand, none.

    Applying a file again adds nothing. Of several answers of one reviewer to one finding the latest stands. Where
    somebody else answered otherwise, theirs stands: the answer is written, but does not count until somebody who has
    seen both decides (``curate.log.conflicts``). A policy gives way to a person.

    Parameters
    ----------
    skip_bad
        Write what can stand although other lines cannot.

    Raises
    ------
    Problem
        When there is no scan or audit, the file cannot be read, or (without ``skip_bad``) a line cannot stand: it is
        malformed, names an unknown sample or class, answers what is no longer found, or what is no longer as it was
        shown. Nothing is written.
    """
    answers, faults = read_answers(path)
    scan, findings = read_scan(dataset), read_findings(dataset)
    groups = read_table(dataset.cache / "groups.parquet", f"curate audit {dataset.path}")
    results: list[_Draft] = []

    def compose(events: list[Decision]) -> list[Decision]:
        draft = _open_draft(scan, findings, spec, events)
        draft.groups |= dict(zip(groups["sample_id"], groups["group_id"], strict=True))
        for number, answer in sorted(answers.items(), key=lambda one: (one[1].time, one[0])):
            _judge(answer, f"{path}:{number}", draft)
        _refuse_lost_copies(draft, events)
        draft.faults[:0] = faults
        if draft.faults and not skip_bad:
            raise Problem(_refusal(path, draft))
        results.append(draft)
        return list(draft.made.values())

    written, draft = append_composed(dataset.decisions, compose), results[0]
    return Applied(written, draft.known, draft.agreed, len(draft.contested), draft.faults)


@dataclass
class _Draft:
    """What an answer is held against, and what became of those before it."""

    classes: list[str]
    samples: set[str]
    findings: dict[tuple[str, str], Any]
    labels: dict[str, str]
    events: defaultdict[str, list[Decision]]  # all lines of the log, by sample
    told: set[tuple[str | None, ...]] = field(default_factory=set)
    groups: dict[str, str] = field(default_factory=dict)
    made: dict[str, Decision] = field(default_factory=dict)  # by the place of its line
    faults: list[Fault] = field(default_factory=list)
    known: int = 0
    agreed: int = 0
    contested: set[str] = field(default_factory=set)  # places of lines that do not count yet


def _open_draft(scan: Scan, findings: pd.DataFrame, spec: Spec, events: list[Decision]) -> _Draft:
    rows = resolve_labels(scan, fold_decisions(weigh_log(events)[0]), spec)
    by_sample: defaultdict[str, list[Decision]] = defaultdict(list)
    for one in events:
        by_sample[one.sample_id].append(one)
    return _Draft(
        classes=spec.class_names,
        samples=set(scan.samples["sample_id"]),
        findings={(row.sample_id, row.issue): row for row in findings[findings["is_issue"]].itertuples()},
        labels=dict(zip(rows["sample_id"], rows["label"], strict=True)),
        events=by_sample,
        told=set(map(_event, events)),  # also what was taken back: it is no news either
    )


def _judge(answer: Answer, place: str, draft: _Draft) -> None:
    """Put what ``answer`` amounts to on the draft: a decision, a fault, or a further count."""
    if fault := _find_fault(answer, place, draft):
        draft.faults.append(fault)
        return
    decision = _decide(answer, draft)
    earlier = find_last_word(draft.events[answer.sample_id], decision)
    if _event(decision) in draft.told or _is_older(answer, earlier, draft):
        draft.known += 1
    elif earlier and earlier.tool != POLICY and not contradict(earlier, decision):
        is_own = earlier.actor == answer.reviewer
        draft.known, draft.agreed = draft.known + is_own, draft.agreed + (not is_own)
    elif mismatch := _mismatch(answer, earlier, draft):
        draft.faults.append(Fault("conflict", place, mismatch))
    elif gone := _no_longer(answer, earlier, draft):
        draft.faults.append(Fault("no longer open", place, gone))
    else:
        _write(decision, place, draft)


def _write(decision: Decision, place: str, draft: _Draft) -> None:
    """Put ``decision`` on the draft; against another person's word that the page did not show it does not count yet."""
    events = draft.events[decision.sample_id]
    events.append(decision)
    draft.made[place] = decision
    draft.told.add(_event(decision))
    if not any(one is decision for one in weigh_sample(events).counting):
        draft.contested.add(place)
    elif decision.action == "relabel":
        draft.labels[decision.sample_id] = decision.label


def _find_fault(answer: Answer, place: str, draft: _Draft) -> Fault | None:
    """Return what is wrong with ``answer`` whatever anybody has said; None when it can stand."""
    if answer.sample_id not in draft.samples:
        return Fault("unknown sample", place, f"{answer.sample_id} is not in this dataset")
    if unknown := set(answer.after) - {one.id for one in draft.events[answer.sample_id]}:
        why = f"the page showed the decision {brief(min(unknown))}, which this log lacks: pull the log it was made from"
        return Fault("unknown decision", place, why)
    if answer.action == "merge":
        if answer.label not in draft.samples:
            return Fault("unknown sample", place, f"{brief(answer.label)} is to stay, but is not in this dataset")
        if answer.label == answer.sample_id:
            return Fault("bad value", place, f"{answer.label} cannot be merged into itself")
        return None
    said = answer.label if answer.action == "relabel" else answer.before if answer.keeps_label else None
    if said is not None and said not in draft.classes:
        return Fault("unknown class", place, f"{brief(said)} is none of {', '.join(draft.classes[:8])}")
    if answer.action != "relabel" and answer.label:
        return Fault("bad value", place, f"expected no label with {answer.action}, found {brief(answer.label)}")
    return None


def _decide(answer: Answer, draft: _Draft) -> Decision:
    row = draft.findings.get((answer.sample_id, answer.finding))
    label = answer.label if answer.action != "keep" else answer.before if answer.keeps_label else ""
    is_suggested = row is not None and row.suggested_action == answer.action
    is_suggested &= answer.action != "relabel" or (row is not None and row.suggested_label == label)
    return Decision(
        actor=answer.reviewer,
        tool=TOOL,
        sample_id=answer.sample_id,
        action=answer.action,
        label=label,
        reason=answer.note or (row.evidence if row is not None and is_suggested else ""),
        finding=answer.finding,
        before=draft.labels.get(answer.sample_id, ""),
        score=None if row is None else row.score,
        detector=None if row is None else row.detector,
        answered=answer.time,
        after=answer.after,
    )


def _is_older(answer: Answer, earlier: Decision | None, draft: _Draft) -> bool:
    """Return whether the reviewer answered the same later, be it that it counts or not: an older file after a newer."""
    said = said_decisions(draft.events[answer.sample_id])
    words = [one for one in said if one is earlier or one.finding == answer.finding]
    return any(one.actor == answer.reviewer and said_at(one) > answer.time for one in words)


def _mismatch(answer: Answer, earlier: Decision | None, draft: _Draft) -> str:
    """Return why ``answer`` is not about what is there now; '' when it is."""
    if earlier:  # the same moment twice: neither is the later one
        is_twice = earlier.actor == answer.reviewer and said_at(earlier) == answer.time
        return f"{answer.reviewer} said {tell_word(earlier, {})} in the same moment" if is_twice else ""
    now = draft.labels.get(answer.sample_id, "")
    if answer.finding in (*LABEL_ISSUES, CONFLICT) and answer.before != now:
        return f"{answer.sample_id} was labelled {brief(answer.before)} on the page, and is {brief(now)} now"
    return ""


def _no_longer(answer: Answer, earlier: Decision | None, draft: _Draft) -> str:
    """Return why the audit does not ask any more what ``answer`` answers; '' when it does, or somebody has answered."""
    if answer.action == "merge" and draft.groups.get(answer.sample_id) != draft.groups.get(answer.label, ""):
        return f"{answer.sample_id} is no longer found to be a copy of {answer.label}"
    if not earlier and (answer.sample_id, answer.finding) not in draft.findings:
        return f"{answer.finding} is no longer found on {answer.sample_id}"
    return ""


def _event(one: Decision) -> tuple[str | None, ...]:
    """Return what an answer is known by when its file comes again."""
    return one.sample_id, one.actor, one.answered, one.finding, one.action, one.label


def _refuse_lost_copies(draft: _Draft, events: Iterable[Decision]) -> None:
    """Take merges back whose keeper is left out in the end: merged into each other, two copies would both be gone."""
    if not any(one.action == "merge" for one in draft.made.values()):
        return
    folded = fold_decisions(weigh_log([*events, *draft.made.values()])[0])
    gone = set(folded.loc[folded["dropped"], "sample_id"])
    for place, one in list(draft.made.items()):
        if one.action == "merge" and place not in draft.contested and one.label in gone:
            draft.faults.append(Fault("conflict", place, f"{one.label} is to stay, but was dropped or merged itself"))
            del draft.made[place]


def _refusal(path: Path, draft: _Draft) -> str:
    made, bad = len(draft.made), len(draft.faults)
    others = f" ({made:,} other{'' if made == 1 else 's'} could be: `--skip-bad`)" if made else ""
    answers = f"{bad:,} answer{'' if bad == 1 else 's'}"
    return f"{path}: {answers} cannot be applied, so nothing was{others}.\n{describe_faults(draft.faults)}"
