"""What happens while the App is open besides answers: edits by FiftyOne's own editor, and what others add to the log.

Both are looked for once a second. Edits are found by the time that FiftyOne stamps on a sample, held against what was
last written there, and logged; new lines of the log, from a second reviewer, a command or `git pull`, are shown.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from curate.dataset import DatasetFolder
from curate.decisions import Decision
from curate.log import read_events
from curate.review.pull import Notify
from curate.review.sitting import Sitting

MARGIN = timedelta(seconds=2)  # that a sample's stamp may be older than the write that put it there


class Watch:
    """What was known of one FiftyOne dataset and of its log at the last look."""

    def __init__(self, dataset: DatasetFolder, view: Any, notify: Notify) -> None:
        self.dataset, self.view, self.notify = dataset, view, notify
        self.sitting = Sitting(dataset)
        self._looked = datetime.now(timezone.utc)
        self._stamp: object = None
        self._events = self._read_log()

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
        stamp = self._stamp
        events = self._read_log()
        if self._stamp == stamp:
            return False
        new = [events.get(one) or self._events[one] for one in events.keys() ^ self._events.keys()]
        self._events = events
        known = self.sitting.answering.evidence.path
        self.sitting.show(self.view, list(dict.fromkeys(one.sample_id for one in new if one.sample_id in known)))
        return True

    def _read_log(self) -> dict[object, Decision]:
        """Return every line of the log by its id; what was read before, when the file is as it was."""
        log = self.dataset.decisions
        stamp = (log.stat().st_mtime_ns, log.stat().st_size) if log.is_file() else None
        if stamp == self._stamp:
            return self._events if stamp else {}
        events: dict[object, Decision] = {}
        for number, one in read_events(log, Decision).items():
            events[one.id or number] = one
        self._stamp = stamp
        return events
