"""Clusters embeddings into regions of similar images."""

from __future__ import annotations

import numpy as np

DIRECTIONS = 32  # of the embeddings kept: what is left is noise to a clustering
SAMPLES_EACH = 80  # a region
MOST = 40
FEWEST = 40  # samples; among fewer there are no regions
FITTED_ON = 5_000


def compute_regions(embeddings: np.ndarray) -> np.ndarray:
    """Return the region ``(N,)`` of each row of ``embeddings`` ``(N, D)``, largest first; -1 where there are too few.

    K-means on the first principal directions; the same pictures give the same regions.
    """
    count = len(embeddings)
    if count < FEWEST:
        return np.full(count, -1)
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    vectors = embeddings.astype(np.float64)
    fitted = vectors[:: max(1, count // FITTED_ON)]
    width = min(DIRECTIONS, *fitted.shape)
    if fitted.std(axis=0).max() < 1e-6:
        return np.zeros(count, dtype=np.int64)  # all alike: one region
    directions = PCA(width, svd_solver="randomized", random_state=0).fit(fitted)
    regions = int(np.clip(count // SAMPLES_EACH, 2, MOST))
    points = np.round(directions.transform(fitted), 5)
    regions = min(regions, len(np.unique(points, axis=0)))
    model = KMeans(regions, n_init=1, random_state=0).fit(points)
    found = model.predict(np.round(directions.transform(vectors), 5))
    order = np.argsort(-np.bincount(found, minlength=regions), kind="stable")
    ranked: np.ndarray = np.argsort(order)[found]
    return ranked
