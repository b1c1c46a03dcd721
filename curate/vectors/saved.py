"""Reads vectors computed elsewhere from a ``.npy`` file and the ids beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder
from curate.vectors.networks import NETWORKS, normalise


def read_embeddings(dataset: DatasetFolder, name: str, sample_ids: Sequence[str]) -> np.ndarray:
    """Return saved vectors as ``compute_embeddings`` does; ``name`` is a ``.npy`` with its ``.txt`` beside it."""
    file = dataset.path / name
    names_file = file.with_suffix(".txt")
    for needed in (file, names_file):
        if file.suffix != ".npy" or not needed.is_file():
            raise Problem(
                f"audit.embedding: expected networks among {', '.join(NETWORKS)} (several as in lite0+lite2), or a "
                f".npy with a .txt of sample ids beside it, found {name!r} (no file {needed})."
            )
    vectors = _load_array(file)
    names = names_file.read_text(encoding="utf-8").splitlines()
    if len(names) != len(vectors):
        raise Problem(f"{names_file}: expected one line for each of the {len(vectors)} vectors, found {len(names)}.")
    ids_of = _ids_of_paths(dataset)
    row_of = {ids_of.get(line.strip(), line.strip()): row for row, line in enumerate(names)}
    lacking = [sample_id for sample_id in sample_ids if sample_id not in row_of]
    if lacking:
        raise Problem(
            f"{names_file}: expected every readable sample by its id or path, but {len(lacking)} are not there "
            f"({', '.join(lacking[:3])}). Compute their vectors, or use lite0."
        )
    return normalise(vectors[[row_of[sample_id] for sample_id in sample_ids]])


def _load_array(file: Path) -> np.ndarray:
    try:
        vectors: Any = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise Problem(f"{file}: expected an array saved by numpy.save without objects, but {error}.") from None
    if not isinstance(vectors, np.ndarray) or vectors.ndim != 2 or vectors.dtype.kind != "f":
        found = f"{vectors.dtype} of shape {vectors.shape}" if isinstance(vectors, np.ndarray) else "several arrays"
        raise Problem(f"{file}: expected floating point of shape (N, D), found {found}.")
    if not np.isfinite(vectors).all():
        raise Problem(f"{file}: expected finite values, found some that are infinite or not a number.")
    return vectors


def _ids_of_paths(dataset: DatasetFolder) -> dict[str, str]:
    from curate.images.samples import read_scan

    locations = read_scan(dataset).locations
    return dict(zip(locations["path"], locations["sample_id"], strict=True))
