"""Selects the pairs of images that are worth comparing: a few for each image, however many images there are.

They may be generous and depend on what else is there; the verdict on a pair does not.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from curate.vectors.neighbours import find_near_hashes

# Chosen on 300 photos x 14 transforms among 4,800 others. By hash, re-encoded and resized ones are found at 4 bits,
# nine in ten recoloured ones at 4, all at 10; strangers come within 8 less than once in a hundred photos.
HAMMING = 8  # bits of 64 between perceptual hashes
# The rest is the embedding's: of crops to 0.8 / 0.65 / 0.5 of each side it finds 100 / 98 / 73 %, turned by 90 degrees
# 94 %, at 2.4 pairs a picture. A fourth and fifth neighbour cost 1.5 pairs more, for 4 % of the crops to 0.5.
NEAREST = 3
LAX_COSINE = 0.5  # of those
SURE_COSINE = 0.9  # beyond this, all neighbours are candidates, not only the nearest
DATALAB_RADIUS = 0.13  # x the median distance to the nearest neighbour: the rule of cleanlab's Datalab
LINKS = 3  # of pictures with one hash, each is compared with the first and so many before it


def find_candidates(rows: pd.DataFrame, neighbours: tuple[np.ndarray, np.ndarray]) -> list[tuple[int, int]]:
    """Return the pairs of rows worth comparing, each once as (lower, higher), sorted; some three a row at any N."""
    found = [_same_pixels(rows), _near_hashes(rows), _near_embeddings(*neighbours)]
    pairs = np.unique(np.concatenate(found).reshape(-1, 2), axis=0)
    return [(first, second) for first, second in pairs.tolist() if first != second]


def _same_pixels(rows: pd.DataFrame) -> np.ndarray:
    """Each with the one before it of the same pixels."""
    return _chain(pd.factorize(rows["pixel_hash"])[0], 1)


def _near_hashes(rows: pd.DataFrame) -> np.ndarray:
    """Pictures with one hash in a chain, and the first of each hash with those of near ones, also mirrored."""
    [firsts] = np.nonzero(~rows["pixel_hash"].duplicated().to_numpy())
    plain, mirrored = (rows[name].to_numpy(np.uint64)[firsts] for name in ("phash", "phash_mirrored"))
    _, lowest, number = np.unique(plain, return_index=True, return_inverse=True)
    near = find_near_hashes(plain[lowest], mirrored[lowest], HAMMING)
    return np.concatenate([firsts[_chain(number, LINKS)], firsts[np.sort(lowest[near], axis=1)]])


def _chain(number: np.ndarray, links: int) -> np.ndarray:
    """Return the pairs ``(P, 2)`` of each place with the ``links`` before it of its number, and the first of it.

    >>> _chain(np.array([5, 7, 5, 5]), 1).tolist()
    [[0, 2], [2, 3], [0, 3]]
    """
    order = np.argsort(number, kind="stable")
    sorted_numbers = number[order]
    start = np.searchsorted(sorted_numbers, sorted_numbers)
    pairs = [np.zeros((0, 2), np.int64)]
    for step in range(1, min(links, len(number) - 1) + 1):
        is_one = sorted_numbers[step:] == sorted_numbers[:-step]
        pairs.append(np.stack([order[:-step][is_one], order[step:][is_one]], axis=1))
    far = np.arange(len(number)) - start > links
    return np.concatenate([*pairs, np.stack([order[start[far]], order[far]], axis=1)])


def _near_embeddings(indices: np.ndarray, similarities: np.ndarray) -> np.ndarray:
    if not indices.size:
        return np.zeros((0, 2), np.int64)
    radius = 1 - DATALAB_RADIUS * float(np.median(1 - similarities[:, 0]))
    row, column = np.nonzero(choose_near(similarities, min(SURE_COSINE, radius)))
    return np.sort(np.stack([row, indices[row, column]], axis=1), axis=1)


def choose_near(similarities: np.ndarray, sure: float = SURE_COSINE) -> np.ndarray:
    """Return which of each row's neighbours ``(N, k)``, nearest first, are worth comparing with it.

    >>> choose_near(np.array([[0.95, 0.92, 0.7, 0.6], [0.45, 0.4, 0.3, 0.2]])).tolist()
    [[True, True, True, False], [False, False, False, False]]
    """
    wanted: np.ndarray = similarities >= sure
    wanted[:, :NEAREST] |= similarities[:, :NEAREST] >= LAX_COSINE
    return wanted
