"""Shows a progress bar with rate and time left on stderr; silent when stderr is not a terminal."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich import progress

Row = TypeVar("Row")


def track(rows: Iterable[Row], total: int | None, label: str, unit: str = "images") -> Iterator[Row]:
    """Yield ``rows`` unchanged while a bar on stderr shows how many of ``total`` are done, the rate and the time left.

    A row that is a sized batch counts as its length.
    """
    if not sys.stderr.isatty():
        yield from rows
        return
    with _bar() as bar:
        task = bar.add_task(label, total=total, rate="", note="")
        for row in rows:
            yield row
            bar.advance(task, len(row) if hasattr(row, "__len__") and not isinstance(row, str) else 1)
            speed = bar.tasks[0].speed
            bar.update(task, rate=f"{speed:,.0f} {unit}/s" if speed else "")


@contextlib.contextmanager
def counting(left: Callable[[], int], label: str, unit: str) -> Iterator[Callable[[], None]]:
    """Yield a function to call when some are done, for work whose pace is a person's; ``left`` says how many are.

    Nothing is counted where nobody looks.
    """
    if not sys.stderr.isatty():
        yield lambda: None
        return
    asked = left()
    with _bar() as bar:
        task = bar.add_task(label, total=asked, rate="", note="")
        start = time.monotonic()

        def tell() -> None:
            done, minutes = max(0, asked - left()), (time.monotonic() - start) / 60
            bar.update(task, completed=done, rate=f"{done / minutes:,.0f} {unit}/min" if done else "")

        yield tell


def _bar() -> progress.Progress:
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
    return progress.Progress(*columns, console=Console(stderr=True), transient=True)
