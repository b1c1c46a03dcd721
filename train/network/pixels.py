"""The pixels that training reads: one growing uint8 file a side, in which a version is a list of rows.

Two versions share nearly all samples, so the second one costs only its new images.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from curate.images.thumbnails import read_pixels
from curate.storage.engine import batched
from curate.storage.files import lock_file
from curate.storage.folder import DatasetFolder
from curate.storage.progress import track

CHUNK = 500  # images read at once: some tens of megabytes


def read_rows(dataset: DatasetFolder, sample_ids: Sequence[str], side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return all cached pixels and the rows of ``sample_ids`` in them, after adding those that are missing.

    Returns
    -------
    ``(M, side, side, 3)`` uint8, read from the disk as needed, and ``(N,)`` int64 rows in the order of ``sample_ids``.
    """
    folder = dataset.cache / f"pixels-v1-{side}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        lock_file(lock)
        known = _read_ids(folder, side)
        missing = [sample_id for sample_id in dict.fromkeys(sample_ids) if sample_id not in known]
        for chunk in track(batched(missing, CHUNK), len(missing), "pixels"):
            _append(folder, chunk, read_pixels(dataset, chunk, side))
            known.update((sample_id, len(known)) for sample_id in chunk)
    rows = np.array([known[sample_id] for sample_id in sample_ids], np.int64)
    return _open(folder, len(known), side), rows


def _read_ids(folder: Path, side: int) -> dict[str, int]:
    """Return sample -> row. Pixels go to the disk before their ids, so what is beyond the ids is an append cut off."""
    ids, pixels = folder / "ids.txt", folder / "pixels.u8"
    text = ids.read_text() if ids.is_file() else ""
    whole = text[: text.rfind("\n") + 1]
    size = side * side * 3
    on_disk = pixels.stat().st_size // size if pixels.is_file() else 0
    names = whole.split("\n")[:-1][:on_disk]
    for path, length in ((ids, sum(len(name) + 1 for name in names)), (pixels, len(names) * size)):
        if path.is_file() and path.stat().st_size > length:
            os.truncate(path, length)
    return {name: row for row, name in enumerate(names)}


def _append(folder: Path, sample_ids: Sequence[str], pixels: np.ndarray) -> None:
    for name, content in (("pixels.u8", pixels.tobytes()), ("ids.txt", "".join(f"{i}\n" for i in sample_ids).encode())):
        with (folder / name).open("ab") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def _open(folder: Path, count: int, side: int) -> np.ndarray:
    if count == 0:
        return np.zeros((0, side, side, 3), np.uint8)
    return np.memmap(folder / "pixels.u8", np.uint8, mode="r", shape=(count, side, side, 3))
