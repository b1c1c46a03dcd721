"""Thumbnails to nine small patches: what lies in the corners, at the edges and in the middle of each picture.

A mark, a stamp or a backdrop lies in the same place of many pictures; patches are squares of a quarter of the shorter
side, so that a corner is the same corner whatever the shape of the picture.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from curate.cache import ContentCache
from curate.detectors.evidence import Evidence
from curate.detectors.label_model import make_folds
from curate.engine import batched
from curate.thumbnails import cut_patches, decode_thumbnail

CACHE = "patches-v1"
SIDE = 16  # pixels of a patch: a mark of 12 % of the shorter side takes 8 of them
AT_ONCE = 512  # thumbnails
PLACES = {
    "top left": (0.0, 0.0),
    "top": (0.5, 0.0),
    "top right": (1.0, 0.0),
    "left": (0.0, 0.5),
    "middle": (0.5, 0.5),
    "right": (1.0, 0.5),
    "bottom left": (0.0, 1.0),
    "bottom": (0.5, 1.0),
    "bottom right": (1.0, 1.0),
}
FOLDS = 5
RIDGE = 0.05  # of the total of the squared features
STRONG = 24.0  # grey levels: a stronger edge counts no more, or one bright lamp would outweigh a faint mark


def compute_patches(evidence: Evidence, rows: np.ndarray) -> np.ndarray:
    """Return the patches ``(N, 9, 16, 16, 3)`` uint8 of the readable samples ``rows`` ``(N,)``; kept by content."""
    ids = [evidence.ids[row] for row in rows]
    known: dict[str, bytes] = {}
    cache = ContentCache(evidence.cache, CACHE) if evidence.cache else None
    if cache:
        stored = cache.read(ids)
        known = dict(zip(stored["sample_id"], stored["patches"], strict=True)) if len(stored) else {}
    for batch in batched([one for one in ids if one not in known], AT_ONCE):
        new = {one: _cut(image) for one, image in evidence.read_thumbnails(batch).items()}
        if cache:
            cache.add(pd.DataFrame({"sample_id": list(new), "patches": list(new.values())}))
        known.update(new)
    joined = b"".join(known[one] for one in ids)
    return np.frombuffer(joined, np.uint8).reshape(len(ids), len(PLACES), SIDE, SIDE, 3)


def _cut(thumbnail: bytes) -> bytes:
    return cut_patches(decode_thumbnail(thumbnail), list(PLACES.values()), SIDE).tobytes()


def describe_patch(patches: np.ndarray) -> np.ndarray:
    """Return features ``(N, F)`` float32 of one place's patches ``(N, S, S, 3)``: edges, how busy it is, and colours.

    Edges keep their sign and are cut at ``STRONG``: those of a mark agree in all pictures and add up, those of the
    pictures cancel each other.

    References
    ----------
    T. Dekel et al., On the Effectiveness of Visible Watermarks, 2017, section 3.1: marks stand out in mean gradients.
    """
    colours = patches.astype(np.float32)
    grey = colours.mean(axis=3)
    across = np.clip(np.diff(grey, axis=2), -STRONG, STRONG) / STRONG
    down = np.clip(np.diff(grey, axis=1), -STRONG, STRONG) / STRONG
    busy = _pooled(np.abs(across[:, :-1]) + np.abs(down[:, :, :-1]), 3)
    coarse = _pooled(colours, 4) / 128 - 1
    count = len(patches)
    return np.concatenate([part.reshape(count, -1) for part in (across, down, busy, coarse)], axis=1)


def mean_edges(features: np.ndarray) -> float:
    """Return the length of the mean of the signed edges of ``features`` ``(N, F)``: a mark's agree and add up."""
    return float(np.linalg.norm(features[:, : 2 * SIDE * (SIDE - 1)].mean(axis=0)))


def score_patch(features: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return how much each patch looks like those of each class, out of sample: ``(N, K)``.

    A ridge regression from ``features`` ``(N, F)`` to the classes ``labels`` ``(N,)``, fitted on four fifths and asked
    about the last.
    """
    fold_of = make_folds(labels, np.arange(len(labels)), FOLDS).of
    scores = np.full((len(labels), classes), np.nan)
    targets = np.eye(classes)[labels]
    for fold in range(FOLDS):
        held_out = fold_of == fold
        if not held_out.any() or held_out.all():
            continue
        centre = features[~held_out].mean(axis=0)
        known = (features[~held_out] - centre).astype(np.float64)
        gram = known.T @ known
        gram[np.diag_indices_from(gram)] += RIDGE * np.trace(gram) + 1e-9
        weights = np.linalg.solve(gram, known.T @ (targets[~held_out] - targets[~held_out].mean(axis=0)))
        scores[held_out] = (features[held_out] - centre) @ weights
    return np.round(scores, 6)


def _pooled(maps: np.ndarray, step: int) -> np.ndarray:
    """Return the means of ``step x step`` pixels of ``maps`` ``(N, H, W, ...)``."""
    height, width = (size // step for size in maps.shape[1:3])
    cut = maps[:, : height * step, : width * step]
    pooled: np.ndarray = cut.reshape(len(maps), height, step, width, step, *maps.shape[3:]).mean(axis=(2, 4))
    return pooled
