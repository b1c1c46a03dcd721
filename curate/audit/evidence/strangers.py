"""Measures how far each image is from the ordinary images of its nearest class.

Near neighbours alone do not tell: twenty pictures of one car are each other's company. So each class is seen as its
core, without the least typical of its members, and a picture is compared with a twentieth of that core at a time. How
far is far comes from the class itself, in the spread of its own members' distances: a unit that holds for any embedding
and any number of images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from curate.audit.evidence.ordinary import measure_ordinary

FEWEST = 10  # distinct samples of a class; from fewer nobody learns what is ordinary
# Chosen on photos, search results, CIFAR-10 and drawings of cats and dogs with 153 icons, plots, screenshots and photos
# of other things among them, by false alarms and by what is missed; none of the benchmark's `offtopic` was seen.
CORE = 0.75  # of a class is trusted at first; the rest may be something else
TRUSTED = 1.5  # spreads; who lies nearer than this is in the core when it is drawn up again
PART = 0.05  # of a core that a picture is compared with: a breed is at home there, twenty pictures of a car are not
FEW = 30  # of a core; a twentieth of a small one would be two or three
HALF = 300  # members at which a class's own spread counts as much as that of all classes
SUSPECT = 2.2  # spreads; from here on the parts of a picture are looked at: one in a hundred ordinary photos
REFERENCES = 20_000  # samples in the cores of all classes; each sample is compared with all of them
MOST, LEAST = 1_000, 50  # of one class
AT_ONCE = 4_096  # rows
TINY = 1e-6


@dataclass(frozen=True)
class Core:
    """The R typical pictures of one class, one of each near-duplicate group, and how far from them is ordinary.

    ``apart`` ``(R,)``: how far each is from the ``near`` others that are nearest to it, 1 - mean cosine similarity.
    ``middle`` and ``spread`` are those of the class's members, in the logarithm of ``_ratio``.
    """

    label: int
    rows: np.ndarray
    vectors: np.ndarray
    groups: np.ndarray
    apart: np.ndarray
    near: int
    middle: float = 0.0
    spread: float = 1.0


def find_strangers(
    embeddings: np.ndarray,
    kinds: np.ndarray,
    groups: np.ndarray,
    classes: int,
    embed_crops: Callable[[np.ndarray], Mapping[str, np.ndarray] | None] | None = None,
) -> pd.DataFrame:
    """Return ``compare_with_cores`` of all rows, and in ``parts`` how far the nearest part of each is.

    Parts are looked at of suspects only, and not at all where only saved vectors are known: elsewhere they are NaN.

    Parameters
    ----------
    embeddings
        ``(N, D)`` rows of length 1.
    kinds
        Class number of each row ``(N,)``; ``classes`` for those without a label, -1 for those that people left out.
    groups
        Number of the near-duplicate group of each row ``(N,)``.
    embed_crops
        Gives the embeddings of each part of the pictures in some rows; None where only saved vectors are known.
    """
    cores = find_cores(embeddings, kinds, groups)
    table = compare_with_cores(cores, embeddings, groups).assign(parts=np.nan)
    small = (kinds >= 0) & (kinds < classes) & ~np.isin(kinds, [core.label for core in cores])
    table.loc[small, "whole"] = np.nan
    suspects = np.flatnonzero(table["whole"] > SUSPECT)
    crops = embed_crops(suspects) if embed_crops and len(suspects) else None
    if crops:
        parts = [compare_with_cores(cores, one, groups[suspects])["whole"] for one in crops.values()]
        table.loc[suspects, "parts"] = np.min(parts, axis=0)
    return table


def find_cores(embeddings: np.ndarray, kinds: np.ndarray, groups: np.ndarray) -> list[Core]:
    """Return the core of each class that has ``FEWEST`` distinct samples.

    At first the ``CORE`` of its members with the highest mean similarity to all of them; then those that lie near the
    first cores: a clean class is nearly all core, and one that is a fifth something else has lost that fifth.

    Parameters
    ----------
    embeddings
        ``(N, D)`` rows of length 1.
    kinds, groups
        Class number (-1 for none) and near-duplicate group of each row, ``(N,)``.
    """
    distinct = ~pd.DataFrame({"kind": kinds, "group": groups}).duplicated().to_numpy() & (kinds >= 0)
    members = {int(kind): np.flatnonzero(distinct & (kinds == kind)) for kind in np.unique(kinds[distinct])}
    members = {kind: rows for kind, rows in members.items() if len(rows) >= FEWEST}
    first = {kind: _typical(embeddings, rows) for kind, rows in members.items()}
    cores = _measure_cores(first, members, embeddings, groups)
    if not cores:
        return []
    near = compare_with_cores(cores, embeddings, groups)["whole"].to_numpy() < TRUSTED
    second = {kind: rows[near[rows]] if near[rows].sum() >= FEWEST else first[kind] for kind, rows in members.items()}
    return _measure_cores(second, members, embeddings, groups)


def _typical(embeddings: np.ndarray, rows: np.ndarray) -> np.ndarray:
    likeness = np.round(embeddings[rows] @ embeddings[rows].mean(axis=0), 6)
    return rows[likeness >= np.quantile(likeness, 1 - CORE)]


def _measure_cores(
    chosen: dict[int, np.ndarray], members: dict[int, np.ndarray], embeddings: np.ndarray, groups: np.ndarray
) -> list[Core]:
    """Return the cores with what is ordinary in each; a small class borrows its spread from all of them."""
    most = max(LEAST, min(MOST, REFERENCES // max(len(chosen), 1)))
    cores = [_core(kind, _spread_out(rows, most), embeddings, groups) for kind, rows in chosen.items()]
    sizes = np.array([len(members[core.label]) for core in cores])
    ordinary = [
        measure_ordinary(_compare(core, embeddings[members[core.label]], groups[members[core.label]])["whole"])
        for core in cores
    ]
    spreads = np.array([spread for _, spread in ordinary])
    shared = np.average(spreads, weights=sizes) if len(cores) else 1.0
    spreads = (sizes * spreads + HALF * shared) / (sizes + HALF)
    return [
        replace(core, middle=middle, spread=float(spread))
        for core, (middle, _), spread in zip(cores, ordinary, spreads, strict=True)
    ]


def _spread_out(rows: np.ndarray, count: int) -> np.ndarray:
    """Return at most ``count`` of ``rows``, evenly spaced: sorted by sample_id, a hash, that is as at random."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]


