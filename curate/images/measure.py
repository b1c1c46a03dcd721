"""Measures one decoded image: hashes, quality measures, a thumbnail.

Everything is measured on one copy whose shorter side has at most 256 pixels, so that a threshold means the same for a
photo of 300 and of 6,000 pixels.
"""

from __future__ import annotations

import functools
import hashlib
import io

import numpy as np
from PIL import Image, ImageChops

from curate.images.appearance import measure_borders, measure_edges, measure_grain, measure_tint
from curate.images.decoder import Picture, Unreadable, open_picture
from curate.spec.model import Images
from curate.storage.tables import MEASURES

SIDE = 256  # of thumbnails: what the networks' 224 px crop needs
LONGEST = 1024  # a panorama's thumbnail is cut in resolution, not cropped
LOSSLESS_BELOW = 97  # tiny images (CIFAR) would lose to a second JPEG compression
HASH_SIDE = 32


def measure_content(content: bytes, policy: Images) -> tuple[dict[str, object], bytes]:
    """Return a row of ``tables.MEASURES`` without its sample_id, and the thumbnail's bytes (b'' when unreadable)."""
    try:
        picture = open_picture(content, policy, min_side=SIDE)
    except Unreadable as error:
        return {**_nothing(), "bytes": len(content), "reason": str(error)}, b""
    small = shrink(picture.image)
    row = {**_nothing(), "bytes": len(content), **_header(picture), **measure_quality(small)}
    row["pixel_hash"] = hash_pixels(picture.image)
    row["phash"], row["phash_mirrored"] = compute_phash(small)
    return row, encode_thumbnail(small)


def shrink(image: Image.Image) -> Image.Image:
    """Return ``image`` with a shorter side of at most 256 pixels and a longer of at most 1,024; never enlarged."""
    scale = min(1.0, SIDE / min(image.size), LONGEST / max(image.size))
    if scale == 1.0:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)


def encode_thumbnail(small: Image.Image) -> bytes:
    """Return ``small`` as JPEG of quality 95 without colour subsampling, or as PNG when it is tiny."""
    buffer = io.BytesIO()
    if min(small.size) < LOSSLESS_BELOW:
        small.save(buffer, "PNG")
    else:
        small.save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def hash_pixels(image: Image.Image) -> str:
    """Return a hash of the decoded pixels: equal for the same picture with other metadata or lossless format."""
    return hashlib.sha256(b"%d %d " % image.size + image.tobytes()).hexdigest()[:20]


def compute_phash(image: Image.Image) -> tuple[int, int]:
    """Return the 64-bit perceptual hash of ``image`` and that of its mirror image.

    The signs of the 8 x 8 lowest frequencies of a 32 x 32 grey copy against their median, constant left out. Mirroring
    only changes the sign of the odd horizontal frequencies, so the second hash costs nothing.

    References
    ----------
    C. Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010, section 3.2.1.
    """
    grey = np.asarray(image.convert("L").resize((HASH_SIDE, HASH_SIDE), Image.Resampling.BILINEAR), dtype=np.float64)
    basis = _cosines()
    low = basis @ grey @ basis.T
    return _pack(low), _pack(low * np.where(np.arange(8) % 2, -1.0, 1.0))


def measure_quality(small: Image.Image) -> dict[str, float]:
    """Return the quality measures of a shrunk RGB image.

    brightness, its 99th and 5th percentile, contrast (standard deviation): luminance in 0..1. entropy: bits of the grey
    histogram, 0..8. colourfulness: 99th percentile of the spread between the channels, 0..1. The others are those of
    ``curate.images.appearance``.
    """
    grey, levels = small.convert("L"), np.arange(256)
    share = np.array(grey.histogram()) / (small.width * small.height)
    pixels, mean = np.asarray(grey), float(share @ levels)
    present, steps = share[share > 0], np.cumsum(share)
    return {
        "brightness": mean / 255,
        "brightness_p99": int(np.searchsorted(steps, 0.99)) / 255,
        "brightness_p05": int(np.searchsorted(steps, 0.05)) / 255,
        "contrast": float(np.sqrt(share @ (levels - mean) ** 2)) / 255,
        "entropy": float(-(present * np.log2(present)).sum()) + 0.0,
        "colourfulness": int(np.searchsorted(np.cumsum(_channel_spread(small)), 0.99)) / 255,
        "tint_spread": measure_tint(np.asarray(small)),
        **measure_edges(pixels),
        **measure_borders(pixels),
        **measure_grain(pixels),
    }


def _channel_spread(small: Image.Image) -> np.ndarray:
    """Return the shares (256,) of pixels by the difference of their largest and smallest channel."""
    red, green, blue = small.split()
    largest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    smallest = ImageChops.darker(ImageChops.darker(red, green), blue)
    return np.array(ImageChops.difference(largest, smallest).histogram()) / (small.width * small.height)


@functools.cache
def _cosines() -> np.ndarray:
    """The first 8 rows of the orthonormal DCT-II of 32 points."""
    rows, columns = np.arange(8)[:, None], np.arange(HASH_SIDE)[None, :]
    return np.cos(np.pi * (2 * columns + 1) * rows / (2 * HASH_SIDE)) * np.sqrt(2 / HASH_SIDE)


def _pack(low: np.ndarray) -> int:
    values = low.ravel()
    bits = values > np.median(values[1:])
    return int(np.packbits(bits).view(">u8")[0])


def _header(picture: Picture) -> dict[str, object]:
    names = ("format", "mode", "width", "height", "frames", "orientation")
    return {name: getattr(picture, name) for name in names}


def _nothing() -> dict[str, object]:
    blanks: dict[str, object] = {"str": "", "int64": 0, "uint64": 0, "float64": float("nan")}
    return {name: blanks[kind] for name, kind in MEASURES.items() if name != "sample_id"}
