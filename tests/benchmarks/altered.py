"""Photos to copies of them, changed as people and programs change pictures, and to look-alikes that are no copies."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

from curate.audit.evidence.alignment import Picture
from curate.audit.evidence.copies import compare_pictures
from curate.images.decoder import open_image
from curate.images.measure import measure_content
from curate.images.thumbnails import decode_thumbnail
from curate.spec.model import Images

Change = Callable[[Image.Image, np.random.Generator], Image.Image]
WORDS = "cute pets daily fun happy friday best friends adopt me today sample".split()


def read_half(folder: Path, half: int, count: int) -> list[Image.Image]:
    """Return ``count`` photos spread over every second one of ``folder``: 0 is what thresholds are chosen on, 1 not."""
    files = sorted(folder.glob("*/*.jpg"))[half::2]
    chosen = np.linspace(0, len(files) - 1, min(count, len(files))).astype(int)
    return [open_image(files[place].read_bytes(), Images()) for place in chosen]


def compare_changed(photos: list[Image.Image], seed: int = 0) -> pd.DataFrame:
    """Return ``change, similarity, kind, seconds`` of each photo with its changed copies and of the look-alikes."""
    rng = np.random.default_rng(seed)
    rows = []
    for name, first, second in [*_copies(photos, rng), *_look_alikes(photos, rng)]:
        pair = [Picture(thumbnail(image, quality)) for image, quality in ((first, 95), (second, 85))]
        start = time.thread_time()
        copy = compare_pictures(*pair)
        rows.append((name, copy.similarity, copy.kind, time.thread_time() - start))
    table = pd.DataFrame(rows, columns=["change", "similarity", "kind", "seconds"])
    order = {name: place for place, name in enumerate([*TRANSFORMS, *LOOK_ALIKES])}
    return table.sort_values("change", key=lambda names: names.map(order), kind="stable", ignore_index=True)


def thumbnail(image: Image.Image, quality: int) -> np.ndarray:
    """Return what the scan would keep of ``image`` saved as a JPEG."""
    return np.asarray(decode_thumbnail(measure_content(_jpeg(image, quality), Images())[1]))


def _jpeg(image: Image.Image, quality: int) -> bytes:
    written = io.BytesIO()
    image.convert("RGB").save(written, "JPEG", quality=quality)
    return written.getvalue()


def _copies(photos: list[Image.Image], rng: np.random.Generator) -> Iterator[tuple[str, Image.Image, Image.Image]]:
    for photo in photos:
        for name, change in TRANSFORMS.items():
            yield name, photo, change(photo, rng)


def _look_alikes(photos: list[Image.Image], rng: np.random.Generator) -> Iterator[tuple[str, Image.Image, Image.Image]]:
    for place, photo in enumerate(photos):
        one, other = (photos[(place + step) % len(photos)].resize(photo.size) for step in (1, 2))
        for name, make in LOOK_ALIKES.items():
            yield name, *make(photo, one, other, rng)


# Copies.


def _crop(share: float) -> Change:
    def crop(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        width, height = (max(1, int(length * share)) for length in image.size)
        left, top = (int(rng.integers(0, space + 1)) for space in (image.width - width, image.height - height))
        return image.crop((left, top, left + width, top + height))

    return crop


def _enhance(*steps: tuple[type, float]) -> Change:
    def enhance(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        for step, amount in steps:
            image = step(image).enhance(amount)
        return image

    return enhance


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = rng.integers(0, 256, 3).tolist()
    return red, green, blue


def _write(pen: ImageDraw.ImageDraw, place: tuple[float, float], size: float, rng: np.random.Generator) -> None:
    font = ImageFont.load_default(max(8, int(size)))
    words = " ".join(rng.choice(WORDS, 4))
    pen.text(place, words, font=font, fill="white", stroke_width=max(1, int(size / 11)), stroke_fill="black")


def _caption(image: Image.Image, rng: np.random.Generator, band: bool = False) -> Image.Image:
    """Two lines at the top or the bottom, on a band that hides what is behind or not."""
    image, size = image.copy(), image.height * rng.uniform(0.06, 0.1)
    pen, high = ImageDraw.Draw(image), int(size * 2.6)
    top = 0 if rng.integers(2) else image.height - high
    if band:
        pen.rectangle((0, top, image.width, top + high), fill=_colour(rng))
    for line in range(2):
        _write(pen, (image.width * 0.05, top + size * (0.2 + 1.2 * line)), size, rng)
    return image


def _meme(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    image = image.copy()
    pen, size = ImageDraw.Draw(image), image.height * 0.12
    for top in (size * 0.3, image.height - size * 1.5):
        _write(pen, (image.width * 0.03, top), size, rng)
    return image


def _outside(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    high = int(image.height * rng.uniform(0.12, 0.3))
    page = Image.new("RGB", (image.width, image.height + high), "white")
    page.paste(image, (0, high))
    _write(ImageDraw.Draw(page), (5, high * 0.2), high * 0.4, rng)
    return page


def _frame(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return ImageOps.expand(image, border=int(min(image.size) * rng.uniform(0.04, 0.12)), fill=_colour(rng))


def _mark(image: Image.Image, rng: np.random.Generator, dense: bool = True) -> Image.Image:
    """Words that let the picture through: all over it, or one across its middle."""
    layer = Image.new("L", image.size, 0)
    pen, (width, height) = ImageDraw.Draw(layer), image.size
    if dense:
        for row in range(4):
            for column in range(2):
                font = ImageFont.load_default(max(8, int(height * 0.09)))
                pen.text((column * width / 2, row * height / 4), rng.choice(WORDS), font=font, fill=102)
    else:
        pen.text((width * 0.05, height * 0.35), "SAMPLE", font=ImageFont.load_default(width * 0.25), fill=140)
    return Image.composite(Image.new("RGB", image.size, "white"), image, layer.rotate(20 if dense else 0))


def _logo(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    image, size = image.copy(), int(min(image.size) * rng.uniform(0.12, 0.25))
    right, bottom = (bool(rng.integers(2)) for _ in range(2))
    left = image.width - size - 4 if right else 4
    top = image.height - size - 4 if bottom else 4
    pen = ImageDraw.Draw(image)
    pen.ellipse((left, top, left + size, top + size), fill=_colour(rng))
    pen.text(
        (left + size * 0.2, top + size * 0.3), "PET", font=ImageFont.load_default(max(8, size * 0.3)), fill="white"
    )
    return image


TRANSFORMS: dict[str, Change] = {
    "JPEG quality 30": lambda image, rng: Image.open(io.BytesIO(_jpeg(image, 30))).convert("RGB"),
    "resized to 0.4": lambda image, rng: image.resize([max(48, int(length * 0.4)) for length in image.size]),
    "flattened to 0.8": lambda image, rng: image.resize((image.width, max(1, int(image.height * 0.8)))),
    "blurred": lambda image, rng: image.filter(ImageFilter.GaussianBlur(min(image.size) / 120)),
    "brighter by 1.4": _enhance((ImageEnhance.Brightness, 1.4)),
    "darker by 0.5": _enhance((ImageEnhance.Brightness, 0.5)),
    "contrast by 1.6": _enhance((ImageEnhance.Contrast, 1.6)),
    "contrast by 0.5": _enhance((ImageEnhance.Contrast, 0.5)),
    "colours by 2": _enhance((ImageEnhance.Color, 2.0)),
    "grey": lambda image, rng: image.convert("L").convert("RGB"),
    "sepia": lambda image, rng: ImageOps.colorize(image.convert("L"), "#201000", "#fff0d0"),
    "caption": _caption,
    "caption on a band": lambda image, rng: _caption(image, rng, band=True),
    "meme text": _meme,
    "caption outside": _outside,
    "frame": _frame,
    "watermark all over": _mark,
    "large watermark": lambda image, rng: _mark(image, rng, dense=False),
    "logo in a corner": _logo,
    "crop to 0.8": _crop(0.8),
    "crop to 0.65": _crop(0.65),
    "crop to 0.5": _crop(0.5),
    "crop to 0.75, recoloured": lambda image, rng: _enhance((ImageEnhance.Brightness, 1.25), (ImageEnhance.Color, 0.4))(
        _crop(0.75)(image, rng), rng
    ),
    "crop to 0.8, caption": lambda image, rng: _caption(_crop(0.8)(image, rng), rng),
    "mirrored": lambda image, rng: ImageOps.mirror(image),
    "mirrored, crop to 0.8": lambda image, rng: _crop(0.8)(ImageOps.mirror(image), rng),
    "mirrored, caption": lambda image, rng: _caption(ImageOps.mirror(image), rng),
    "turned by 90": lambda image, rng: image.transpose(Image.Transpose.ROTATE_90),
    "turned by 180": lambda image, rng: image.transpose(Image.Transpose.ROTATE_180),
    "turned by 4": lambda image, rng: image.rotate(4, Image.Resampling.BILINEAR, fillcolor="white"),
}


# Look-alikes: of a photo, and of two others of its size.

Pair = tuple[Image.Image, Image.Image]


def _subject(image: Image.Image) -> Image.Image:
    """The mask of where a subject would be."""
    mask = Image.new("L", image.size, 0)
    width, height = image.size
    ImageDraw.Draw(mask).ellipse((width * 0.2, height * 0.15, width * 0.8, height * 0.95), fill=255)
    return mask.filter(ImageFilter.GaussianBlur(3))


def _halves(photo: Image.Image, one: Image.Image, other: Image.Image, rng: np.random.Generator) -> Pair:
    middle = photo.width // 2
    return photo.crop((0, 0, middle, photo.height)), photo.crop((middle, 0, photo.width, photo.height))


def _one_ground(photo: Image.Image, one: Image.Image, other: Image.Image, rng: np.random.Generator) -> Pair:
    mask = _subject(photo)
    return Image.composite(one, photo, mask), Image.composite(other, photo, mask)


def _burst(photo: Image.Image, one: Image.Image, other: Image.Image, rng: np.random.Generator) -> Pair:
    """A fixed camera; the subject has moved by 8 % and turned by 8 degrees."""
    mask, moved = _subject(photo), Image.new("L", photo.size, 0)
    by = (int(photo.width * (0.08 if rng.integers(2) else -0.08)), int(photo.height * 0.03))
    moved.paste(mask, by)
    turned = Image.new("RGB", photo.size)
    turned.paste(one.rotate(8, Image.Resampling.BILINEAR), by)
    return Image.composite(one, photo, mask), Image.composite(turned, photo, moved)


def _studio(photo: Image.Image, one: Image.Image, other: Image.Image, rng: np.random.Generator) -> Pair:
    light = int(rng.integers(180, 256))
    return _one_ground(Image.new("RGB", photo.size, (light, light, light - 10)), one, other, rng)


def _template(photo: Image.Image, one: Image.Image, other: Image.Image, rng: np.random.Generator) -> Pair:
    seed = int(rng.integers(1 << 30))
    first, second = (np.random.default_rng(seed) for _ in range(2))
    return _meme(_frame(one, first), first), _meme(_frame(other, second), second)


def _shape(number: int, colour: tuple[int, int, int], ground: tuple[int, int, int]) -> Image.Image:
    image = Image.new("RGB", (200, 200), ground)
    pen = ImageDraw.Draw(image)
    if number == 0:
        pen.ellipse((40, 40, 160, 160), fill=colour)
    elif number == 1:
        pen.rectangle((40, 40, 160, 160), fill=colour)
    elif number == 2:
        pen.polygon([(100, 30), (170, 160), (30, 160)], fill=colour)
    else:
        pen.ellipse((40, 40, 160, 160), outline=colour, width=20)
    return image


def _icons(photo: Image.Image, one: Image.Image, other: Image.Image, rng: np.random.Generator) -> Pair:
    colour, ground = _colour(rng), _colour(rng)
    first, second = rng.choice(4, 2, replace=False).tolist()
    return _shape(first, colour, ground), _shape(second, colour, ground)


def _discs(photo: Image.Image, one: Image.Image, other: Image.Image, rng: np.random.Generator) -> Pair:
    white = (255, 255, 255)
    return _shape(0, (220, 30, 30), white), _shape(0, (30, 30, 220) if rng.integers(2) else (30, 160, 30), white)


def _digits(photo: Image.Image, one: Image.Image, other: Image.Image, rng: np.random.Generator) -> Pair:
    images = []
    for digit in rng.choice(10, 2, replace=False):
        image = Image.new("RGB", (160, 160), "white")
        ImageDraw.Draw(image).text((40, 5), str(digit), font=ImageFont.load_default(120), fill="black")
        images.append(image)
    return images[0], images[1]


def _signs(photo: Image.Image, one: Image.Image, other: Image.Image, rng: np.random.Generator) -> Pair:
    """Numbers of two digits on one red disc."""
    images = []
    for number in rng.choice(90, 2, replace=False) + 10:
        image = _shape(0, (220, 30, 30), (255, 255, 255))
        ImageDraw.Draw(image).text((65, 60), str(number), font=ImageFont.load_default(60), fill="white")
        images.append(image)
    return images[0], images[1]


LOOK_ALIKES: dict[str, Callable[[Image.Image, Image.Image, Image.Image, np.random.Generator], Pair]] = {
    "left and right half": _halves,
    "two subjects, one background": _one_ground,
    "subject moved, one background": _burst,
    "two subjects, plain background": _studio,
    "two photos, one meme": _template,
    "two plain shapes": _icons,
    "discs of two colours": _discs,
    "two digits": _digits,
    "two numbers on one sign": _signs,
}
