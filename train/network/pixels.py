"""Stores the pixels that training reads: one growing uint8 file an image size; a version is a list of its rows.

Two versions share nearly all samples, so the second one costs only its new images.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from curate.images.thumbnails import read_pixels
from curate.storage.engine import batched
from curate.storage.files import lock_file
from curate.storage.folder import DatasetFolder
from curate.storage.progress import track
from curate.storage.terminal import warn

CHUNK = 500  # images read at once: some tens of megabytes


def read_rows(dataset: DatasetFolder, sample_ids: Sequence[str], side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return all cached pixels and the rows of ``sample_ids`` in them, after adding those that are missing.

    Returns
    -------
    ``(M, side, side, 3)`` uint8, read from the disk as needed, and ``(N,)`` int64 rows in the order of ``sample_ids``.
    """
    folder = dataset.cache / f"pixels-v2-{side}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        lock_file(lock)
        written = _read_index(folder, side)
        known = {sample_id: row for row, (sample_id, _) in enumerate(written)}
        there = [one for one in dict.fromkeys(sample_ids) if one in known]
        pixels = _open(folder, len(written), side)
        damaged = {one for one in there if _checksum(one, pixels[known[one]].tobytes()) != written[known[one]][1]}
        if damaged:
            warn(f"{len(damaged):,} pictures in {folder} are damaged; they are made again.")
        missing = [one for one in dict.fromkeys(sample_ids) if one not in known or one in damaged]
        count = len(written)
        for chunk in track(batched(missing, CHUNK), len(missing), "pixels"):
            _append(folder, chunk, read_pixels(dataset, chunk, side))
            known.update((sample_id, row) for row, sample_id in enumerate(chunk, count))
            count += len(chunk)
    rows = np.array([known[sample_id] for sample_id in sample_ids], np.int64)
    return _open(folder, count, side), rows


def _read_index(folder: Path, side: int) -> list[tuple[str, str]]:
    """Return sample and checksum of each row; of two rows of one sample, the first is damaged.

    Pixels go to the disk before their ids, so what is beyond the ids is an append cut off.
    """
    index, pixels = folder / "ids.txt", folder / "pixels.u8"
    content = index.read_bytes() if index.is_file() else b""
    size = side * side * 3
    on_disk = pixels.stat().st_size // size if pixels.is_file() else 0
    lines = content[: content.rfind(b"\n") + 1].split(b"\n")[:-1][:on_disk]
    for path, length in ((index, sum(len(line) + 1 for line in lines)), (pixels, len(lines) * size)):
        if path.is_file() and path.stat().st_size > length:
            os.truncate(path, length)
    words = (line.decode("ascii", "replace").partition(" ") for line in lines)
    return [(sample_id, checksum) for sample_id, _, checksum in words]


def _append(folder: Path, sample_ids: Sequence[str], pixels: np.ndarray) -> None:
    lines = [f"{one} {_checksum(one, picture.tobytes())}\n" for one, picture in zip(sample_ids, pixels, strict=True)]
    for name, content in (("pixels.u8", pixels.tobytes()), ("ids.txt", "".join(lines).encode())):
        with (folder / name).open("ab") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def _checksum(sample_id: str, pixels: bytes) -> str:
    """Return what tells a damaged row; it covers the id too, which a damaged index would give another row."""
    return f"{zlib.crc32(pixels, zlib.crc32(sample_id.encode())):08x}"


def _open(folder: Path, count: int, side: int) -> np.ndarray:
    if count == 0:
        return np.zeros((0, side, side, 3), np.uint8)
    return np.memmap(folder / "pixels.u8", np.uint8, mode="r", shape=(count, side, side, 3))
