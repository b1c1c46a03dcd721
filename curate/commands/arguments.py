"""What the commands share: the dataset comes first and may be left out, and `--json` is on all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from curate.dataset import DatasetFolder, open_dataset
from curate.files import Problem

Dataset = Annotated[Path, typer.Argument(metavar="[DATASET]", help="The folder of dataset.yaml.", show_default="here")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Parallel readers; the result is the same for any number.")]


def dataset_first(words: list[str], names: str) -> tuple[DatasetFolder, list[str]]:
    """Return the dataset and the other words of ``[DATASET] <names>``; with one word less, the dataset is here.

    Raises
    ------
    Problem
        When there are too few or too many words.
    """
    expected = len(names.split())
    if len(words) not in (expected, expected + 1):
        raise Problem(f"Expected [DATASET] {names}, found {len(words)} words: {' '.join(words) or 'none'}.")
    path = words[0] if len(words) > expected else "."
    return open_dataset(path), words[len(words) - expected :]


def dataset_maybe(words: list[str]) -> tuple[DatasetFolder, list[str]]:
    """Return the dataset and the other words, however many: the first is the dataset if it holds a dataset.yaml."""
    if words and (Path(words[0]) / "dataset.yaml").is_file():
        return open_dataset(words[0]), words[1:]
    return open_dataset("."), words
