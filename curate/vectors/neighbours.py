"""Computes the neighbour graph that all detectors share, and finds near pairs of perceptual hashes.

Both compare everything with everything while that is quick, and from then on look where the near ones must be: time
and memory grow with the rows, not with their square.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

EXACT_UP_TO = 10_000  # rows; 20,000 take four times as long, and already longer than the search by lists
WIDTH = 128  # directions of most variance in which rows are searched; the best found are compared in all of them
PROBED = 32  # lists of 4 sqrt(N): on 11,187 real embeddings 0.991 of the ten nearest are found, with 16 lists 0.98
KEPT = 5  # x k rows found in few directions are compared in all
ROUNDS = 10  # of k-means
TRAINED = 64  # rows a list that k-means looks at
ROWS_A_PRODUCT = 4_096
ROWS_A_GATHER = 256
EXACT_HASHES = 4_096  # rows; above, tables of sampled bits
TABLES = 24  # a pair at distance 4 / 6 / 8 agrees in the bits of one of them in 99.99 / 99 / 92 cases of 100
SAMPLED_BITS = 16  # for a million rows; fewer for fewer, so that some ten share them
BUCKET = 32  # rows that each is compared with in a table: a bit that a hundred thousand share must not explode
NEAR_HASHES = 8  # pairs a row; a group of more holds together through them


def compute_neighbours(embeddings: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest other rows of each row.

    Exact up to ``EXACT_UP_TO`` rows. Above, an inverted file of faiss finds some more than ``k`` in the directions of
    most variance, and these are compared in all directions: the similarities are exact, and nearly all of the nearest
    are found. ``embeddings`` are only read a block at a time (a memory-mapped file will do); beside them a million
    rows need about 1.5 GB.

    Parameters
    ----------
    embeddings
        ``(N, D)`` floating point with rows of length 1.
    k
        Neighbours a row; fewer when there are not so many others.

    Returns
    -------
    indices ``(N, min(k, N - 1))`` int64 and cosine similarities of the same shape in -1..1, nearest first, the lower
    row first among equals. Where too few are found, the row itself fills up with similarity -1.

    >>> indices, similarities = compute_neighbours(np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32), 1)
    >>> indices.ravel().tolist()
    [1, 2, 1]
    """
    count = len(embeddings)
    k = min(k, count - 1)
    if k < 1:
        return np.zeros((count, 0), np.int64), np.zeros((count, 0))
    indices, similarities = np.empty((count, k), np.int64), np.empty((count, k))
    blocks = _search_all(embeddings, k) if count <= EXACT_UP_TO else _search_index(embeddings, k)
    for rows, found, alike in blocks:
        indices[rows], similarities[rows] = _without_self(rows, found, alike, k)
    return indices, similarities


def find_near_hashes(hashes: np.ndarray, mirrored: np.ndarray, radius: int) -> np.ndarray:
    """Return the pairs of rows whose 64-bit hashes, one of them possibly mirrored, differ in ``radius`` bits or fewer.

    All of them up to ``EXACT_HASHES`` rows. Above, those that share the bits of one of ``TABLES`` samples of them;
    where many rows share them, each is compared with the ``BUCKET`` next to it in the order of the hashes. A row that
    is near many keeps the ``NEAR_HASHES`` nearest, lower rows first, and whoever has it among theirs.

    Parameters
    ----------
    hashes, mirrored
        ``(N,)`` uint64 of each picture and of its mirror image; repeated hashes are best taken out before.

    Returns
    -------
    ``(pairs, 2)`` int64, each pair once as (lower, higher), sorted.

    References
    ----------
    A. Gionis, P. Indyk, R. Motwani, Similarity Search in High Dimensions via Hashing, 1999, section 3.

    >>> find_near_hashes(np.array([7, 24, 3], np.uint64), np.array([224, 160, 192], np.uint64), 1).tolist()
    [[0, 2]]
    """
    count = len(hashes)
    every = np.concatenate([hashes, mirrored])
    found = np.zeros(0, np.int64)
    compare = _compare_all if count <= EXACT_HASHES else _compare_sharing
    for first, second in compare(every, count, radius):
        one, two = np.minimum(first, second), np.maximum(first, second)
        more = (one * count + two)[one != two]
        found = _keep_nearest(np.union1d(found, more), hashes, mirrored) if len(more) else found
    return np.stack(np.divmod(found, max(1, count)), axis=1)


