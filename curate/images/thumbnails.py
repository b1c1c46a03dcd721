"""Reads the small upright RGB copies that the scan keeps: the pixels of every later stage.

So each source file is read and decoded once, however many stages look at it, and a slow disk is asked once.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from curate.images.decoder import square_pixels
from curate.storage.cache import ContentCache
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder


def thumbnail_cache(dataset: DatasetFolder) -> ContentCache:
    """Return the cache of thumbnails: columns ``sample_id, image`` (JPEG or PNG bytes)."""
    return ContentCache(dataset.cache, "thumbnails-v1")


def read_thumbnails(dataset: DatasetFolder, sample_ids: Sequence[str]) -> dict[str, bytes]:
    """Return the encoded thumbnail of each sample; ask for at most some thousands at a time.

    Raises
    ------
    Problem
        When one is missing: the cache was deleted, or the sample is unreadable.
    """
    rows = thumbnail_cache(dataset).read(list(sample_ids))
    found = dict(zip(rows["sample_id"], rows["image"], strict=True)) if len(rows) else {}
    missing = [sample_id for sample_id in sample_ids if sample_id not in found]
    if missing:
        raise Problem(
            f"Expected thumbnails of {len(sample_ids)} samples, but {len(missing)} are missing "
            f"({', '.join(missing[:3])}). Run `curate scan {dataset.path}` to make them again."
        )
    return found


def decode_thumbnail(content: bytes) -> Image.Image:
    """Return the RGB image of a thumbnail."""
    with Image.open(io.BytesIO(content), formats=["JPEG", "PNG"]) as image:
        return image.convert("RGB")


def read_pixels(
    dataset: DatasetFolder, sample_ids: Sequence[str], side: int, workers: int = 2, whole: bool = False
) -> np.ndarray:
    """Return the centres of the samples as ``(N, side, side, 3)`` uint8, in the order of ``sample_ids``.

    ``whole`` as in ``images.square_pixels``.
    """
    if not len(sample_ids):
        return np.zeros((0, side, side, 3), np.uint8)
    thumbnails = read_thumbnails(dataset, sample_ids)
    with ThreadPoolExecutor(workers) as pool:
        squares = pool.map(lambda one: square_pixels(decode_thumbnail(thumbnails[one]), side, whole), sample_ids)
        return np.stack(list(squares))


def cut_patches(image: Image.Image, places: Sequence[tuple[float, float]], side: int) -> np.ndarray:
    """Return squares of a quarter of the shorter side at ``places`` of ``image`` as ``(P, side, side, 3)`` uint8.

    A place is how far to the right and how far down, each 0..1.
    """
    size = min(image.size) / 4
    corners = [((image.width - size) * right, (image.height - size) * down) for right, down in places]
    boxes = [(left, top, left + size, top + size) for left, top in corners]
    return np.stack([np.asarray(image.resize((side, side), Image.Resampling.BILINEAR, box=box)) for box in boxes])
