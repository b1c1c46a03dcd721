"""Append-only logs of JSON lines: the shared part of decisions.jsonl and votes.jsonl.

A line is an event. Lines are only ever added, under a lock and flushed to the disk; half a line at the end is a write
that was cut off and was never acknowledged, and is passed over.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import IO, TypeVar

from pydantic import BaseModel, ValidationError

from curate.storage.files import Problem, lock_file

Event = TypeVar("Event", bound=BaseModel)
GIT_MARKS = (b"<<<<<<<", b"|||||||", b"=======", b">>>>>>>")


def read_events(path: Path, kind: type[Event]) -> dict[int, Event]:
    """Return the events in ``path`` by line number, counted from 1; none when there is no file.

    A byte-order mark and Windows's line ends, which editors leave, are read past.

    Raises
    ------
    Problem
        When a line is no event of that ``kind``, or a conflict marker of git's; the sentence names file and line.
    """
    if not path.is_file():
        return {}
    # As bytes: a line that is no UTF-8 is told by its number, too.
    *lines, last = path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n")
    lines += [last] if _is_whole(last, kind) else []
    return {number: _parse(line, path, number, kind) for number, line in enumerate(lines, 1) if line.strip()}


def append_events(path: Path, kind: type[Event], compose: Callable[[dict[int, Event]], list[Event]]) -> list[Event]:
    """Add to the log what ``compose`` makes of the events that it holds, and return that; on disk when this returns.

    Safe against other writers: the file is locked while it is read for the last time and appended to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as log:
        lock_file(log)
        _end_last_line(log, kind)
        new = compose(read_events(path, kind))
        start = log.seek(0, os.SEEK_END)
        try:
            log.write("".join(event.model_dump_json(exclude_none=True) + "\n" for event in new).encode())
            log.flush()
            os.fsync(log.fileno())
        except OSError:
            log.truncate(start)  # a full disk: all of them or none
            raise
    return new


def rising_times(count: int, latest: str) -> list[str]:
    """Return ``count`` times from now on, later than ``latest`` ('' for none), in UTC with microseconds.

    Times rise within a log even if the clock was set back, so that sorting by time is the order of writing. Those of
    one write follow each other by a microsecond, and no other does: so the log tells what was said at once.

    Raises
    ------
    Problem
        When ``latest`` is not a time that another can follow.
    """
    now = datetime.now(timezone.utc)
    if latest:
        try:
            now = max(now, datetime.fromisoformat(latest) + timedelta(microseconds=2))
        except (ValueError, TypeError, OverflowError):
            raise Problem(f"Expected times in UTC as in {now.isoformat()}, but the log holds {latest!r}.") from None
    return [(now + timedelta(microseconds=place)).isoformat(timespec="microseconds") for place in range(count)]


def _parse(line: bytes, path: Path, number: int, kind: type[Event]) -> Event:
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        if line.startswith(GIT_MARKS):
            raise Problem(
                f"{path}:{number}: git left a conflict marker here. Both sides belong to the log: take out the lines "
                f"that begin with <<<<<<<, |||||||, ======= and >>>>>>>, and no others. With the line `{path.name} "
                "merge=union` in .gitattributes git merges logs by itself."
            ) from None
        fault = error.errors()[0]
        key = ".".join(map(str, fault["loc"])) or "line"
        raise Problem(
            f"{path}:{number}: expected a {kind.__name__.lower()}, but {key}: {fault['msg']}. "
            "Mend the line or take it out."
        ) from None


def _is_whole(line: bytes, kind: type[BaseModel]) -> bool:
    """Return whether ``line`` is an event: an editor may have saved the last one without its newline."""
    with contextlib.suppress(ValidationError):
        return bool(kind.model_validate_json(line.removeprefix(codecs.BOM_UTF8)))
    return False


def _end_last_line(log: IO[bytes], kind: type[BaseModel]) -> None:
    """Remove half a line of a writer that was killed; end a whole one that lacks its newline."""
    log.seek(0)
    content = log.read()
    whole = content.rfind(b"\n") + 1
    if _is_whole(content[whole:], kind):
        log.write(b"\n")
        log.flush()
    elif whole != len(content):
        log.truncate(whole)


OURS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", re.ASCII)


def utc_time(text: str) -> str:
    """Return an ISO 8601 time in UTC with microseconds; ValueError when it is none.

    >>> utc_time("2026-05-01T10:00:00Z")
    '2026-05-01T10:00:00.000000+00:00'
    """
    try:
        time = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))  # Python 3.10 knows no Z
        if OURS.fullmatch(text):
            return text  # most of a log, and a third of the time that reading it takes
        aware = time if time.tzinfo else time.replace(tzinfo=timezone.utc)
        return aware.astimezone(timezone.utc).isoformat(timespec="microseconds")
    except (ValueError, OverflowError):
        raise ValueError(f"expected a time as in 2026-05-01T10:00:00Z, found {text[:40]!r}") from None
