"""Renders planned files: the drawing, its fault, its format. Each depends on the seed and its own row alone."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from curate.demo.plan import Planted
from curate.demo.scene import choose_size, draw_animal, draw_offtopic

ORIENTATION = 0x0112
# EXIF orientation -> the turn of the stored pixels that it undoes
STORED_TURNS = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
Fault = Callable[[Image.Image, np.random.Generator, str], bytes]


def encode_planted(planted: Planted, seed: int) -> bytes:
    """Return the bytes of the file that ``planted`` describes."""
    rng = np.random.default_rng((seed, 1, planted.drawing))
    if planted.fault == "off_topic":
        return _jpeg(draw_offtopic(rng), _quality(rng))
    size = {"odd_size": (24, 24), "odd_aspect_ratio": (320, 40)}.get(planted.fault)
    drawing = draw_animal(planted.species, rng, size)
    own = np.random.default_rng((seed, 2, planted.own))
    if planted.detail == "byte_copy" or planted.fault not in FAULTS:
        return _jpeg(drawing, _quality(rng))
    return FAULTS[planted.fault](drawing, own, planted.detail)


def _as_near_copy(drawing: Image.Image, rng: np.random.Generator, detail: str) -> bytes:
    """Return ``drawing`` re-encoded and perhaps resized, cropped by a tenth or mirrored, as ``detail`` says."""
    width, height = drawing.size
    if detail == "resized":
        share = float(rng.choice([0.6, 0.75, 1.4]))
        drawing = drawing.resize((round(width * share), round(height * share)), Image.Resampling.LANCZOS)
    elif detail == "cropped":
        left, top = (int(side * rng.uniform(0.02, 0.08)) for side in drawing.size)
        drawing = drawing.crop((left, top, width - int(0.1 * width) + left, height - int(0.1 * height) + top))
    elif detail == "mirrored":
        drawing = ImageOps.mirror(drawing)
    return _jpeg(drawing, int(rng.integers(40, 58)))


def _as_dark(drawing: Image.Image, rng: np.random.Generator, detail: str) -> bytes:
    """Return ``drawing`` as if the lens had been covered."""
    gain = float(rng.uniform(0.05, 0.11))
    return _jpeg(drawing.point(lambda value: round(value * gain)), 85)


def _as_blurry(drawing: Image.Image, rng: np.random.Generator, detail: str) -> bytes:
    """Return ``drawing`` out of focus."""
    return _jpeg(drawing.filter(ImageFilter.GaussianBlur(max(drawing.size) * float(rng.uniform(0.03, 0.05)))), 85)


def _as_blank(drawing: Image.Image, rng: np.random.Generator, detail: str) -> bytes:
    """Return one colour."""
    red, green, blue = rng.integers(30, 226, 3).tolist()
    return _jpeg(Image.new("RGB", choose_size(rng), (red, green, blue)), 85)


def _as_unreadable(drawing: Image.Image, rng: np.random.Generator, detail: str) -> bytes:
    """Return a JPEG cut off half way, a text or nothing, as ``detail`` says."""
    if detail == "truncated":
        whole = _jpeg(drawing, 85)
        return whole[: int(len(whole) * rng.uniform(0.2, 0.6))]
    return b"" if detail == "empty" else f"This is text {int(rng.integers(10**9))}, not an image.\n".encode()


def _as_exif(drawing: Image.Image, rng: np.random.Generator, detail: str) -> bytes:
    """Return a JPEG whose pixels are stored turned, with the EXIF orientation that turns them upright."""
    orientation = int(rng.choice(list(STORED_TURNS)))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return _jpeg(drawing.transpose(STORED_TURNS[orientation]), 88, exif=exif)


def _as_sixteen_bit(drawing: Image.Image, rng: np.random.Generator, detail: str) -> bytes:
    """Return a grey PNG of 16 bits that uses their whole range."""
    return _encoded(Image.fromarray(np.asarray(drawing.convert("L")).astype(np.uint16) * 257), "PNG")


def _as_animated(drawing: Image.Image, rng: np.random.Generator, detail: str) -> bytes:
    """Return a GIF that shows ``drawing`` first and then two mirrored frames."""
    frames = [ImageOps.mirror(drawing), ImageOps.flip(drawing)]
    return _encoded(drawing.quantize(128), "GIF", save_all=True, append_images=frames, duration=200, loop=0)


def _as_alpha(drawing: Image.Image, rng: np.random.Generator, detail: str) -> bytes:
    """Return a PNG that is transparent outside a rounded frame."""
    alpha = Image.new("L", drawing.size, 0)
    ImageDraw.Draw(alpha).rounded_rectangle((3, 3, drawing.width - 4, drawing.height - 4), min(drawing.size) // 4, 255)
    drawing.putalpha(alpha)
    return _encoded(drawing, "PNG")


# A fault that is not listed changes nothing in the file.
FAULTS: dict[str, Fault] = {
    "near_copy": _as_near_copy,
    "label_conflict": _as_near_copy,
    "dark": _as_dark,
    "blurry": _as_blurry,
    "blank": _as_blank,
    "unreadable": _as_unreadable,
    "exif": _as_exif,
    "cmyk": lambda drawing, rng, detail: _jpeg(drawing.convert("CMYK"), 88),
    "sixteen_bit": _as_sixteen_bit,
    "palette": lambda drawing, rng, detail: _encoded(drawing.quantize(96), detail.upper()),
    "animated": _as_animated,
    "alpha": _as_alpha,
    "grayscale": lambda drawing, rng, detail: _jpeg(drawing.convert("L"), 85),
}


def _quality(rng: np.random.Generator) -> int:
    return int(rng.integers(60, 96))


def _jpeg(image: Image.Image, quality: int, **options: Any) -> bytes:
    return _encoded(image, "JPEG", quality=quality, **options)


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
