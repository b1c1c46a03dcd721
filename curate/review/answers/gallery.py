"""Collects what a reviewer sees of one sample: its findings in words, its copies or most similar images."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from curate.audit.ledger import expected_errors
from curate.images.thumbnails import read_thumbnails
from curate.log.conflicts import weigh_log
from curate.log.decision import ACTIONS, Decision
from curate.log.outcomes import fold_sample
from curate.review.answers.neighbours import Reviewed
from curate.storage.files import Problem

SHOWN = 6  # pictures beside the sample


@dataclass(frozen=True)
class Likeness:
    """A picture beside the sample; `picture` is a data URI."""

    sample_id: str
    caption: str
    picture: str


@dataclass(frozen=True)
class Page:
    """The texts (Markdown) and pictures of the panel; without a sample only what is true of all."""

    head: str
    definitions: str
    progress: str
    classes: list[str]
    notice: str = ""
    sample_id: str = ""
    findings: str = ""
    suggestion: str = ""
    is_dropped: bool = False
    is_copy: bool = False
    likeness_title: str = ""
    likenesses: list[Likeness] = field(default_factory=list)


def find_page(sitting: Reviewed, sample_id: str, chosen: int) -> Page:
    """Return what the panel shows of a sample ('' for none); ``chosen`` is how many an answer would be for."""
    evidence = sitting.answering.evidence
    events = sitting.events
    decisions, _ = weigh_log(events)
    page = Page(
        head="Open a sample or select some: what was found of it appears here.",
        definitions=_definitions(evidence.spec.classes),
        progress=tell_progress(sitting),
        classes=evidence.spec.class_names,
    )
    if sample_id not in evidence.path:
        return page
    said = [one for one in decisions if one.sample_id == sample_id]
    folded = fold_sample(said)
    answered = {one.finding for one in said}
    waiting = sitting.answering.open_rows(sample_id, events)
    rows = evidence.findings.get(sample_id, [])
    rows = [*(row for row in waiting if row not in rows), *rows]  # a conflict comes from the log, not from the audit
    title, likenesses = _likenesses(sitting, sample_id, decisions)
    more = f" and {chosen - 1:,} more" if chosen > 1 else ""
    return Page(
        head=f"**{_code(evidence.path[sample_id])}**{more}\n\n{_state(evidence.given[sample_id], folded, said)}",
        definitions=page.definitions,
        progress=page.progress,
        classes=page.classes,
        sample_id=sample_id,
        findings="\n".join(_finding(row, row in waiting, row.issue in answered) for row in rows),
        suggestion=_suggestion(waiting, chosen),
        is_dropped=folded.dropped,
        is_copy=bool(evidence.group_of.get(sample_id)),
        likeness_title=title,
        likenesses=likenesses,
    )


def tell_progress(sitting: Reviewed) -> str:
    """Return how much of the label errors is answered and may be real among the rest, and what else waits."""
    evidence = sitting.answering.evidence
    if not evidence.audited:
        return "Nothing was audited yet."
    found = [row for rows in evidence.findings.values() for row in rows]
    waiting = sitting.find_waiting()
    errors = [row for row in waiting if row.issue == "label_error"]
    total = sum(row.issue == "label_error" for row in found)
    told = [f"**{total - len(errors):,} of {total:,} label errors answered.**"] if total else []
    if errors:
        rows = expected_errors(pd.DataFrame(errors), weigh_log(sitting.events)[0], tops=(len(errors),))
        told.append("About {expected:.0f} of the rest are real ({low:.0f} to {high:.0f}).".format(**rows.iloc[0]))
    others = Counter(row.issue for row in waiting if row.issue != "label_error")
    if others:
        counts = ", ".join(f"{_plain(issue)} {count:,}" for issue, count in sorted(others.items()))
        told.append(f"{'Waiting besides' if told else 'Waiting'}: {counts}.")
    return " ".join(told) or "Nothing was found."


def _likenesses(sitting: Reviewed, sample_id: str, decisions: Sequence[Decision]) -> tuple[str, list[Likeness]]:
    """Return the copies of the sample if it has any, else its nearest neighbours, with their labels as they are now."""
    evidence = sitting.answering.evidence
    copies = evidence.members.get(evidence.group_of.get(sample_id, ""), [])
    if copies:
        title, near = "Its group of copies", [(one, float("nan")) for one in copies[:SHOWN]]
    else:
        title, near = "Most like it", sitting.gallery.nearest(sitting, sample_id, SHOWN)
    names = {one for one, _ in near}
    said: dict[str, list[Decision]] = {one: [] for one in names}
    for decision in decisions:
        if decision.sample_id in said:
            said[decision.sample_id].append(decision)
    folded = {one: fold_sample(mine) for one, mine in said.items()}
    pictures = _pictures(sitting, sorted(names))
    return title, [
        Likeness(one, _caption(sitting, one, sample_id, likeness, folded[one]), pictures[one])
        for one, likeness in near
        if one in pictures
    ]


def _caption(sitting: Reviewed, sample_id: str, shown: str, likeness: float, folded: Any) -> str:
    evidence = sitting.answering.evidence
    given = evidence.given[sample_id]
    label = folded.label or given or "no label"
    if sample_id not in evidence.members.get(evidence.group_of.get(shown, ""), []):
        # What was decided on its neighbours is what may have changed a model's mind.
        was = f"was {given}" if given not in ("", label) else ""
        return ", ".join(filter(None, [label, was, "left out" if folded.dropped else "", f"{likeness:.2f}"]))
    row = evidence.samples.loc[sample_id]
    keeper = evidence.keepers.get(sample_id) == sample_id
    parts = [label, f"{row['width']} × {row['height']}", "this one" if sample_id == shown else ""]
    return ", ".join(filter(None, [*parts, "best" if keeper else "", "left out" if folded.dropped else ""]))


def _pictures(sitting: Reviewed, sample_ids: list[str]) -> dict[str, str]:
    """Return a data URI a sample; none where the cache of thumbnails was deleted."""
    try:
        found = read_thumbnails(sitting.dataset, sample_ids)
    except Problem:
        return {}
    return {
        one: f"data:image/{_kind(content)};base64,{base64.b64encode(content).decode()}"
        for one, content in found.items()
    }


def _kind(content: bytes) -> str:
    return "png" if content.startswith(b"\x89PNG") else "jpeg"


def _state(given: str, folded: Any, said: Sequence[Decision]) -> str:
    label = folded.label or given
    words = [f"Given **{given or 'no label'}**"]
    words += [f"decided **{label}**"] if label != given else []
    words += ["**left out**"] if folded.dropped else []
    words += [f"last said by {said[-1].actor}: {said[-1].action}"] if said else []
    return ", ".join(words) + "."


def _finding(row: Any, is_open: bool, is_answered: bool) -> str:
    """One finding as a list item; what is answered is struck out."""
    suggests = f"; suggests **{_suggests(row)}**" if row.suggested_action in ACTIONS else ""
    told = f"{row.issue} {row.score:.2f}{suggests}"
    told = f"**{row.issue}** {row.score:.2f}{suggests}: {_plain(row.evidence)}" if is_open else f"~~{told}~~ answered"
    return f"- {told}" if is_open or is_answered else f"- ~~{row.issue}~~ settled"


def _suggests(row: Any) -> str:
    return row.suggested_label if row.suggested_action == "relabel" else row.suggested_action


def _suggestion(waiting: Sequence[Any], chosen: int) -> str:
    """Return the words on the button that accepts; '' where nothing is suggested."""
    row = next((one for one in waiting if one.suggested_action in ACTIONS), None)
    if row is None:
        return ""
    return f"Accept all {chosen:,}" if chosen > 1 else f"Accept: {_suggests(row)}"


def _definitions(classes: dict[str, str]) -> str:
    return "\n".join(f"{place}. **{name}** {_plain(text)}" for place, (name, text) in enumerate(classes.items(), 1))


def _code(text: str) -> str:
    return f"`{text.replace('`', chr(39))}`"


def _plain(text: str) -> str:
    """Evidence and definitions hold names of files: none of their characters is to mean something in Markdown."""
    return "".join(f"\\{one}" if one in "\\`*_{}[]()#+-.!|<>~" else one for one in " ".join(text.split()))
