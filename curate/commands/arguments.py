"""Arguments that commands share: the dataset comes first and may be omitted; every command takes `--json`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from curate.api.dataset import Dataset, open_dataset
from curate.storage.files import Problem

DatasetPath = Annotated[
    Path, typer.Argument(metavar="DATASET", help="The folder of dataset.yaml.", show_default="here")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
NoDeps = Annotated[
    bool, typer.Option("--no-deps", help="Do not scan or audit first where files changed or something is missing.")
]
Workers = Annotated[int | None, typer.Option(min=1, help="Parallel readers; the result is the same for any number.")]


def expect_device(name: str) -> None:
    """Refuse a device that is not there at once: a model that is already trained would not ask for it.

    Raises
    ------
    Problem
        When it is neither ``auto`` nor a device of this machine.
    """
    if name != "auto":
        from train.network.device import choose_device

        choose_device(name)


def dataset_first(words: list[str], names: str, no_deps: bool = False) -> tuple[Dataset, list[str]]:
    """Return the dataset and the other words of ``[DATASET] <names>``; with one word less, the dataset is here.

    Raises
    ------
    Problem
        When there are too few or too many words.
    """
    expected = len(names.split())
    is_short = len(words) == expected and _holds_dataset(words[0])
    if is_short or len(words) not in (expected, expected + 1):
        raise Problem(f"Expected [DATASET] {names}, found {' '.join(words) or 'nothing'}.")
    if len(words) > expected:
        return open_dataset(words[0], not no_deps), words[1:]
    return _open_here(f"[DATASET] {names}", words, no_deps), words


def dataset_maybe(words: list[str], no_deps: bool = False) -> tuple[Dataset, list[str]]:
    """Return the dataset and the other words, however many: the first is the dataset if it holds a dataset.yaml."""
    if words and _holds_dataset(words[0]):
        return open_dataset(words[0], not no_deps), words[1:]
    if len(words) == 1 and Path(words[0]).is_dir():
        return open_dataset(words[0], not no_deps), []  # says that no dataset.yaml is there
    return _open_here("a dataset folder first", words, no_deps), words


def _holds_dataset(word: str) -> bool:
    return (Path(word) / "dataset.yaml").is_file()


def _open_here(expected: str, words: list[str], no_deps: bool) -> Dataset:
    """Return the dataset in the working folder; where there is none, the first word was meant to name one."""
    if words and not _holds_dataset("."):
        raise Problem(
            f"Expected {expected}, but neither {words[0]} nor the folder you are in holds a dataset.yaml. "
            "Name the folder of the dataset."
        )
    return open_dataset(".", not no_deps)
