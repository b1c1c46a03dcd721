"""Prints results: tables for people, or one JSON object for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from curate.storage.terminal import printable
from curate.storage.terminal import warn as warn


def print_json(value: Any) -> None:
    """Write ``value`` as JSON to standard output."""
    sys.stdout.write(json.dumps(_without_nan(value), ensure_ascii=False, indent=2, default=_plain) + "\n")


def print_table(rows: Sequence[Mapping[str, Any]], title: str = "", columns: Sequence[str] | None = None) -> None:
    """Write ``rows`` as a table; numbers to the right, long text folded, nothing in it read as markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        say(title or "nothing")
        return
    names = list(columns or rows[0])
    table = Table(title=Text(title) if title else None, title_justify="left", title_style="bold")
    for name in names:
        numeric = all(isinstance(row.get(name), int | float) and not isinstance(row[name], bool) for row in rows)
        table.add_column(name.replace("_", " "), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(shown(row.get(name))) for name in names))
    Console().print(table)


def print_entries(rows: Sequence[Mapping[str, Any]], title: str, below: str) -> None:
    """Write ``rows`` in aligned columns, and under each row its sentence: a narrow column would chop it."""
    import shutil
    import textwrap

    from rich.cells import cell_len

    say(title)
    names = [name for name in rows[0] if name != below] if rows else []
    cells = [names, *([shown(row[name]) for name in names] for row in rows)]
    widths = [max(cell_len(line[place]) for line in cells) for place in range(len(names))]
    width = max(40, shutil.get_terminal_size().columns)
    sentences = ["", *(shown(row[below]) for row in rows)]
    for line, sentence in zip(cells if rows else [], sentences, strict=False):
        padded = (cell + " " * (size - cell_len(cell)) for cell, size in zip(line, widths, strict=True))
        say("  ".join(padded).rstrip())
        if sentence:
            say(textwrap.fill(sentence, width, initial_indent="    ", subsequent_indent="    "))


def say(text: str) -> None:
    """Write a line for a person to standard output, without escape sequences from file names."""
    sys.stdout.write(printable(text) + "\n")


def shown(value: Any) -> str:
    """Return a cell's text: floats with three digits, nothing as an empty cell.

    >>> shown(0.12345), shown(None), shown(float("nan")), shown(1200)
    ('0.123', '', '', '1,200')
    """
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else printable(str(value))


def counted(number: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "vote"), counted(1200, "vote")
    ('1 vote', '1,200 votes')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _without_nan(value: Any) -> Any:
    """Return ``value`` with null for what is no number: JSON has no NaN, and strict readers refuse it."""
    if isinstance(value, Mapping):
        return {key: _without_nan(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(child) for child in value]
    is_number = hasattr(value, "item") or isinstance(value, float)
    return None if is_number and value != value else value


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)
