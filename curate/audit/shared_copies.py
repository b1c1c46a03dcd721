"""Finds the confirmed copies between two sets of images: same file, same pixels, or near copies.

Candidates are each picture's nearest in the other set, by perceptual hash and embedding; the verdict on a pair is that
of the audit's near duplicates.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import numpy as np
import pandas as pd

from curate.audit.evidence.evidence import Evidence

SAME_FILE = "identical_file"
NEIGHBOURS = 10
BLOCK = 512  # rows of similarities held at once


def find_shared_copies(
    evidence: Evidence, embeddings: np.ndarray | None, ours: pd.DataFrame, theirs: pd.DataFrame
) -> pd.DataFrame:
    """Return columns ``first`` (id of ours), ``second`` (id of theirs), ``kind, similarity``: the confirmed copies."""
    from curate.audit.evidence.copy_groups import COPY
    from curate.audit.evidence.groups import compare_candidates

    rows = evidence.readable
    ids = rows["sample_id"].to_numpy(object)
    here, there = (np.flatnonzero(rows["sample_id"].isin(table.index)) for table in (ours, theirs))
    found = set(chain(_same_pixels(rows, here, there), _near_hashes(rows, here, there)))
    if embeddings is not None:
        found.update(_near_embeddings(embeddings, here, there))
    unequal = sorted({(min(pair), max(pair)) for pair in found if pair[0] != pair[1]})
    compared = compare_candidates(evidence.readable, unequal, evidence.read_thumbnails, evidence.cache)
    compared = compared[compared["similarity"] >= COPY]
    verdict = {(row.first, row.second): (row.kind, row.similarity) for row in compared.itertuples()}
    is_here, is_there = (np.isin(np.arange(len(rows)), side) for side in (here, there))
    both = [(ids[row], ids[row], SAME_FILE, 1.0) for row in np.flatnonzero(is_here & is_there)]
    copies = [
        (ids[one], ids[two], kind, similarity)
        for (first, second), (kind, similarity) in verdict.items()
        for one, two in ((first, second), (second, first))
        if is_here[one] and is_there[two]
    ]
    return pd.DataFrame(both + copies, columns=["first", "second", "kind", "similarity"])


def _same_pixels(rows: pd.DataFrame, here: np.ndarray, there: np.ndarray) -> Iterator[tuple[int, int]]:
    """Each picture and the first of the same pixels in the other set: a thousand blank ones make no million pairs."""
    hashes = rows["pixel_hash"].to_numpy(object)
    for side, other in ((here, there), (there, here)):
        first = {hashes[row]: int(row) for row in other[::-1]}
        yield from ((int(row), first[hashes[row]]) for row in side if hashes[row] in first)


def _near_hashes(rows: pd.DataFrame, here: np.ndarray, there: np.ndarray) -> Iterator[tuple[int, int]]:
    """Pictures of both sets whose hashes are near, also mirrored; of many with one hash, each with the first few."""
    from curate.audit.evidence.candidates import HAMMING, LINKS
    from curate.vectors.neighbours import find_near_hashes

    plain, mirrored = (rows[name].to_numpy(np.uint64) for name in ("phash", "phash_mirrored"))
    _, lowest, number = np.unique(plain, return_index=True, return_inverse=True)
    near = find_near_hashes(plain[lowest], mirrored[lowest], HAMMING)
    with_hash = [_rows_of(number, side) for side in (here, there)]
    same = ((one, one) for one in range(len(lowest)))
    for one, two in chain(same, near.tolist(), near[:, ::-1].tolist()):
        mine, theirs = with_hash[0].get(one, []), with_hash[1].get(two, [])
        yield from ((row, other) for row in mine for other in theirs[:LINKS])
        yield from ((row, other) for other in theirs for row in mine[:LINKS])


def _rows_of(number: np.ndarray, side: np.ndarray) -> dict[int, list[int]]:
    rows: dict[int, list[int]] = {}
    for row in side.tolist():
        rows.setdefault(int(number[row]), []).append(row)
    return rows


def _near_embeddings(embeddings: np.ndarray, here: np.ndarray, there: np.ndarray) -> Iterator[tuple[int, int]]:
    """The nearest of each picture in the other set, as many and as near as the audit takes among its own."""
    from curate.audit.evidence.candidates import choose_near

    for side, other in ((here, there), (there, here)):
        for start in range(0, len(side), BLOCK):
            block = side[start : start + BLOCK]
            alike = np.round(embeddings[block] @ embeddings[other].T, 6)
            # A picture that both sets hold is its own nearest; it is no candidate, and must not hide the next.
            alike[block[:, None] == other[None, :]] = -1
            some = np.argpartition(-alike, min(NEIGHBOURS, len(other)) - 1, axis=1)[:, :NEIGHBOURS]
            likeness = np.take_along_axis(alike, some, axis=1)
            order = np.lexsort((some, -likeness), axis=1)
            some, likeness = np.take_along_axis(some, order, 1), np.take_along_axis(likeness, order, 1)
            for row, column in np.argwhere(choose_near(likeness)):
                yield int(block[row]), int(other[some[row, column]])
