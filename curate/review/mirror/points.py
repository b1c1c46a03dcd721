"""Computes the map of the App's embeddings panel: each sample a point, similar images close together.

Two principal components, from vectors that the audit has left behind: no network runs and no weights are fetched.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd

from curate.review.mirror.snapshot import mark, marked
from curate.spec.model import Spec
from curate.storage.cache import ContentCache
from curate.storage.folder import DatasetFolder
from curate.vectors.embed import SIDE, compute_embeddings
from curate.vectors.networks import NETWORKS

MAP = "embeddings"  # the name of the map in the panel
FEWEST = 3
DIRECTIONS, ROUNDS = 10, 12  # of the subspace; two are shown


def push_points(dataset: DatasetFolder, spec: Spec, view: Any, snapshot: pd.DataFrame) -> None:
    """Give the FiftyOne dataset ``view`` its map, unless it has it already or there are no vectors for all samples."""
    ids = list(snapshot["sample_id"])
    shown = hashlib.sha256(repr((spec.audit.embedding, list(snapshot["fiftyone_id"]))).encode()).hexdigest()
    if not has_vectors(dataset, spec, ids) or marked(view).get("map") == shown:
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

    By subspace iteration in the vectors' own precision: a whole decomposition would need a copy of them in double.

    References
    ----------
    N. Halko, P. Martinsson, J. Tropp, Finding structure with randomness, 2011, algorithm 4.4.

    >>> principal_points(np.array([[0.0, 1.0], [0.0, 3.0], [0.0, 5.0]])).round(6)[:, 0] ** 2
    array([4., 0., 4.])
    """
    mean = vectors.mean(axis=0, dtype=np.float64)
    width = min(DIRECTIONS, *vectors.shape)
    axes = np.random.default_rng(0).standard_normal((vectors.shape[1], width)).astype(vectors.dtype)
    for _ in range(ROUNDS):
        seen = vectors @ axes - (mean @ axes).astype(vectors.dtype)  # the centred vectors, never made as a whole
        axes, _ = np.linalg.qr(vectors.T @ seen - np.outer(mean, seen.sum(axis=0)).astype(vectors.dtype))
    scores = (vectors @ axes).astype(np.float64) - mean @ axes
    _, turn = np.linalg.eigh(scores.T @ scores)  # eigenvalues rise: the last axes say most
    return scores @ turn[:, :-3:-1]


def has_vectors(dataset: DatasetFolder, spec: Spec, ids: list[str]) -> bool:
    """Return whether the vectors of all samples are there without running a network."""
    if len(ids) < FEWEST:
        return False
    networks = {part.strip() for part in spec.audit.embedding.split("+")}
    if not networks <= set(NETWORKS):
        return True
    views = ("", "-mirrored")[: 1 + spec.audit.mirrored]
    caches = [f"embeddings-{network}-{SIDE}{view}-v1" for network in networks for view in views]
    return not any(ContentCache(dataset.cache, name).missing(ids) for name in caches)
