"""Shows the progress of a training."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from train.network.fit import Progress, Tell


@contextmanager
def show_epochs(label: str, epochs: int) -> Iterator[Tell]:
    """Yield what ``fit_network`` calls after each epoch: a bar on stderr, silent when stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield lambda progress: None
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description:<12}"),
        bars.BarColumn(),
        bars.TextColumn("epoch {task.completed:.0f}/{task.total:.0f}"),
        bars.TextColumn("{task.fields[note]}"),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=epochs, note="")
        yield lambda progress: bar.update(task, completed=progress.epochs, note=_describe_epoch(progress))


def _describe_epoch(progress: Progress) -> str:
    last = progress.history[-1]
    accuracy = f"  val accuracy {last['val_accuracy']:.3f}" if "val_accuracy" in last else ""
    return f"loss {last['train_loss']:.3f}{accuracy}"
