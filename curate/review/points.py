"""Embeddings to the map in the App's embeddings panel: each sample a point, like images close together.

Two principal components, from vectors that the audit has left behind: no network runs and no weights are fetched.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd

from curate.cache import ContentCache
from curate.dataset import DatasetFolder
from curate.embed import SIDE, compute_embeddings
from curate.review.snapshot import INFO, mark
from curate.spec import Spec

MAP = "embeddings"  # the name of the map in the panel
FEWEST = 3


def push_points(dataset: DatasetFolder, spec: Spec, view: Any, snapshot: pd.DataFrame) -> None:
    """Give the FiftyOne dataset ``view`` its map, unless it has it already or there are no vectors for all samples."""
    ids = list(snapshot["sample_id"])
    shown = hashlib.sha256(repr((spec.audit.embedding, list(snapshot["fiftyone_id"]))).encode()).hexdigest()
    if not has_vectors(dataset, spec, ids) or (view.info.get(INFO) or {}).get("map") == shown:
        return
    from fiftyone import brain

    if view.has_brain_run(MAP):
        view.delete_brain_run(MAP)
    points = principal_points(compute_embeddings(dataset, spec, ids))
    named = dict(zip(snapshot["fiftyone_id"], points, strict=True))
    brain.compute_visualization(view, points=named, method="manual", brain_key=MAP, create_index=False)
    mark(view, map=shown)


def principal_points(vectors: np.ndarray) -> np.ndarray:
    """Return the first two principal components ``(N, 2)`` of the vectors ``(N, D)``.

    >>> principal_points(np.array([[0.0, 1.0], [0.0, 3.0], [0.0, 5.0]])).round(6)[:, 0] ** 2
    array([4., 0., 4.])
    """
    centred = vectors.astype(np.float64) - vectors.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)  # eigenvalues rise: the last axes say most
    return centred @ axes[:, :-3:-1]


def has_vectors(dataset: DatasetFolder, spec: Spec, ids: list[str]) -> bool:
    """Return whether the vectors of all samples are there without running a network."""
    if len(ids) < FEWEST:
        return False
    if spec.audit.embedding != "lite0":
        return True
    return not ContentCache(dataset.cache, f"embeddings-lite0-{SIDE}-v1").missing(ids)
