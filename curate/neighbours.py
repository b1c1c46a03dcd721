"""Embeddings to one neighbour graph, which duplicates, outliers, label votes and evidence share."""

from __future__ import annotations

from typing import Any

import numpy as np

EXACT_UP_TO = 50_000  # rows; above, an inverted file finds 99.9 % of the neighbours in a fraction of the time
PROBES = 16


def compute_neighbours(embeddings: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest other rows of each row.

    Parameters
    ----------
    embeddings
        ``(N, D)`` float32 with rows of length 1.
    k
        Neighbours a row; fewer when there are not so many others.

    Returns
    -------
    indices ``(N, min(k, N - 1))`` int64 and cosine similarities of the same shape in -1..1, nearest first, the lower
    row first among equals. Where the inverted file finds too few, the row itself fills up with similarity -1.

    >>> indices, similarities = compute_neighbours(np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32), 1)
    >>> indices.ravel().tolist()
    [1, 2, 1]
    """
    count = len(embeddings)
    k = min(k, count - 1)
    if k < 1:
        return np.zeros((count, 0), np.int64), np.zeros((count, 0))
    similarities, indices = _build_index(embeddings).search(embeddings, k + 1)
    return _without_self(indices.astype(np.int64), similarities.astype(np.float64), k)


def compute_hash_neighbours(codes: np.ndarray, among: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest 64-bit hashes ``among`` ``(M,)`` uint64 of each of ``codes`` ``(N,)``, itself included.

    Returns
    -------
    indices into ``among`` ``(N, min(k, M))`` and Hamming distances 0..64 of the same shape, nearest first.

    >>> compute_hash_neighbours(np.array([0b0111], np.uint64), np.array([0, 0b0011], np.uint64), 1)
    (array([[1]]), array([[1]], dtype=int32))
    """
    if not len(among):
        return np.zeros((len(codes), 0), np.int64), np.zeros((len(codes), 0), np.int32)
    import faiss

    index = faiss.IndexBinaryFlat(64)
    index.add(_as_bytes(among))
    distances, indices = index.search(_as_bytes(codes), min(k, len(among)))
    return indices, distances


def _as_bytes(codes: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(codes).view(np.uint8).reshape(-1, 8)


def _build_index(embeddings: np.ndarray) -> Any:
    import faiss

    count, width = embeddings.shape
    flat = faiss.IndexFlatIP(width)
    if count <= EXACT_UP_TO:
        flat.add(embeddings)
        return flat
    lists = round(4 * count**0.5)
    index = faiss.IndexIVFFlat(flat, width, lists, faiss.METRIC_INNER_PRODUCT)
    # Every n-th row, not a random draw: the same graph each time.
    index.train(embeddings[:: max(1, count // (lists * 64))])
    index.add(embeddings)
    index.nprobe = PROBES
    return index


def _without_self(indices: np.ndarray, similarities: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Drop each row from its own neighbours; exact copies can come before it, so it is not always the first."""
    rows = np.arange(len(indices))[:, None]
    # Rounded: the last bits of a product depend on how the processor adds, and must not decide an order.
    similarities = np.clip(np.round(similarities, 6), -1, 1)
    similarities = np.where((indices == rows) | (indices < 0), -np.inf, similarities)
    order = np.lexsort((indices, -similarities), axis=1)[:, :k]
    indices, similarities = np.take_along_axis(indices, order, 1), np.take_along_axis(similarities, order, 1)
    missing = np.isinf(similarities)
    return np.where(missing, rows, indices), np.where(missing, -1.0, similarities)