def _core(kind: int, rows: np.ndarray, embeddings: np.ndarray, groups: np.ndarray) -> Core:
    near = max(1, min(max(FEW, round(PART * len(rows))), len(rows) // 2))
    core = Core(kind, rows, embeddings[rows], groups[rows], np.ones(len(rows)), near)
    return replace(core, apart=1 - _compare(core, core.vectors, core.groups)["likeness"])


def compare_with_cores(cores: list[Core], vectors: np.ndarray, groups: np.ndarray) -> pd.DataFrame:
    """Return of each row of ``vectors`` ``(M, D)`` how it compares with the class that it is nearest to.

    Columns: ``whole``: how many spreads of its class it is further away than the ordinary member; ``kind`` the class;
    ``likeness`` the mean cosine similarity to the nearest of its core, ``ordinary`` that of those to theirs;
    ``closest`` the row most like it and ``similarity`` how much. Without cores all is NaN or -1.
    """
    columns = {"whole": np.nan, "kind": -1, "likeness": np.nan, "ordinary": np.nan, "closest": -1, "similarity": np.nan}
    best = {name: np.full(len(vectors), blank) for name, blank in columns.items()}
    for core in cores:
        for start in range(0, len(vectors), AT_ONCE):
            rows = slice(start, start + AT_ONCE)
            found = _compare(core, vectors[rows], groups[rows])
            nearer = ~(best["whole"][rows] <= found["whole"])
            for name, values in found.items():
                best[name][rows][nearer] = values[nearer]
    return pd.DataFrame(best)


def _compare(core: Core, vectors: np.ndarray, groups: np.ndarray) -> dict[str, np.ndarray]:
    """Return the columns of ``compare_with_cores`` for one core; its own copies in the core say nothing of a row."""
    alike = np.round(vectors @ core.vectors.T, 6)
    alike[groups[:, None] == core.groups[None]] = -1
    nearest = np.argpartition(-alike, core.near - 1, axis=1)[:, : core.near]
    likeness = np.take_along_axis(alike, nearest, 1).mean(axis=1, dtype=np.float64)
    around = core.apart[nearest].mean(axis=1)
    # Far where even their like are far from each other is not far: the ratio of densities, as in LOF.
    ratio = np.log(np.maximum(1 - likeness, TINY) / np.maximum(around, TINY))
    first = alike.argmax(axis=1)
    return {
        "whole": (ratio - core.middle) / core.spread,
        "kind": np.full(len(vectors), core.label),
        "likeness": likeness,
        "ordinary": 1 - around,
        "closest": core.rows[first],
        "similarity": alike[np.arange(len(alike)), first].astype(np.float64),
    }
