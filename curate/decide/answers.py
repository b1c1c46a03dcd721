"""Answers that a reviewer gave on an offline page to decisions: checked line by line, written all together.

The file comes from a machine that nothing is known of, perhaps days after the page was made. So each line is untrusted
input, and is held against the dataset as it is now: what somebody else has answered meanwhile is never overwritten.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from curate.audit.findings import read_findings
from curate.exchange.check import Fault, describe_faults
from curate.exchange.rows import brief, parse_json, read_text
from curate.images.samples import Scan, read_scan
from curate.log.conflicts import contradict, said_decisions, weigh_log, weigh_sample
from curate.log.decision import CONFLICT, LABEL_ISSUES, POLICY, Decision, tell_word
from curate.log.decisions import append_composed
from curate.log.events import utc_time
from curate.log.last_word import find_last_word
from curate.log.outcomes import fold_decisions
from curate.spec.model import Spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder
from curate.storage.tables import read_table
from curate.versions.labels import resolve_labels

TOOL = "review_page"
LARGEST = 50_000_000  # bytes; 100,000 answers with notes are half of it
LONGEST_LINE = 10_000
LONGEST_NAME = 100
LONGEST_NOTE = 2_000
MOST_PARENTS = 100
AHEAD = timedelta(days=1)  # that a reviewer's clock may be


class Answer(BaseModel):
    """One line of an answers file: what a reviewer said of one finding, and when, by the reviewer's own clock.

    `label` is the class of a `relabel`, or the sample that stays for a `merge`; `before` the class that the page
    showed; `after` the ids of the latest decisions on the sample when the page was made: what its reader had seen.

    >>> line = {"sample_id": "0" * 20, "finding": "dark", "action": "drop", "reviewer": "ann"}
    >>> Answer(**line, time="2026-05-01T12:00:00+02:00").time
    '2026-05-01T10:00:00.000000+00:00'
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    sample_id: str = Field(pattern=r"^[0-9a-f]{20}$")
    finding: str = Field(pattern=r"^[a-z][a-z0-9_]{0,99}$")
    action: Literal["keep", "relabel", "drop", "merge"]
    label: str = ""
    before: str = ""
    after: tuple[str, ...] = Field((), max_length=MOST_PARENTS, strict=False)
    note: str = Field("", max_length=LONGEST_NOTE)
    reviewer: str
    time: str

    @field_validator("reviewer")
    @classmethod
    def is_a_name(cls, name: str) -> str:
        """Names end up in tables, terminals and digests: one line of printable text."""
        if not name or name != name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
            raise ValueError(f"a reviewer's name is 1 to {LONGEST_NAME} printable characters, not {brief(name)}")
        return name

    @field_validator("note")
    @classmethod
    def is_one_line(cls, note: str) -> str:
        """A note is shown in terminals and tables, where a control character would do something."""
        if any(unicodedata.category(one) in ("Cc", "Cs") for one in note):
            raise ValueError("a note is one line without control characters")
        return note.strip()

    @field_validator("time")
    @classmethod
    def has_come(cls, time: str) -> str:
        """Let any ISO 8601 time stand for itself in UTC; one that lies ahead would win over every later answer."""
        utc = utc_time(time[:100])
        if utc > (datetime.now(timezone.utc) + AHEAD).isoformat(timespec="microseconds"):
            raise ValueError(f"expected a time that has come, found {brief(time)}")
        return utc


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


def read_answers(path: Path) -> tuple[dict[int, Answer], list[Fault]]:
    """Return the answers in a JSONL file by line number, and the lines that are none.

    Raises
    ------
    Problem
        When there is no such file, or it is empty, too large or not UTF-8.
    """
    size = path.stat().st_size if path.is_file() else 0
    if size > LARGEST:
        raise Problem(f"{path}: expected answers of at most {LARGEST:,} bytes, found {size:,}. Is it another file?")
    answers: dict[int, Answer] = {}
    faults = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.strip():
            try:
                answers[number] = _parse(line, path, number)
            except Problem as problem:
                place = f"{path}:{number}"
                faults.append(Fault("malformed", place, str(problem).removeprefix(f"{place}: ")))
    return answers, faults


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
    results: list[_Desk] = []

    def compose(events: list[Decision]) -> list[Decision]:
        desk = _open_desk(scan, findings, spec, events)
        desk.groups |= dict(zip(groups["sample_id"], groups["group_id"], strict=True))
        for number, answer in sorted(answers.items(), key=lambda one: (one[1].time, one[0])):
            _judge(answer, f"{path}:{number}", desk)
        _refuse_lost_copies(desk, events)
        desk.faults[:0] = faults
        if desk.faults and not skip_bad:
            raise Problem(_refusal(path, desk))
        results.append(desk)
        return list(desk.made.values())

    written, desk = append_composed(dataset.decisions, compose), results[0]
    return Applied(written, desk.known, desk.agreed, len(desk.contested), desk.faults)


