"""Takes answers given in the App, writes them to the log, and updates FiftyOne's copy.

The log comes first and FiftyOne's copy follows: whatever is killed in between, an answer that was acknowledged stands.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from curate.log.decision import Decision
from curate.log.decisions import current_user, read_log
from curate.review.answers.answering import Answered, Answering, stamp_of_file
from curate.review.answers.app_rows import Row, _shown, read_rows
from curate.review.answers.draft import Answer, Draft, State
from curate.review.answers.gallery import Page, find_page
from curate.review.answers.neighbours import Gallery
from curate.review.mirror.pull import Notify, take_edits_in
from curate.review.mirror.snapshot import journal_rows, mark, marked, read_journal, read_snapshot, writing
from curate.review.services.environment import load_fiftyone
from curate.review.services.running import running_reviews
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder, open_folder

REVIEWER = "CURATE_REVIEWER"  # who sits at this App; two Apps on one database may have two
END = "CURATE_REVIEW_END"  # the file that asks the review of this App to end


class Sitting:
    """One dataset folder under review in this process."""

    def __init__(self, dataset: DatasetFolder) -> None:
        self.dataset = dataset
        self.answering = Answering(dataset)
        self.gallery = Gallery()
        self._snapshot: dict[str, tuple[str, bool, bool]] = {}
        self._token = ""
        self._noted = 0  # bytes of the journal that are in the snapshot
        self._log: tuple[object, list[Decision]] = (None, [])
        self._asked: tuple[str, int] = ("", -1)
        self._shown: tuple[object, object] = (None, None)

    @property
    def events(self) -> list[Decision]:
        """Every line of the log, read again only when it changed."""
        stamp = stamp_of_file(self.dataset.decisions)
        if stamp != self._log[0]:
            self._log = (stamp, read_log(self.dataset.decisions))
        return self._log[1]

    def find_page(self, sample_id: str, chosen: int) -> Page:
        """Return what the panel shows; made once for the several times that the App asks for it."""
        asked = (sample_id, chosen)
        state = (self.events, self.answering.evidence)
        if asked != self._asked or any(one is not other for one, other in zip(state, self._shown, strict=True)):
            self._page = find_page(self, sample_id, chosen)
            self._asked, self._shown = asked, state
        return self._page

    def warm_up(self) -> None:
        """Read what the first answer and the first neighbours need, before somebody waits for it."""
        self.gallery.warm_up(self)

    def find_waiting(self) -> list[Any]:
        """Return the findings of all samples that wait for an answer."""
        return Draft(self.answering.evidence, self.events, "").open_everywhere()

    def answer(
        self,
        view: Any,
        ids: Sequence[str],
        answer: Answer,
        label: str = "",
        issue: str = "",
        reason: str = "",
        kept: Collection[str] = (),
    ) -> Answered:
        """Take one answer for the samples with FiftyOne's ``ids`` and bring FiftyOne's copy in line.

        Those of them in ``kept`` get the answer ``keep`` instead.

        Raises
        ------
        Problem
            When the answer, the class or a sample is unknown.
        """
        self.take_edits_in(view, ids)
        chosen = read_rows(view, "id", ids)
        if strangers := sum(not row.sample_id for row in chosen):
            raise Problem(f"{strangers} of the samples are not in the dataset's sources: they were added in the App.")
        sample_ids = [row.sample_id for row in chosen]
        rows = chosen + read_rows(view, "sample_id", self._copies(sample_ids))
        shown = {row.sample_id: list(row.open_issues) for row in rows}
        answered = self.answering.answer(
            sample_ids,
            answer,
            label=label,
            issue=issue,
            reason=reason,
            reviewer=reviewer_of(view),
            shown=shown,
            kept={row.sample_id for row in chosen if row.fiftyone_id in kept},
        )
        self._show(view, rows, answered.states)
        if marked(view).get("notice"):
            mark(view, notice="")  # it was read
        return answered

    def undo(self, view: Any) -> Answered:
        """Take the reviewer's last answer back, here and in FiftyOne's copy."""
        undone = self.answering.undo(reviewer_of(view))
        self._show(view, read_rows(view, "sample_id", list(undone.states)), undone.states)
        return undone

    def note(self, view: Any, ids: Sequence[str], text: str) -> Answered:
        """Give the reviewer's decisions on the samples a reason."""
        return self.answering.note([row.sample_id for row in read_rows(view, "id", ids)], text, reviewer_of(view))

    def _copies(self, sample_ids: Sequence[str]) -> list[str]:
        """Return the other copies in the groups of the samples."""
        evidence = self.answering.evidence
        groups = [evidence.members.get(evidence.group_of.get(one, ""), []) for one in sample_ids]
        return sorted({copy for group in groups for copy in group} - set(sample_ids))

    def take_edits_in(self, view: Any, ids: Sequence[str], notify: Notify = lambda _: None) -> list[Decision]:
        """Log what FiftyOne's own editor or tags changed on these samples, and on others if on one of them.

        What cannot stand is put back, told to ``notify`` and left where the panel shows it.
        """
        with writing(self.dataset, view.name):
            view.reload()
            self._read_snapshot(view)
            if all(self._snapshot.get(row.fiftyone_id, row.edit) == row.edit for row in read_rows(view, "id", ids)):
                return []
            snapshot = read_snapshot(self.dataset, view)  # anew: another App on this database may have written rows too
            if snapshot is None:
                return []  # pushed by another folder's cache: the next push starts anew
            told: list[str] = []
            spec = self.answering.evidence.spec
            taken = take_edits_in(self.dataset, spec, view, snapshot, editor_of(view), told.append)
            self._token = ""
            if told:
                mark(view, notice=" ".join(told[:3]))
        for sentence in told:
            notify(sentence)
        return taken

    def _read_snapshot(self, view: Any) -> None:
        token = marked(view).get("token", "")
        if token != self._token:
            snapshot = read_snapshot(self.dataset, view)
            table = pd.DataFrame() if snapshot is None else snapshot
            self._snapshot = {row.fiftyone_id: (row.label, row.drop, row.keep) for row in table.itertuples()}
            self._token, self._noted = token, 0
        # What another process, mostly the App's server, wrote since.
        noted, self._noted = read_journal(self.dataset, view.name, token, self._noted)
        self._snapshot |= {key: (row["label"], row["drop"], row["keep"]) for key, row in noted.items()}

    def show(self, view: Any, sample_ids: Sequence[str]) -> None:
        """Bring FiftyOne's copy of the samples and of their copies in line with the log as it is now."""
        draft = Draft(self.answering.evidence, self.events, "")
        states = draft.states(sample_ids)
        self._show(view, read_rows(view, "sample_id", list(states)), states)

    def _show(self, view: Any, rows: Iterable[Row], states: dict[str, State]) -> None:
        """Write labels, tags and open findings as they are now into FiftyOne's copy, where they differ."""
        with writing(self.dataset, view.name):
            self._write(view, {row: _shown(row, states[row.sample_id]) for row in rows if row.sample_id in states})

    def _write(self, view: Any, now: dict[Row, Row]) -> None:
        fo = load_fiftyone()
        changed = {row: wanted for row, wanted in now.items() if wanted != row}
        labels = {
            row.fiftyone_id: fo.Classification(label=wanted.label) if wanted.label else None
            for row, wanted in changed.items()
            if wanted.label != row.label
        }
        tags = {row.fiftyone_id: list(wanted.tags) for row, wanted in changed.items() if wanted.tags != row.tags}
        issues = {row.fiftyone_id: list(wanted.open_issues) for row, wanted in changed.items()}
        for name, values in (("label", labels), ("tags", tags), ("open_issues", issues)):
            if values:
                view.set_values(name, values, key_field="id", progress=False)
        if changed:
            self._snapshot |= {wanted.fiftyone_id: wanted.edit for wanted in changed.values()}
            names = ("label", "drop", "keep")
            rows_now = [
                {"fiftyone_id": one.fiftyone_id, **dict(zip(names, one.edit, strict=True))} for one in changed.values()
            ]
            journal_rows(self.dataset, view, rows_now)


def sitting_of(view: Any) -> Sitting:
    """Return the sitting of the FiftyOne dataset ``view``, one a folder in this process.

    Raises
    ------
    Problem
        When the dataset was not pushed by `curate review`, or its folder is gone.
    """
    folder = marked(view).get("folder", "") if view is not None else ""
    if not folder:
        raise Problem("Expected a dataset that `curate review` opened: this one has no decisions to write to.")
    if folder not in _sittings:
        _sittings[folder] = Sitting(open_folder(Path(folder)))
    return _sittings[folder]


_sittings: dict[str, Sitting] = {}


def is_ours(view: Any) -> bool:
    """Return whether the FiftyOne dataset ``view`` was pushed by `curate review`."""
    return view is not None and bool(marked(view).get("folder"))


def reviewer_of(view: Any) -> str:
    """Return who answers: the reviewer of this App, else whoever opened the dataset last, else the login name."""
    return os.environ.get(REVIEWER) or marked(view).get("reviewer") or current_user()


def editor_of(view: Any) -> str:
    """Return who edits in FiftyOne's own editor, which does not say: with several at work, it is one of them."""
    at_work = {one.reviewer for one in running_reviews() if one.name == view.name}
    return " or ".join(sorted(at_work | {reviewer_of(view)}))
