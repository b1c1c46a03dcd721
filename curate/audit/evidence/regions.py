"""Embeddings to regions of pictures that look alike, named by what sets them apart."""

from __future__ import annotations

import numpy as np

from curate.audit.evidence.evidence import Evidence
from curate.audit.evidence.properties import tabulate_numbers

DIRECTIONS = 32  # of the embeddings kept: what is left is noise to a clustering
SAMPLES_EACH = 80  # a region
MOST = 40
FEWEST = 40  # samples; among fewer there are no regions
FITTED_ON = 5_000
APART = 0.8  # standard deviations from the mean of all that is worth a word
EXAMPLES = 2


def compute_regions(evidence: Evidence) -> np.ndarray:
    """Return the region number of each readable sample ``(N,)``, largest region first; -1 where there are too few.

    K-means on the first principal directions; the same pictures give the same regions.
    """
    count = len(evidence.ids)
    if count < FEWEST:
        return np.full(count, -1)
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    vectors = evidence.embeddings.astype(np.float64)
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


def describe_region(evidence: Evidence, inside: np.ndarray) -> str:
    """Return a name for the pictures ``inside`` ``(N,)``: their labels, how they differ, and examples."""
    names = evidence.spec.class_names
    labels = evidence.given[inside]
    counts = np.bincount(labels[labels >= 0], minlength=len(names))
    mix = ", ".join(
        f"{counts[place]:,} {names[place]}" for place in np.argsort(-counts, kind="stable")[:2] if counts[place]
    )
    paths = evidence.readable["path"].to_numpy()[inside][:EXAMPLES]
    words = "; ".join(_differences(evidence, inside)[:2])
    return f"pictures like {' and '.join(paths)}" + (f" ({mix}{'; ' + words if words else ''})" if mix else "")


def _differences(evidence: Evidence, inside: np.ndarray) -> list[str]:
    """Return in which measures the pictures differ most from all, in words."""
    told = []
    for number in tabulate_numbers(evidence):
        known = np.isfinite(number.values)
        spread = number.values[known].std() if known.any() else 0.0
        if spread < 1e-9 or not (known & inside).any():
            continue
        apart = (number.values[known & inside].mean() - number.values[known].mean()) / spread
        if abs(apart) >= APART:
            told.append((-abs(round(float(apart), 6)), f"{'high' if apart > 0 else 'low'} {number.name}"))
    return [words for _, words in sorted(told)]
