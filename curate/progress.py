"""A progress bar with rate and time left, on stderr, silent when stderr is not a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

Row = TypeVar("Row")


def track(rows: Iterable[Row], total: int | None, label: str, unit: str = "images") -> Iterator[Row]:
    """Yield ``rows`` unchanged while a bar on stderr shows how many of ``total`` are done, the rate and the time left.

    A row that is a sized batch counts as its length.
    """
    if not sys.stderr.isatty():
        yield from rows
        return
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description:<12}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[rate]}"),
        progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[note]}"),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total, rate="", note="")
        for row in rows:
            yield row
            bar.advance(task, len(row) if hasattr(row, "__len__") and not isinstance(row, str) else 1)
            speed = bar.tasks[0].speed
            bar.update(task, rate=f"{speed:,.0f} {unit}/s" if speed else "")