@dataclass
class _Desk:
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


def _open_desk(scan: Scan, findings: pd.DataFrame, spec: Spec, events: list[Decision]) -> _Desk:
    rows = resolve_labels(scan, fold_decisions(weigh_log(events)[0]), spec)
    by_sample: defaultdict[str, list[Decision]] = defaultdict(list)
    for one in events:
        by_sample[one.sample_id].append(one)
    return _Desk(
        classes=spec.class_names,
        samples=set(scan.samples["sample_id"]),
        findings={(row.sample_id, row.issue): row for row in findings[findings["is_issue"]].itertuples()},
        labels=dict(zip(rows["sample_id"], rows["label"], strict=True)),
        events=by_sample,
        told=set(map(_event, events)),  # also what was taken back: it is no news either
    )


def _parse(line: str, path: Path, number: int) -> Answer:
    if len(line) > LONGEST_LINE:
        raise Problem(f"expected at most {LONGEST_LINE:,} characters, found {len(line):,}")
    value = parse_json(line, path, number)
    if not isinstance(value, dict):
        raise Problem(f"expected a JSON object, found {brief(value)}")
    try:
        return Answer.model_validate(value)
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(str(part)[:40] for part in fault["loc"]) or "line"
        raise Problem(f"{key!r}: {fault['msg'].removeprefix('Value error, ')}") from None


def _judge(answer: Answer, place: str, desk: _Desk) -> None:
    """Put what ``answer`` amounts to on the desk: a decision, a fault, or a further count."""
    if fault := _find_fault(answer, place, desk):
        desk.faults.append(fault)
        return
    decision = _decide(answer, desk)
    earlier = find_last_word(desk.events[answer.sample_id], decision)
    if _event(decision) in desk.told or _is_older(answer, earlier, desk):
        desk.known += 1
    elif earlier and earlier.tool != POLICY and not contradict(earlier, decision):
        is_own = earlier.actor == answer.reviewer
        desk.known, desk.agreed = desk.known + is_own, desk.agreed + (not is_own)
    elif mismatch := _mismatch(answer, earlier, desk):
        desk.faults.append(Fault("conflict", place, mismatch))
    elif gone := _no_longer(answer, earlier, desk):
        desk.faults.append(Fault("no longer open", place, gone))
    else:
        _write(decision, place, desk)


def _write(decision: Decision, place: str, desk: _Desk) -> None:
    """Put ``decision`` on the desk; against another person's word that the page did not show it does not count yet."""
    events = desk.events[decision.sample_id]
    events.append(decision)
    desk.made[place] = decision
    desk.told.add(_event(decision))
    if not any(one is decision for one in weigh_sample(events).counting):
        desk.contested.add(place)
    elif decision.action == "relabel":
        desk.labels[decision.sample_id] = decision.label


def _find_fault(answer: Answer, place: str, desk: _Desk) -> Fault | None:
    """Return what is wrong with ``answer`` whatever anybody has said; None when it can stand."""
    if answer.sample_id not in desk.samples:
        return Fault("unknown sample", place, f"{answer.sample_id} is not in this dataset")
    if unknown := set(answer.after) - {one.id for one in desk.events[answer.sample_id]}:
        why = f"the page showed the decision {brief(min(unknown))}, which this log lacks: pull the log it was made from"
        return Fault("unknown decision", place, why)
    if answer.action == "merge":
        if answer.label not in desk.samples:
            return Fault("unknown sample", place, f"{brief(answer.label)} is to stay, but is not in this dataset")
        if answer.label == answer.sample_id:
            return Fault("bad value", place, f"{answer.label} cannot be merged into itself")
        return None
    said = answer.label if answer.action == "relabel" else answer.before if _keeps_label(answer) else None
    if said is not None and said not in desk.classes:
        return Fault("unknown class", place, f"{brief(said)} is none of {', '.join(desk.classes[:8])}")
    if answer.action != "relabel" and answer.label:
        return Fault("bad value", place, f"expected no label with {answer.action}, found {brief(answer.label)}")
    return None


