"""Recognises a file's format by its content, and lists the formats with their readers and writers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from curate.exchange.coco import read_coco
from curate.exchange.fiftyone_json import read_fiftyone
from curate.exchange.label_studio import read_tasks
from curate.exchange.lines import LABEL, read_csv, read_jsonl
from curate.exchange.rows import Row, parse_object
from curate.storage.files import Problem

READERS: dict[str, Callable[[str, Path], Iterator[Row]]] = {
    "csv": read_csv,
    "jsonl": read_jsonl,
    "labelstudio": read_tasks,
    "coco": read_coco,
    "fiftyone": read_fiftyone,
}
WRITTEN = {".csv": "csv", ".jsonl": "jsonl", ".json": "labelstudio"}


def detect_format(text: str, path: Path) -> str:
    """Return the format of ``text``, one of ``READERS``; ``path`` only names it in errors.

    >>> detect_format('[{"data": {}}]', Path("x")), detect_format("path,label\\n", Path("x"))
    ('labelstudio', 'csv')
    """
    start = text.lstrip()
    if start.startswith("["):
        return "labelstudio"
    if not start.startswith("{"):
        return "csv"
    try:
        tree = json.loads(start.split("\n", 1)[0])
    except (ValueError, RecursionError):
        tree = parse_object(text, path)
    keys = set(tree) if isinstance(tree, dict) else set()
    if keys & set(LABEL):
        return "jsonl"
    if {"images", "annotations"} <= keys:
        return "coco"
    if keys & {"samples", "labels"}:
        return "fiftyone"
    raise Problem(
        f"{path}: expected a format ({', '.join(READERS)}), but could not tell which: it is a JSON object "
        f"with {', '.join(sorted(keys))[:200] or 'no keys'}. Name it with --format."
    )


def written_format(path: Path, form: str = "") -> str:
    """Return the format to write: ``form``, or what the suffix of ``path`` says; a Problem when there is no such."""
    chosen = form or WRITTEN.get(path.suffix.lower(), "")
    if chosen not in WRITTEN.values():
        found = f"{form!r}" if form else f"the name {path.name!r}"
        known = ", ".join(f"{name} ({suffix})" for suffix, name in WRITTEN.items())
        raise Problem(f"Expected a format to write ({known}), found {found}. Name it with --format.")
    return chosen
