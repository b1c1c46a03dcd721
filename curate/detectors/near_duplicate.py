"""Groups of copies: candidates from hashes and embeddings, each confirmed by a test of the two pictures alone.

Candidates may be generous and depend on what else is there; the verdict does not: adding images never turns two copies
into strangers or two look-alikes into copies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd

from curate.cache import ContentCache
from curate.detectors.candidates import find_candidates
from curate.detectors.evidence import Evidence, findings_table
from curate.engine import available_processors, batched
from curate.progress import track
from curate.thumbnails import decode_thumbnail

DETECTOR = "near_duplicate-v1"
# Made on 2,500 photos without copies and their own transforms: the closest strangers reach 0.62, copies 0.72 and more.
COPY = 0.7
WHOLE_FRAME = 0.93  # a copy that shares less of the picture showing more is a crop
CHUNK = 500  # pairs a shard of the cache
GROUPS = ["sample_id", "group_id", "kind", "keeper", "similarity", "closest"]


def find_near_duplicates(evidence: Evidence) -> pd.DataFrame:
    """Return every readable sample; score: 1 - similarity to the picture most like it among its candidates."""
    groups = evidence.groups
    rows = evidence.readable.merge(groups.rename(columns={"kind": "copy_kind"}), on="sample_id")
    grouped = rows["copy_kind"] != ""
    keeps = rows["keeper"] == rows["sample_id"]
    path = dict(zip(rows["sample_id"], rows["path"], strict=True))
    return findings_table(
        rows,
        "near_duplicate",
        DETECTOR,
        score=1 - rows["similarity"],
        is_issue=grouped,
        group_id=rows["group_id"].where(grouped, ""),
        suggested_action=np.where(~grouped, "", np.where(keeps, "keep", "merge")),
        evidence=[_sentence(row, path) for row in rows.itertuples()],
    )


def _sentence(row: object, path: dict[str, str]) -> str:
    if not row.copy_kind:  # type: ignore[attr-defined]
        return ""
    kind = row.copy_kind.replace("_", " ")  # type: ignore[attr-defined]
    closest = path[row.closest]  # type: ignore[attr-defined]
    agrees = f"{kind} copy of {closest}: aligned, three quarters of their windows correlate by at least"
    kept = "the one to keep" if row.keeper == row.sample_id else f"keep {path[row.keeper]} ({row.keeper})"  # type: ignore
    if kind == "identical pixels":
        return f"identical pixels to {closest}; {kept}"
    return f"{agrees} {row.similarity:.2f}; {kept}"  # type: ignore[attr-defined]


def compute_groups(evidence: Evidence) -> pd.DataFrame:
    """Return the near-duplicate group of each readable sample.

    Returns
    -------
    Columns ``sample_id, group_id, kind, keeper, similarity, closest``. `group_id`: the smallest sample_id of the group,
    its own for a sample without copies. `kind`: identical_pixels, reencoded, cropped or mirrored, '' without copies.
    `keeper`: the member with most pixels, then bytes, then the smallest id. `similarity` 0..1 and `kind` speak
    of `closest`: the keeper where the two were compared and are copies, else the most similar of its candidates.
    """
    rows = evidence.readable
    pairs = compare_candidates(evidence, find_candidates(evidence))
    copies = pairs[pairs["similarity"] >= COPY]
    root = _connect(copies, len(rows))
    ids = rows["sample_id"].to_numpy()
    order = rows.assign(root=root, pixels=rows["width"] * rows["height"]).sort_values(
        ["pixels", "bytes", "sample_id"], ascending=[False, False, True]
    )
    keeper_row = pd.Series(root).map(dict(zip(order["root"][::-1], order.index[::-1], strict=True))).to_numpy(np.int64)
    best = _best_pairs(pairs, keeper_row)
    has_copy = np.isin(np.arange(len(rows)), copies[["first", "second"]].to_numpy())
    table = {
        "sample_id": ids,
        "group_id": ids[root] if len(ids) else ids,
        "kind": np.where(has_copy, best["kind"], ""),
        "keeper": ids[keeper_row] if len(ids) else ids,
        "similarity": best["similarity"],
        "closest": ids[best["other"]] if len(ids) else ids,
    }
    return pd.DataFrame(table, columns=GROUPS)


def compare_candidates(evidence: Evidence, candidates: Sequence[tuple[int, int]]) -> pd.DataFrame:
    """Return columns ``first, second, similarity, kind`` for the candidate pairs; known pairs come from the cache."""
    ids = evidence.ids
    pixels = evidence.readable["pixel_hash"].to_numpy()
    keys = {(first, second): ids[first] + ids[second] for first, second in candidates}
    unequal = [pair for pair in candidates if pixels[pair[0]] != pixels[pair[1]]]
    known = _compare_new(evidence, {keys[pair]: (ids[pair[0]], ids[pair[1]]) for pair in unequal})
    same = (1.0, "identical_pixels")
    rows = [(first, second, *known.get(keys[first, second], same)) for first, second in candidates]
    return pd.DataFrame(rows, columns=["first", "second", "similarity", "kind"])


def _compare_new(evidence: Evidence, pairs: dict[str, tuple[str, str]]) -> dict[str, tuple[float, str]]:
    cache = ContentCache(evidence.cache, "copies-v1", key="pair") if evidence.cache else None
    missing = cache.missing(list(pairs)) if cache else list(pairs)
    known: dict[str, tuple[float, str]] = {}
    for chunk in track(_compare_chunks(evidence, pairs, missing), len(missing), "compare", unit="pairs"):
        known.update(zip(chunk["pair"], zip(chunk["similarity"], chunk["kind"], strict=True), strict=True))
        if cache:
            cache.add(chunk)
    if cache and len(missing) < len(pairs):
        rows = cache.read(list(pairs))
        known.update(zip(rows["pair"], zip(rows["similarity"], rows["kind"], strict=True), strict=True))
    return known


def _compare_chunks(
    evidence: Evidence, pairs: dict[str, tuple[str, str]], missing: list[str]
) -> Iterable[pd.DataFrame]:
    """Yield the comparisons of the missing pairs; OpenCV lets go of the interpreter, so threads share the work."""
    import cv2

    from curate.detectors.copies import Picture, compare_pictures

    cv2.setNumThreads(1)
    with ThreadPoolExecutor(available_processors()) as pool:
        for keys in batched(missing, CHUNK):
            members = sorted({one for key in keys for one in pairs[key]})
            contents = evidence.read_thumbnails(members)
            greys = pool.map(_read_grey, (contents[one] for one in members))
            picture = dict(zip(members, map(Picture, greys), strict=True))
            firsts, seconds = ([picture[pairs[key][side]] for key in keys] for side in (0, 1))
            results = list(pool.map(compare_pictures, firsts, seconds))
            kinds = [_kind(copy.mirrored, copy.shared) for copy in results]
            scores = [copy.similarity for copy in results]
            yield pd.DataFrame({"pair": list(keys), "similarity": scores, "kind": kinds})


def _read_grey(content: bytes) -> np.ndarray:
    return np.asarray(decode_thumbnail(content).convert("L"))


def _kind(mirrored: bool, shared: float) -> str:
    if mirrored:
        return "mirrored"
    return "reencoded" if shared >= WHOLE_FRAME else "cropped"


def _best_pairs(pairs: pd.DataFrame, keeper: np.ndarray) -> pd.DataFrame:
    """Return what each row is compared with: ``similarity`` (0 without candidates), ``kind``, ``other``."""
    turned = pairs.rename(columns={"first": "second", "second": "first"})
    both = pd.concat([pairs, turned], ignore_index=True)
    both["kept"] = (keeper[both["first"].to_numpy(np.int64)] == both["second"]) & (both["similarity"] >= COPY)
    both = both.sort_values(["kept", "similarity", "second"], ascending=[False, False, True])
    best = both.drop_duplicates("first").set_index("first").reindex(range(len(keeper)))
    own = pd.Series(range(len(keeper)), index=best.index)
    return pd.DataFrame(
        {
            "similarity": best["similarity"].astype(float).fillna(0.0).to_numpy(),
            "kind": best["kind"].fillna("").to_numpy(),
            "other": best["second"].fillna(own).astype(int).to_numpy(),
        }
    )


def _connect(copies: pd.DataFrame, count: int) -> np.ndarray:
    """Return the lowest row of each row's connected component ``(N,)``; rows are sorted by sample_id."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not count:
        return np.zeros(0, np.int64)
    first, second = copies["first"].to_numpy(np.int64), copies["second"].to_numpy(np.int64)
    graph = coo_array((np.ones(len(copies)), (first, second)), shape=(count, count))
    _, component = connected_components(graph, directed=False)
    lowest = np.full(component.max() + 1, count)
    np.minimum.at(lowest, component, np.arange(count))
    return lowest[component]