def _keep_nearest(found: np.ndarray, hashes: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """Return those of the pairs ``lower * N + higher`` that are among the nearest of one of their rows, sorted."""
    one, two = np.divmod(found, len(hashes))
    apart = np.bitwise_count(hashes[one] ^ hashes[two])
    for first, second in ((one, two), (two, one)):
        apart = np.minimum(apart, np.bitwise_count(mirrored[first] ^ hashes[second]))
    row, other = np.concatenate([one, two]), np.concatenate([two, one])
    order = np.lexsort((other, np.tile(apart, 2), row))
    place = np.arange(len(order)) - np.searchsorted(row[order], row[order])
    return found[np.unique(order[place < NEAR_HASHES] % len(found))]


def _compare_all(every: np.ndarray, count: int, radius: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the near pairs of rows; ``every`` holds the ``count`` hashes, then those of the mirror images."""
    for start in range(0, len(every), ROWS_A_PRODUCT):
        apart = np.bitwise_count(every[start : start + ROWS_A_PRODUCT, None] ^ every[:count])
        first, second = np.nonzero(apart <= radius)
        yield (first + start) % count, second


def _compare_sharing(every: np.ndarray, count: int, radius: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the near pairs of rows among those that agree in sampled bits, a table at a time."""
    by_hash = np.argsort(every, kind="stable")
    bits = min(SAMPLED_BITS, int(np.log2(count)) - 2)
    draw = np.random.default_rng(0)  # the same tables each time
    for _ in range(TABLES):
        key = np.zeros(len(every), np.uint16)
        for place, bit in enumerate(draw.choice(64, bits, replace=False)):
            key |= ((every >> np.uint64(bit)) & np.uint64(1)).astype(np.uint16) << np.uint16(place)
        order = by_hash[np.argsort(key[by_hash], kind="stable")]
        bucket, codes = key[order], every[order]
        pairs = []
        for step in range(1, BUCKET + 1):
            near = (bucket[:-step] == bucket[step:]) & (np.bitwise_count(codes[:-step] ^ codes[step:]) <= radius)
            [at] = np.nonzero(near)
            first, second = order[at], order[at + step]
            is_plain = (first < count) | (second < count)  # two mirror images say what the two pictures say
            pairs.append(np.stack([first[is_plain], second[is_plain]]) % count)
        first, second = np.concatenate(pairs, axis=1)
        yield first, second


def _search_all(embeddings: np.ndarray, k: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield rows ``(n,)``, what is nearest to each ``(n, k + 1)``, itself included, and the similarities."""
    every = _floats(embeddings)
    for start in range(0, len(every), ROWS_A_PRODUCT):
        block = every[start : start + ROWS_A_PRODUCT]
        yield np.arange(start, start + len(block)), *_nearest(block, every, k + 1)


def _search_index(embeddings: np.ndarray, k: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield as ``_search_all`` does, a block of rows at a time."""
    small = _project(embeddings)
    index = _build_index(small)
    count = len(small)
    for start in range(0, count, ROWS_A_PRODUCT):
        _, around = index.search(small[start : start + ROWS_A_PRODUCT], KEPT * k + 1)
        for first in range(start, min(start + ROWS_A_PRODUCT, count), ROWS_A_GATHER):
            near = around[first - start : first - start + ROWS_A_GATHER]
            rows = np.arange(first, first + len(near))
            alike = np.einsum("nkd,nd->nk", _floats(embeddings[near]), _floats(embeddings[rows]))
            # Where the lists held fewer rows, faiss fills up with -1.
            yield rows, np.where(near < 0, rows[:, None], near), np.where(near < 0, -np.inf, alike)


def _build_index(small: np.ndarray) -> Any:
    import faiss

    count, width = small.shape
    lists = round(4 * count**0.5)
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(width), width, lists, faiss.METRIC_L2)
    index.cp.niter, index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = ROUNDS, 1, TRAINED
    # Every n-th row, not a random draw: the same graph each time.
    index.train(small[:: max(1, count // (lists * TRAINED))])
    index.add(small)
    index.nprobe = PROBED
    return index


def _nearest(rows: np.ndarray, among: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return indices and inner products of the k nearest ``among``."""
    import faiss

    similarities, indices = faiss.knn(rows, among, k, faiss.METRIC_INNER_PRODUCT)
    return indices, similarities


def _project(embeddings: np.ndarray) -> np.ndarray:
    """Return ``(N, WIDTH)`` float32 in the directions of most variance; of a sample, every n-th row."""
    count, width = embeddings.shape
    sample = _floats(embeddings[:: max(1, count // EXACT_UP_TO)])
    middle = sample.mean(axis=0)
    _, directions = np.linalg.eigh(np.cov(sample - middle, rowvar=False, dtype=np.float64).reshape(width, width))
    turn = np.ascontiguousarray(directions[:, ::-1][:, :WIDTH], dtype=np.float32)
    small = np.empty((count, turn.shape[1]), np.float32)
    for start in range(0, count, ROWS_A_PRODUCT):
        small[start : start + ROWS_A_PRODUCT] = (_floats(embeddings[start : start + ROWS_A_PRODUCT]) - middle) @ turn
    return small


def _floats(rows: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(rows, dtype=np.float32)


def _without_self(
    rows: np.ndarray, indices: np.ndarray, similarities: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Drop each row from its own neighbours; exact copies can come before it, so it is not always the first."""
    # Rounded: the last bits of a product depend on how the processor adds, and must not decide an order.
    similarities = np.clip(np.round(similarities.astype(np.float64), 6), -1, 1)
    similarities = np.where(indices == rows[:, None], -np.inf, similarities)
    order = np.lexsort((indices, -similarities), axis=1)[:, :k]
    similarities = np.take_along_axis(similarities, order, 1)
    return np.take_along_axis(indices, order, 1), np.where(np.isinf(similarities), -1.0, similarities)
