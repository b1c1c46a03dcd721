"""Watches the App while it is open: edits by FiftyOne's own editor, and new lines of the log by others.

Both are looked for once a second. Edits are found by the time that FiftyOne stamps on a sample, held against what was
last written there, and logged; new lines of the log, from a second reviewer, a command or `git pull`, are shown.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from curate.log.decision import Decision
from curate.review.answers.sitting import Sitting
from curate.review.mirror.pull import Notify
from curate.storage.folder import DatasetFolder

MARGIN = timedelta(seconds=2)  # that a sample's stamp may be older than the write that put it there


class Watch:
    """What was known of one FiftyOne dataset and of its log at the last look."""

    def __init__(self, dataset: DatasetFolder, view: Any, notify: Notify) -> None:
        self.dataset, self.view, self.notify = dataset, view, notify
        self.sitting = Sitting(dataset)
        self._looked = datetime.now(timezone.utc)
        self._events = self.sitting.events

    def look(self) -> bool:
        """Log new edits, show what is new in the log, and return whether there was anything.

        Raises
        ------
        Problem
            When a line of the log is no decision, as after a merge that left its marks.
        """
        return bool(self._take_edits_in()) | self._show_news()

    def _take_edits_in(self) -> list[Decision]:
        since, self._looked = self._looked - MARGIN, datetime.now(timezone.utc)
        touched = self.view.mongo([{"$match": {"last_modified_at": {"$gt": since}}}]).values("id")
        return self.sitting.take_edits_in(self.view, touched, self.notify) if touched else []

    def _show_news(self) -> bool:
        before, self._events = self._events, self.sitting.events
        if self._events is before:
            return False
        old, now = _by_id(before), _by_id(self._events)
        known = self.sitting.answering.evidence.path
        changed = [(now.get(one) or old[one]).sample_id for one in old.keys() ^ now.keys()]
        self.sitting.show(self.view, [one for one in dict.fromkeys(changed) if one in known])
        return True


def _by_id(events: list[Decision]) -> dict[object, Decision]:
    """Return the lines of a log by what tells them apart; one written by hand may have no id."""
    return {one.id or place: one for place, one in enumerate(events)}