def _keeps_label(answer: Answer) -> bool:
    """Return whether ``answer`` says that a label is right; `keep` of a dark picture says nothing of its label."""
    is_asked = answer.finding in LABEL_ISSUES or (answer.finding == CONFLICT and answer.before != "")
    return answer.action == "keep" and is_asked


def _decide(answer: Answer, desk: _Desk) -> Decision:
    row = desk.findings.get((answer.sample_id, answer.finding))
    label = answer.label if answer.action != "keep" else answer.before if _keeps_label(answer) else ""
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
        before=desk.labels.get(answer.sample_id, ""),
        score=None if row is None else row.score,
        detector=None if row is None else row.detector,
        answered=answer.time,
        after=answer.after,
    )


def _is_older(answer: Answer, earlier: Decision | None, desk: _Desk) -> bool:
    """Return whether the reviewer answered the same later, be it that it counts or not: an older file after a newer."""
    said = said_decisions(desk.events[answer.sample_id])
    words = [one for one in said if one is earlier or one.finding == answer.finding]
    return any(one.actor == answer.reviewer and _said_at(one) > answer.time for one in words)


def _mismatch(answer: Answer, earlier: Decision | None, desk: _Desk) -> str:
    """Return why ``answer`` is not about what is there now; '' when it is."""
    if earlier:  # the same moment twice: neither is the later one
        is_twice = earlier.actor == answer.reviewer and _said_at(earlier) == answer.time
        return f"{answer.reviewer} said {tell_word(earlier, {})} in the same moment" if is_twice else ""
    now = desk.labels.get(answer.sample_id, "")
    if answer.finding in (*LABEL_ISSUES, CONFLICT) and answer.before != now:
        return f"{answer.sample_id} was labelled {brief(answer.before)} on the page, and is {brief(now)} now"
    return ""


def _no_longer(answer: Answer, earlier: Decision | None, desk: _Desk) -> str:
    """Return why the audit does not ask any more what ``answer`` answers; '' when it does, or somebody has answered."""
    if answer.action == "merge" and desk.groups.get(answer.sample_id) != desk.groups.get(answer.label, ""):
        return f"{answer.sample_id} is no longer found to be a copy of {answer.label}"
    if not earlier and (answer.sample_id, answer.finding) not in desk.findings:
        return f"{answer.finding} is no longer found on {answer.sample_id}"
    return ""


def _said_at(decision: Decision) -> str:
    return decision.answered or decision.time


def _event(one: Decision) -> tuple[str | None, ...]:
    """Return what an answer is known by when its file comes again."""
    return one.sample_id, one.actor, one.answered, one.finding, one.action, one.label


def _refuse_lost_copies(desk: _Desk, events: Iterable[Decision]) -> None:
    """Take merges back whose keeper is left out in the end: merged into each other, two copies would both be gone."""
    if not any(one.action == "merge" for one in desk.made.values()):
        return
    folded = fold_decisions(weigh_log([*events, *desk.made.values()])[0])
    gone = set(folded.loc[folded["dropped"], "sample_id"])
    for place, one in list(desk.made.items()):
        if one.action == "merge" and place not in desk.contested and one.label in gone:
            desk.faults.append(Fault("conflict", place, f"{one.label} is to stay, but was dropped or merged itself"))
            del desk.made[place]


def _refusal(path: Path, desk: _Desk) -> str:
    made, bad = len(desk.made), len(desk.faults)
    others = f" ({made:,} other{'' if made == 1 else 's'} could be: `--skip-bad`)" if made else ""
    answers = f"{bad:,} answer{'' if bad == 1 else 's'}"
    return f"{path}: {answers} cannot be applied, so nothing was{others}.\n{describe_faults(desk.faults)}"
