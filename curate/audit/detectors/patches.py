"""Cuts thumbnails into nine patches: the corners, the edges and the middle of each image.

A mark, a stamp or a backdrop lies in the same place of many pictures; patches are squares of a quarter of the shorter
side, so that a corner is the same corner whatever the shape of the picture.
"""

from __future__ import annotations

import numpy as np

from curate.audit.evidence.evidence import Evidence, map_thumbnails
from curate.audit.evidence.label_model import make_folds
from curate.images.thumbnails import cut_patches, decode_thumbnail

CACHE = "patches-v1"
SIDE = 16  # pixels of a patch: a mark of 12 % of the shorter side takes 8 of them
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
RIDGE = 0.01  # of the total of the squared features
JOINED = 4  # pixels
STRONG = 24.0  # grey levels: a stronger edge counts no more, or one bright lamp would outweigh a faint mark


def compute_patches(evidence: Evidence, rows: np.ndarray) -> np.ndarray:
    """Return the patches ``(N, 9, 16, 16, 3)`` uint8 of the readable samples ``rows`` ``(N,)``; kept by content."""
    ids = [evidence.ids[row] for row in rows]
    cut = map_thumbnails(evidence, ids, CACHE, ["patches"], _cut, "corners")
    known = dict(zip(cut["sample_id"], cut["patches"], strict=True))
    joined = b"".join(known[one] for one in ids)
    return np.frombuffer(joined, np.uint8).reshape(len(ids), len(PLACES), SIDE, SIDE, 3)


def _cut(thumbnail: bytes) -> tuple[bytes]:
    return (cut_patches(decode_thumbnail(thumbnail), list(PLACES.values()), SIDE).tobytes(),)


def describe_patch(patches: np.ndarray) -> np.ndarray:
    """Return the signed edges ``(N, F)`` float32 of one place's patches ``(N, S, S, 3)``, of light and of colour.

    They are cut at ``STRONG``. Those of a mark agree in all pictures and add up, those of the pictures cancel each
    other; a date that changes still has the edges of its line, above all in colour: those are joined along the edge.

    References
    ----------
    T. Dekel et al., On the Effectiveness of Visible Watermarks, 2017, section 3.1: marks stand out in mean gradients.
    """
    colours = patches.astype(np.float32)
    red, green, blue = np.moveaxis(colours, 3, 0)
    parts = [_edges(colours.mean(axis=3), axis) for axis in (1, 2)]
    for opposed in (red - blue, red - green):
        down, across = (_edges(opposed, axis) for axis in (1, 2))
        parts += [_joined(down), _joined(across.transpose(0, 2, 1))]
    return np.concatenate([part.reshape(len(patches), -1) for part in parts], axis=1)


def _edges(maps: np.ndarray, axis: int) -> np.ndarray:
    """Return the differences of neighbours in ``maps`` ``(N, S, S)`` along an axis, in -1..1."""
    cut: np.ndarray = np.clip(np.diff(maps, axis=axis), -STRONG, STRONG) / STRONG
    return cut


def _joined(maps: np.ndarray) -> np.ndarray:
    """Return means of ``JOINED`` pixels along the last axis of ``maps`` ``(N, S - 1, S)``."""
    joined: np.ndarray = maps.reshape(*maps.shape[:2], SIDE // JOINED, JOINED).mean(axis=3)
    return joined


def mean_edges(features: np.ndarray) -> float:
    """Return the length of the mean of ``features`` ``(N, F)``: the edges of a mark agree and add up."""
    return float(np.linalg.norm(features.mean(axis=0)))


def score_patch(features: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return how much each patch looks like those of each class, out of sample: ``(N, K)``.

    A ridge regression from ``features`` ``(N, F)`` to the classes ``labels`` ``(N,)``, fitted on four fifths and asked
    about the last.
    """
    fold_of = make_folds(labels, np.arange(len(labels)), FOLDS).of
    scores = np.full((len(labels), classes), np.nan)
    targets = np.eye(classes)[labels]
    centred = (features - features.mean(axis=0)).astype(np.float64)
    whole, side = centred.T @ centred, centred.T @ targets
    for fold in range(FOLDS):
        held_out = centred[fold_of == fold]
        if not len(held_out) or len(held_out) == len(centred):
            continue
        # What is held out is subtracted from the sums: a fifth of the work of summing anew.
        gram = whole - held_out.T @ held_out
        gram[np.diag_indices_from(gram)] += RIDGE * np.trace(gram) + 1e-9
        known = side - held_out.T @ targets[fold_of == fold]
        scores[fold_of == fold] = held_out @ np.linalg.solve(gram, known)
    return np.round(scores, 6)
