"""The file of answers that an offline page writes: JSON lines, checked one by one as untrusted input."""

from __future__ import annotations

import unicodedata
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from curate.exchange.check import Fault
from curate.exchange.rows import brief, parse_json, read_text
from curate.log.decision import CONFLICT, LABEL_ISSUES
from curate.log.events import utc_time
from curate.storage.files import Problem

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

    @property
    def keeps_label(self) -> bool:
        """Whether a label is said to be right; `keep` of a dark picture says nothing of its label."""
        is_asked = self.finding in LABEL_ISSUES or (self.finding == CONFLICT and self.before != "")
        return self.action == "keep" and is_asked


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
