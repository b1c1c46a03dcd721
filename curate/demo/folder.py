"""Writes the demo to disk: class folders of drawings, a stray note, and ``truth.csv``, which lists the faults."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from curate.demo.faults import encode_planted
from curate.demo.plan import Planted, plan_demo
from curate.demo.scene import SPECIES
from curate.storage.files import Problem
from curate.storage.progress import track

TRUTH_COLUMNS = ["path", "given_label", "true_label", "fault", "detail", "of"]
PARTIAL = ".demo.partial"
NOTE = "These images are drawings, made by `curate demo`. truth.csv says which faults were planted in them.\n"


def write_demo(
    folder: Path, samples: int = 1200, seed: int = 0, progress: Callable[..., Iterable[Planted]] = track
) -> pd.DataFrame:
    """Draw the demo into ``folder`` and return its truth, one row a file, sorted by path.

    The images lie in ``folder/images/cat`` and ``folder/images/dog``, beside a ``notes.txt`` that is no sample; the
    truth is also in ``folder/truth.csv``. The same ``samples`` and ``seed`` give the same bytes. ``progress`` wraps
    the planned files as ``curate.storage.progress.track`` does. A run that was interrupted can be started again.

    Raises
    ------
    Problem
        When ``folder`` is not empty or cannot be written, or ``samples`` is below 40.
    """
    planned = plan_demo(samples, seed)
    partial = _empty_partial(folder)
    try:
        write_files(planned, partial / "images", seed, progress)
        truth = truth_table(planned)
        truth.to_csv(partial / "truth.csv", index=False)
        for name in ("truth.csv", "images"):
            (partial / name).replace(folder / name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return truth


def truth_table(planned: Iterable[Planted]) -> pd.DataFrame:
    """Return the planned files with the columns of ``truth.csv``, sorted by path."""
    table = pd.DataFrame([asdict(row) for row in planned], columns=TRUTH_COLUMNS)
    return table.sort_values("path", ignore_index=True)


def read_truth(path: Path) -> pd.DataFrame:
    """Return the ``truth.csv`` at ``path``; empty cells are empty strings."""
    if not path.is_file():
        raise Problem(
            f"Expected the demo's truth at {path}, but it is not there. Draw the demo again: curate demo DIR."
        )
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def write_files(
    planned: list[Planted], images: Path, seed: int, progress: Callable[..., Iterable[Planted]] = track
) -> None:
    """Draw the ``planned`` files into the class folders of ``images``."""
    for species in SPECIES:
        (images / species).mkdir(parents=True)
    (images / "notes.txt").write_text(NOTE, encoding="utf-8")
    for row in progress(planned, len(planned), "draw"):
        (images / row.path).write_bytes(encode_planted(row, seed))


def _empty_partial(folder: Path) -> Path:
    """Make ``folder`` and return the new folder in it where the demo grows; what an interrupted run left is removed."""
    partial = folder / PARTIAL
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = sorted(path.name for path in folder.iterdir() if path.name != PARTIAL)
        if found:
            raise Problem(
                f"Expected an empty folder for the demo, found {len(found)} entries in {folder}: "
                f"{', '.join(found[:3])}. Name a new folder."
            )
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
    except OSError as error:
        raise Problem(
            f"Cannot write the demo into {folder}: {error.strerror}. Name a folder you may write to."
        ) from None
    return partial
