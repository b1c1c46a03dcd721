"""Records open reviews: one small file each beside the database, locked while the process lives.

So a second `curate review` finds the App that is open already, the button in the App and `curate review --close` can
end a review of another process, and what a killed one left behind is told from one that runs.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from curate.review.services.database import database_folder
from curate.storage.files import Problem, lock_file

FOLDER = "specurate-reviews"
CLOSING = 60  # seconds that a review may take to end: its last edits are taken in


@dataclass(frozen=True)
class Running:
    """A review that is open: whose, of which folder (`name` in FiftyOne), and where its App is."""

    name: str
    folder: str
    reviewer: str
    port: int
    url: str
    pid: int

    @property
    def file(self) -> Path:
        return _folder() / f"{self.pid}-{self.port}.json"

    @property
    def end(self) -> Path:
        """The file that asks the review to end."""
        return self.file.with_suffix(".end")


@contextlib.contextmanager
def registered(review: Running) -> Iterator[None]:
    """Let others know of ``review`` until the block ends, or this process does."""
    review.file.parent.mkdir(parents=True, exist_ok=True)
    review.end.unlink(missing_ok=True)
    making = review.file.with_suffix(".tmp")
    with making.open("w", encoding="utf-8") as file:
        lock_file(file)  # before it has its name, so that nobody takes it for a dead one's
        json.dump(asdict(review), file)
        file.flush()
        making.replace(review.file)
        try:
            yield
        finally:
            review.file.unlink(missing_ok=True)
            review.end.unlink(missing_ok=True)


def running_reviews() -> list[Running]:
    """Return the reviews that are open, and forget those whose process is gone."""
    found = []
    for path in sorted(_folder().glob("*.json")):
        with contextlib.suppress(FileNotFoundError), path.open(encoding="utf-8") as file:
            try:
                lock_file(file, wait=False)
            except BlockingIOError:
                found.append(Running(**json.loads(file.read())))
            else:
                path.unlink(missing_ok=True)
                path.with_suffix(".end").unlink(missing_ok=True)
    return found


def ask_to_end(review: Running) -> None:
    """Ask ``review`` to end in good order; it looks for that every second."""
    review.end.touch()


def wait_for_end(reviews: list[Running], seconds: float = CLOSING) -> None:
    """Return when ``reviews`` have ended.

    Raises
    ------
    Problem
        When one has not within ``seconds``; the sentence names its process.
    """
    deadline = time.monotonic() + seconds
    while left := [one for one in running_reviews() if one in reviews]:
        if time.monotonic() > deadline:
            raise Problem(
                f"Expected the review at {left[0].url} to end within {seconds:g} seconds, but process {left[0].pid} "
                "still runs. Press Ctrl-C where it was started, or end that process."
            )
        time.sleep(0.1)


def _folder() -> Path:
    return database_folder() / FOLDER
