"""Joins pairs of copies into groups that do not chain through weak links, and picks the member to keep.

Two clusters of sure copies become one only if half of their pairs are copies too: one doubtful pair joins two single
pictures, but no two families. So further pictures may join groups, and never part what is sure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from itertools import product

import numpy as np
import pandas as pd

COPY = 0.7  # similarity of a copy: the closest strangers among the photos reach 0.62
STRONG = 0.8  # similarity that needs no other witness; strangers among 2,500 photos reach 0.62
ENOUGH = 0.5  # share of the pairs between two clusters that have to be copies
MOST = 6  # members of a cluster that are compared with those of another
AS_LARGE = 0.9  # share of the largest member's pixels that counts as no smaller
AS_FINE = 0.8  # share of the best member's bytes a pixel that counts as no more compressed

Pair = tuple[int, int]
Compare = Callable[[list[Pair]], dict[Pair, float]]


def connect_copies(pairs: pd.DataFrame, count: int, copy: float, compare: Compare) -> np.ndarray:
    """Return the lowest row of each row's group ``(N,)``.

    Parameters
    ----------
    pairs
        Columns ``first, second, similarity``, first below second: what was compared.
    copy
        Least similarity of a copy; from ``STRONG`` on, a pair is one group whatever else there is.
    compare
        Gives the similarities of pairs that were no candidates; asked only about clusters with a weak link.

    >>> pairs = pd.DataFrame({"first": [0, 1, 2], "second": [1, 2, 3], "similarity": [0.95, 0.72, 0.95]})
    >>> connect_copies(pairs, 5, 0.7, lambda asked: dict.fromkeys(asked, 0.0)).tolist()
    [0, 0, 2, 2, 4]
    """
    columns = (pairs[name].tolist() for name in ("first", "second", "similarity"))
    known = {(first, second): value for first, second, value in zip(*columns, strict=True)}
    root = _components([pair for pair, value in known.items() if value >= STRONG], count)
    links = [pair for pair, value in known.items() if copy <= value < STRONG]
    while True:
        links = [pair for pair in links if root[pair[0]] != root[pair[1]]]
        members = _members(root, {int(root[row]) for pair in links for row in pair})
        between = {_roots(root, pair): _witnesses(members, _roots(root, pair)) for pair in links}
        unknown = sorted({pair for asked in between.values() for pair in asked} - known.keys())
        known.update(compare(unknown) if unknown else {})
        joined = _join(between, known, copy)
        if not joined:
            return root
        root = _components([*enumerate(root.tolist()), *joined], count)


def _join(between: dict[Pair, list[Pair]], known: dict[Pair, float], copy: float) -> list[Pair]:
    """Return the clusters to join, the most alike first and each in one pair only: then the others are asked anew."""
    shares = {names: float(np.mean([known[pair] >= copy for pair in asked])) for names, asked in between.items()}
    taken: set[int] = set()
    joined = []
    for names in sorted(shares, key=lambda one: (-shares[one], one)):
        if shares[names] >= ENOUGH and taken.isdisjoint(names):
            joined.append(names)
            taken.update(names)
    return joined


def _roots(root: np.ndarray, pair: Pair) -> Pair:
    one, other = sorted((int(root[pair[0]]), int(root[pair[1]])))
    return one, other


def _members(root: np.ndarray, wanted: set[int]) -> dict[int, list[int]]:
    members: defaultdict[int, list[int]] = defaultdict(list)
    for row in np.flatnonzero(np.isin(root, sorted(wanted))).tolist():
        if len(members[int(root[row])]) < MOST:
            members[int(root[row])].append(row)
    return members


def _witnesses(members: dict[int, list[int]], names: Pair) -> list[Pair]:
    return [(min(pair), max(pair)) for pair in product(members[names[0]], members[names[1]])]


def _components(links: list[Pair], count: int) -> np.ndarray:
    """Return the lowest row of each row's connected component ``(N,)``; rows are sorted by sample_id."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not count:
        return np.zeros(0, np.int64)
    first, second = np.array(links, np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(count, count))
    _, component = connected_components(graph, directed=False)
    lowest = np.full(component.max() + 1, count)
    np.minimum.at(lowest, component, np.arange(count))
    return lowest[component]


def choose_keepers(rows: pd.DataFrame, root: np.ndarray) -> pd.DataFrame:
    """Return ``keeper`` (a row) and ``reason`` for each row; '' for a row that is alone.

    The largest stays; of members about as large, the least compressed; of these, one that is labelled as most of the
    group. What is left is settled by pixels, bytes and the smallest sample_id.
    """
    table = rows[["width", "height", "bytes", "given_label"]].assign(row=np.arange(len(rows)), root=root)
    keeper, reason = np.arange(len(rows)), np.full(len(rows), "", dtype=object)
    for _, group in table[table["root"].duplicated(keep=False)].groupby("root"):
        kept, why = _choose(group)
        keeper[group["row"]], reason[group["row"]] = kept, why
    return pd.DataFrame({"keeper": keeper, "reason": reason})


def _choose(group: pd.DataFrame) -> tuple[int, str]:
    pixels = (group["width"] * group["height"]).astype(float)
    fineness = group["bytes"] / pixels
    large = pixels >= AS_LARGE * pixels.max()
    fine = large & (fineness >= AS_FINE * fineness[large].max())
    labels = group.loc[group["given_label"] != "", "given_label"].value_counts()
    common = sorted(labels.index[labels == labels.max()]) if len(labels) else []
    # A tie of labels prefers nobody.
    fitting = fine & (group["given_label"] == common[0]) if len(common) == 1 else fine
    stays = fitting if fitting.any() else fine
    ranked = group[stays].assign(pixels=pixels).sort_values(["pixels", "bytes", "row"], ascending=[False, False, True])
    kept = ranked.iloc[0]
    if not large.all():
        other = group[~large].assign(pixels=pixels).sort_values(["pixels", "row"], ascending=[False, True]).iloc[0]
        why = f"{kept.width:,} x {kept.height:,} instead of {other.width:,} x {other.height:,}"
    elif not fine.all():
        best = fineness[~fine].max()
        why = f"less compressed: {8 * fineness[kept.name]:.2f} instead of {8 * best:.2f} bits a pixel"
    elif stays.sum() < len(group):
        why = f"labelled {kept.given_label} as most of its copies"
    else:
        why = "as large and as fine as the others"
    return int(kept.row), why
