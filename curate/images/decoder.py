"""Decodes bytes to an upright 8-bit RGB image: the one decoder of the whole project.

EXIF orientation is applied; alpha, CMYK, 16-bit, palette and animation follow the spec's ``images:`` policy; what
cannot or must not be decoded raises ``Unreadable`` with the reason. Colour profiles are not applied.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from curate.spec.model import Images

# A short list on purpose: Pillow's other readers start programs (EPS) or are rarely tested against hostile files.
FORMATS = ("JPEG", "MPO", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "AVIF")
SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .gif .bmp .webp .tif .tiff .ppm .pgm .pbm .avif .heic .heif .mpo".split()
)
BEHIND = {"white": (255, 255, 255), "black": (0, 0, 0), "grey": (128, 128, 128)}
ORIENTATION = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow's readers raise on broken files: a corrupt header can surface as almost any of these.
DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    NotImplementedError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


class Unreadable(Exception):
    """The bytes are no picture that can be used; the message is the reason, as the finding shows it."""


@dataclass(frozen=True)
class Picture:
    """A decoded image, upright RGB, and what its header said; width and height are upright pixels of the file."""

    image: Image.Image
    format: str
    mode: str
    width: int
    height: int
    frames: int
    orientation: int


def open_picture(content: bytes, policy: Images, min_side: int | None = None) -> Picture:
    """Decode ``content``.

    Parameters
    ----------
    min_side
        When given, a JPEG may be decoded at 1/2, 1/4 or 1/8 as long as both sides keep at least so many pixels:
        about twice as fast for large photos.

    Raises
    ------
    Unreadable
        When the bytes are empty, no image, truncated, too large, or refused by the policy.
    """
    if not content:
        raise Unreadable("the file is empty")
    try:
        with Image.open(io.BytesIO(content), formats=_available()) as opened:
            return _decode(opened, policy, min_side)
    except UnidentifiedImageError:
        raise Unreadable(f"not an image that can be read; it begins with {content[:8]!r}") from None
    except Image.DecompressionBombError as error:
        raise Unreadable(f"decompression bomb: {error}") from None
    except DECODE_ERRORS as error:
        raise Unreadable(f"cannot be decoded: {str(error) or type(error).__name__}") from None


def open_image(content: bytes, policy: Images, min_side: int | None = None) -> Image.Image:
    """Return only the picture of ``open_picture``."""
    return open_picture(content, policy, min_side).image


def square_pixels(image: Image.Image, side: int, whole: bool = False) -> np.ndarray:
    """Return the centre of ``image`` as ``(side, side, 3)`` uint8.

    The shorter side is scaled to ``side * 256 / 224`` first: the usual ImageNet framing at any size; or to ``side``
    when ``whole`` is set, so that nothing of it is cut off.
    """
    short = side if whole else round(side * 256 / 224)
    scale = short / min(image.size)
    size = (max(short, round(image.width * scale)), max(short, round(image.height * scale)))
    scaled = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    return np.asarray(scaled.crop((left, top, left + side, top + side)))


def _available() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _decode(opened: Image.Image, policy: Images, min_side: int | None) -> Picture:
    width, height = opened.size
    if width * height > policy.max_pixels:
        raise Unreadable(f"decompression bomb: {width} x {height} pixels, images.max_pixels is {policy.max_pixels:,}")
    frames = getattr(opened, "n_frames", 1)
    if frames > 1 and opened.format != "MPO" and policy.animation == "refuse":
        raise Unreadable(f"animated: {frames} frames, images.animation is refuse")
    form, mode, orientation = opened.format or "", opened.mode, _orientation(opened)
    if min_side is not None:
        opened.draft(None, (min_side, min_side))
    opened.seek(0)
    opened.load()
    image = _rgb(opened, BEHIND[policy.alpha])
    if orientation in UPRIGHT:
        image = image.transpose(UPRIGHT[orientation])
    if orientation >= 5:
        width, height = height, width
    return Picture(image, form, mode, width, height, frames, orientation)


def _orientation(opened: Image.Image) -> int:
    """Return the EXIF orientation 1..8; a broken EXIF block is not a broken image."""
    try:
        value = opened.getexif().get(ORIENTATION, 1)
    except DECODE_ERRORS:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _rgb(image: Image.Image, behind: tuple[int, int, int]) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image.copy()
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bit(image).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layered = image.convert("RGBA")
        ground = Image.new("RGBA", layered.size, (*behind, 255))
        return Image.alpha_composite(ground, layered).convert("RGB")
    return image.convert("RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey to 8 bits (Pillow's own convert clips instead); float images by their range."""
    values = np.asarray(image, dtype=np.float64)
    low, top = 0.0, 65535.0 if values.max(initial=0) > 255 else 255.0
    if image.mode == "F":
        low, top = float(values.min(initial=0)), float(values.max(initial=1))
    scaled = (values - low) / max(top - low, 1e-9) * 255
    return Image.fromarray(np.clip(np.nan_to_num(scaled), 0, 255).astype(np.uint8))
