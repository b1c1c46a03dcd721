"""Reads and writes votes as CSV or JSONL, one vote a line.

Columns (or keys) read: ``sample_id``, ``path``, ``file`` or ``image`` for the image; ``label`` (or ``choice``);
``voter`` (a full name as `csv:ann`) or ``annotator`` (a person's, to which the format is added); ``share`` (or
``probability``); ``time`` (or ``created_at``). Written: ``sample_id,path,label,voter,share,time``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from curate.exchange.rows import Row, parse_json, text_of
from curate.storage.files import Problem
from curate.versions.export import FORMULA

COLUMNS = ["sample_id", "path", "label", "voter", "share", "time"]
IMAGE = ("sample_id", "path", "file", "image")
LABEL = ("label", "choice")
SHARE = ("share", "probability")
TIME = ("time", "created_at")
ESCAPED = (*FORMULA, "'")


def read_csv(text: str, path: Path) -> Iterator[Row]:
    """Yield a row for each line of a CSV; separated by commas, semicolons or tabs, as the header is."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=_delimiter(text))
    try:
        header = [name.strip() for name in next(reader)]
        _expect_columns(header, path)
        for cells in reader:
            place = f"{path}:{reader.line_num}"
            if len(cells) not in (0, len(header)):
                yield Row(place, fault=f"expected {len(header)} fields as in the header, found {len(cells)}")
            elif cells:
                yield _row(place, dict(zip(header, map(unescape_cell, cells), strict=True)), "csv")
    except csv.Error as error:
        raise Problem(f"{path}:{reader.line_num}: expected CSV, but {error}. Save it again as CSV UTF-8.") from None


def read_jsonl(text: str, path: Path) -> Iterator[Row]:
    """Yield a row for each line of JSON."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _json_row(line, path, number)


def _json_row(line: str, path: Path, number: int) -> Row:
    place = f"{path}:{number}"
    try:
        value = parse_json(line, path, number)
    except Problem as problem:
        return Row(place, fault=str(problem).removeprefix(f"{place}: "))
    return _row(place, value, "jsonl") if isinstance(value, dict) else Row(place, fault="expected a JSON object")


def _delimiter(text: str) -> str:
    header = text.split("\n", 1)[0]
    return max(",;\t", key=header.count)


def _expect_columns(header: list[str], path: Path) -> None:
    if not set(IMAGE) & set(header) or not set(LABEL) & set(header):
        raise Problem(
            f"{path}:1: expected the columns label and one of {', '.join(IMAGE)} "
            f"[and annotator, share, time], found {', '.join(header)[:200]}."
        )
    if repeated := [name for name in dict.fromkeys(header) if name and header.count(name) > 1]:
        raise Problem(f"{path}:1: expected each column once, but there are two called {repeated[0][:40]!r}.")


def _row(place: str, cells: Mapping[str, Any], form: str) -> Row:
    label, annotator = text_of(_first(cells, LABEL)), text_of(cells.get("annotator"))
    return Row(
        place,
        images=tuple(filter(None, (text_of(cells.get(name)) for name in IMAGE))),
        label=label,
        voter=text_of(cells.get("voter")) or (f"{form}:{annotator}" if annotator else ""),
        share=_first(cells, SHARE),
        time=_first(cells, TIME),
        left_out="" if label else "without a label",
    )


def _first(cells: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((cells[name] for name in names if cells.get(name) not in (None, "")), None)


def escape_cell(text: str) -> str:
    """Return ``text`` as a spreadsheet may read it: never as a formula, and so that `unescape_cell` gives it back.

    >>> escape_cell("=1+1"), unescape_cell("'=1+1"), unescape_cell("'tis")
    ("'=1+1", '=1+1', "'tis")
    """
    return f"'{text}" if text.startswith(ESCAPED) else text


def unescape_cell(text: str) -> str:
    """Return ``text`` without the apostrophe that keeps a spreadsheet from running it."""
    return text[1:] if text.startswith("'") and text[1:].startswith(ESCAPED) else text


def write_csv(votes: pd.DataFrame) -> str:
    """Return ``votes`` (columns ``COLUMNS``) as CSV."""
    texts = {name: votes[name].map(escape_cell) for name in COLUMNS if name != "share"}
    return str(votes.assign(**texts)[COLUMNS].to_csv(index=False, lineterminator="\n"))


def write_jsonl(votes: pd.DataFrame) -> str:
    """Return ``votes`` (columns ``COLUMNS``) as one JSON object a line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in votes[COLUMNS].to_dict("records"))
