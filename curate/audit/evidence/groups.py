"""Finds groups of near copies: candidate pairs, each confirmed by a test of the two images alone.

Candidates may be generous and depend on what else is there; the verdict does not: adding images never turns two copies
into strangers or two look-alikes into copies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from curate.audit.evidence.candidates import find_candidates
from curate.audit.evidence.copy_groups import COPY, choose_keepers, connect_copies
from curate.images.thumbnails import decode_thumbnail
from curate.storage.cache import ContentCache
from curate.storage.engine import available_processors, batched
from curate.storage.progress import track

if TYPE_CHECKING:
    from curate.audit.evidence.copies import Copy

ReadThumbnails = Callable[[Sequence[str]], dict[str, bytes]]  # sample ids -> encoded thumbnails

CHUNK = 200  # pairs a shard of the cache; some 300 pictures with their scaled copies, 250 MB, are held at once
READ = 2_000  # pairs whose thumbnails are read at once, some 75 MB: scattered ones cost a walk through all of the cache
COMPARED = ["pair", "similarity", "kind", "found"]
GROUPS = ["sample_id", "group_id", "kind", "keeper", "similarity", "closest", "reason", "found"]


def compute_groups(
    rows: pd.DataFrame,
    neighbours: tuple[np.ndarray, np.ndarray],
    read_thumbnails: ReadThumbnails,
    cache: Path | None = None,
) -> pd.DataFrame:
    """Return the near-duplicate group of each of ``rows``: the N readable samples, sorted by sample_id.

    Parameters
    ----------
    neighbours
        Indices and cosine similarities ``(N, k)`` of the neighbour graph.
    cache
        Where comparisons are kept between runs; None for nowhere.

    Returns
    -------
    Columns ``sample_id, group_id, kind, keeper, similarity, closest, reason, found``. `group_id`: the smallest
    sample_id of the group, its own for a sample without copies. `kind`: identical_pixels, reencoded, edited, cropped,
    mirrored or rotated, '' without copies. `keeper` and `reason`: the member to keep, and why. `similarity` 0..1,
    `kind` and `found` (what the comparison saw, as "one shows 62 % of the other") speak of `closest`: the keeper
    where the two were compared and are copies, else the most similar of its candidates.
    """
    ids = rows["sample_id"].to_numpy()
    pairs = compare_candidates(rows, find_candidates(rows, neighbours), read_thumbnails, cache)

    def compare(asked: list[tuple[int, int]]) -> dict[tuple[int, int], float]:
        nonlocal pairs
        more = compare_candidates(rows, asked, read_thumbnails, cache)
        pairs = pd.concat([pairs, more], ignore_index=True)
        return dict(zip(asked, more["similarity"].tolist(), strict=True))

    root = connect_copies(pairs, len(rows), COPY, compare)
    kept = choose_keepers(rows, root)
    best = _best_pairs(pairs, kept["keeper"].to_numpy(np.int64), root)
    return _tabulate(ids, root, kept, best)


def _tabulate(ids: np.ndarray, root: np.ndarray, kept: pd.DataFrame, best: pd.DataFrame) -> pd.DataFrame:
    has_copy = pd.Series(root).duplicated(keep=False).to_numpy(bool)
    table = {
        "sample_id": ids,
        "group_id": ids[root] if len(ids) else ids,
        "kind": np.where(has_copy, best["kind"], ""),
        "keeper": ids[kept["keeper"]] if len(ids) else ids,
        "similarity": best["similarity"],
        "closest": ids[best["other"]] if len(ids) else ids,
        "reason": kept["reason"],
        "found": np.where(has_copy, best["found"], ""),
    }
    return pd.DataFrame(table, columns=GROUPS)


def compare_candidates(
    samples: pd.DataFrame,
    candidates: Sequence[tuple[int, int]],
    read_thumbnails: ReadThumbnails,
    cache: Path | None = None,
) -> pd.DataFrame:
    """Return ``first, second, similarity, kind, found`` of the candidate pairs; known pairs come from the cache."""
    ids = list(samples["sample_id"])
    pixels = samples["pixel_hash"].to_numpy()
    keys = {(first, second): ids[first] + ids[second] for first, second in candidates}
    unequal = [pair for pair in candidates if pixels[pair[0]] != pixels[pair[1]]]
    asked = {keys[pair]: (ids[pair[0]], ids[pair[1]]) for pair in unequal}
    known = _compare_new(asked, read_thumbnails, cache)
    same = (1.0, "identical_pixels", "")
    rows = [(first, second, *known.get(keys[first, second], same)) for first, second in candidates]
    return pd.DataFrame(rows, columns=["first", "second", *COMPARED[1:]])


def _compare_new(
    pairs: dict[str, tuple[str, str]], read_thumbnails: ReadThumbnails, folder: Path | None
) -> dict[str, tuple[float, str, str]]:
    def compared(missing: list[str]) -> Iterable[pd.DataFrame]:
        return track(_compare_chunks(pairs, missing, read_thumbnails), len(missing), "compare", unit="pairs")

    if not pairs:
        return {}
    keys = list(pairs)
    tables = [ContentCache(folder, "copies-v4", key="pair").complete(keys, compared)] if folder else compared(keys)
    rows = (row for table in tables for row in table[COMPARED].to_numpy().tolist())
    return {pair: (similarity, kind, found) for pair, similarity, kind, found in rows}


def _compare_chunks(
    pairs: dict[str, tuple[str, str]], missing: list[str], read_thumbnails: ReadThumbnails
) -> Iterable[pd.DataFrame]:
    """Yield the comparisons of the missing pairs; OpenCV lets go of the interpreter, so threads share the work."""
    import cv2

    from curate.audit.evidence.alignment import Picture
    from curate.audit.evidence.copies import compare_pictures

    cv2.setNumThreads(1)
    with ThreadPoolExecutor(available_processors()) as pool:
        for many in batched(missing, READ):
            contents = read_thumbnails(_members(pairs, many))
            for keys in batched(many, CHUNK):
                members = _members(pairs, keys)
                pixels = pool.map(_read_pixels, (contents[one] for one in members))
                picture = dict(zip(members, map(Picture, pixels), strict=True))
                firsts, seconds = ([picture[pairs[key][side]] for key in keys] for side in (0, 1))
                results = pool.map(compare_pictures, firsts, seconds)
                found = [(key, one.similarity, one.kind, _found(one)) for key, one in zip(keys, results, strict=True)]
                yield pd.DataFrame(found, columns=COMPARED)


def _members(pairs: dict[str, tuple[str, str]], keys: Sequence[str]) -> list[str]:
    return sorted({one for key in keys for one in pairs[key]})


def _read_pixels(content: bytes) -> np.ndarray:
    return np.asarray(decode_thumbnail(content))


def _found(copy: Copy) -> str:
    """Return what the comparison saw beyond the kind, '' where that says it all.

    >>> from curate.audit.evidence.copies import Copy
    >>> _found(Copy(0.9, mirrored=True, shared=0.62, is_edited=True))
    'one shows 62 % of the other, colours or details differ'
    """
    said = [f"turned by {copy.turned} degrees"] if copy.turned else []
    # Less than this is the frame of a frame: rounding of sizes cuts off a row or two.
    said += [f"one shows {copy.shared:.0%} of the other".replace("%", " %")] if copy.shared < 0.97 else []
    said += ["colours or details differ"] if copy.is_edited else []
    return ", ".join(said)


def _best_pairs(pairs: pd.DataFrame, keeper: np.ndarray, root: np.ndarray) -> pd.DataFrame:
    """Return what each row is compared with: ``similarity`` (0 without candidates), ``kind``, ``found``, ``other``.

    The keeper first, then others of its group: a weak pair that did not join two groups speaks for neither.
    """
    turned = pairs.rename(columns={"first": "second", "second": "first"})
    both = pd.concat([pairs, turned], ignore_index=True)
    first, second = (both[name].to_numpy(np.int64) for name in ("first", "second"))
    both["kept"] = (keeper[first] == second) & (both["similarity"] >= COPY)
    both["one_group"] = (root[first] == root[second]) & (both["similarity"] >= COPY)
    order = ["kept", "one_group", "similarity", "second"]
    both = both.sort_values(order, ascending=[False, False, False, True])
    best = both.drop_duplicates("first").set_index("first").reindex(range(len(keeper)))
    own = pd.Series(range(len(keeper)), index=best.index)
    return pd.DataFrame(
        {
            "similarity": best["similarity"].astype(float).fillna(0.0).to_numpy(),
            "kind": best["kind"].fillna("").to_numpy(),
            "found": best["found"].fillna("").to_numpy(),
            "other": best["second"].fillna(own).astype(int).to_numpy(),
        }
    )
