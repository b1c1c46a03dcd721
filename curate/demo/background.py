"""Draws what surrounds the animal: places, things that hide part of it, and the light.

Nothing here looks at the species, so that a background or a light never gives the class away.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from curate.demo.fur import smooth_noise
from curate.demo.shapes import Colour


def draw_background(rng: np.random.Generator, size: tuple[int, int], floor: float) -> Image.Image:
    """Return a random place of ``size`` whose floor begins above ``floor``, a share of the height."""
    canvas = Image.new("RGB", size)
    draw = ImageDraw.Draw(canvas)
    horizon = int(size[1] * floor * rng.uniform(0.55, 0.9))
    list(PLACES.values())[rng.integers(len(PLACES))](draw, rng, size, horizon)
    blotches = smooth_noise(rng, size, (int(rng.integers(4, 10)), int(rng.integers(4, 10)))).point(
        lambda value: 128 + (value - 128) // 9
    )
    return ImageChops.add(canvas, Image.merge("RGB", (blotches,) * 3), offset=-128)


def _draw_meadow(draw: ImageDraw.ImageDraw, rng: np.random.Generator, size: tuple[int, int], horizon: int) -> None:
    """Paint grass under a sky, with hills and blades."""
    width, height = size
    _draw_sky(draw, rng, size, horizon)
    green = _shade(rng, (112, 158, 78), 22)
    for _ in range(3):
        x, span = int(rng.integers(0, width)), int(rng.integers(width // 3, width))
        draw.ellipse((x - span, horizon - span // 5, x + span, horizon + span), fill=_shade(rng, (96, 142, 84), 14))
    draw.rectangle((0, horizon, width, height), fill=green)
    for x, y in zip(rng.integers(0, width, 90), rng.integers(horizon, height + 1, 90), strict=True):
        tall = height // 26
        draw.line(
            (x, y, x + rng.integers(-tall, tall + 1) // 2, y - tall), _shade(rng, green, 18), max(1, height // 160)
        )


def _draw_room(draw: ImageDraw.ImageDraw, rng: np.random.Generator, size: tuple[int, int], horizon: int) -> None:
    """Paint a wall, a floor of boards, a skirting board and a picture or a window."""
    width, height = size
    wall, boards = _shade(rng, _pick(rng, WALLS), 12), _shade(rng, (170, 126, 88), 25)
    draw.rectangle((0, 0, width, horizon), fill=wall)
    draw.rectangle((0, horizon, width, height), fill=boards)
    for x in range(-width, 2 * width, max(6, width // 7)):
        draw.line(
            (x, height, width // 2 + (x - width // 2) // 2, horizon), _shade(rng, boards, 10), max(1, width // 150)
        )
    draw.rectangle((0, horizon - height // 28, width, horizon), fill=_shade(rng, (236, 230, 222), 8))
    x, y, side = int(rng.integers(0, width)), horizon // 6, width // 5
    draw.rectangle((x - side, y, x + side, y + horizon // 2), fill=_shade(rng, (232, 228, 220), 8))
    edge = min(max(2, side // 9), horizon // 4)  # a low wall leaves no more
    draw.rectangle(
        (x - side + edge, y + edge, x + side - edge, y + horizon // 2 - edge), fill=_shade(rng, _pick(rng, WALLS), 30)
    )


def _draw_sofa(draw: ImageDraw.ImageDraw, rng: np.random.Generator, size: tuple[int, int], horizon: int) -> None:
    """Paint a sofa with cushions that fills the picture."""
    width, height = size
    draw.rectangle((0, 0, width, height), fill=_shade(rng, _pick(rng, WALLS), 12))
    cloth = _shade(rng, _pick(rng, CLOTHS), 20)
    top, round_ = horizon // 3, max(2, height // 14)
    for part in (-1, 0, 1):
        x = int(width * (0.5 + 0.45 * part))
        draw.rounded_rectangle(
            (x - width // 4, top, x + width // 4, height), round_, _shade(rng, cloth, 8), _shade(rng, cloth, 30)
        )
    draw.rounded_rectangle(
        (-round_, horizon, width + round_, height + round_), round_, _shade(rng, cloth, 12), _shade(rng, cloth, 25)
    )
    x, side = int(rng.integers(0, width)), width // 7
    draw.rounded_rectangle(
        (x - side, horizon - 2 * side, x + side, horizon), side // 3, _shade(rng, _pick(rng, CLOTHS), 30)
    )


def _draw_beach(draw: ImageDraw.ImageDraw, rng: np.random.Generator, size: tuple[int, int], horizon: int) -> None:
    """Paint sky, sea and sand."""
    width, height = size
    _draw_sky(draw, rng, size, horizon)
    shore = horizon + (height - horizon) // 3
    draw.rectangle((0, horizon, width, shore), fill=_shade(rng, (64, 138, 168), 18))
    for _ in range(14):
        x, y = int(rng.integers(0, width)), int(rng.integers(horizon, shore + 1))
        draw.line((x, y, x + width // 8, y), (190, 220, 228), max(1, height // 170))
    sand = _shade(rng, (224, 198, 150), 14)
    draw.rectangle((0, shore, width, height), fill=sand)
    for x, y in zip(rng.integers(0, width, 60), rng.integers(shore, height + 1, 60), strict=True):
        draw.ellipse((x, y, x + height // 70, y + height // 110), fill=_shade(rng, sand, 25))


def _draw_sky(draw: ImageDraw.ImageDraw, rng: np.random.Generator, size: tuple[int, int], horizon: int) -> None:
    """Paint a sky from top to bottom, with clouds above the horizon."""
    width, height = size
    top, low = np.array(_shade(rng, _pick(rng, SKIES), 15)), np.array((232, 232, 226))
    for y in range(0, height, 3):
        red, green, blue = (top + (low - top) * (y / height)).astype(int).tolist()
        draw.rectangle((0, y, width, y + 2), fill=(red, green, blue))
    for _ in range(rng.integers(0, 4)):
        x, y, puff = int(rng.integers(0, width)), int(rng.integers(0, max(1, horizon // 2))), width // 14
        for step in range(4):
            draw.ellipse(
                (x + step * puff, y - puff, x + (step + 2) * puff, y + puff * (step % 2) // 2 + puff // 2),
                fill=(242, 242, 240),
            )


def _draw_plain(draw: ImageDraw.ImageDraw, rng: np.random.Generator, size: tuple[int, int], horizon: int) -> None:
    """Paint a studio: one colour, a little darker at the floor."""
    colour = _shade(rng, _pick(rng, WALLS + CLOTHS), 20)
    draw.rectangle((0, 0, *size), fill=colour)
    draw.rectangle((0, horizon, *size), fill=_shade(rng, colour, 18))


def _draw_wallpaper(draw: ImageDraw.ImageDraw, rng: np.random.Generator, size: tuple[int, int], horizon: int) -> None:
    """Paint stripes, dots or checks over a plain floor."""
    width, height = size
    ground = _shade(rng, _pick(rng, WALLS), 12)
    ink, kind, step = _shade(rng, ground, 45), rng.integers(3), max(6, width // int(rng.integers(6, 14)))
    draw.rectangle((0, 0, width, height), fill=ground)
    for x in range(0, width, step):
        if kind == 0:
            draw.rectangle((x, 0, x + step // 2, height), fill=ink)
        for y in range((x // step % 2) * step, height, 2 * step):
            if kind == 1:
                draw.ellipse((x, y, x + step // 2, y + step // 2), fill=ink)
            elif kind == 2:
                draw.rectangle((x, y, x + step, y + step), fill=ink)
    draw.rectangle((0, horizon + (height - horizon) // 2, width, height), fill=_shade(rng, _pick(rng, CLOTHS), 20))


PLACES: dict[str, Callable[[ImageDraw.ImageDraw, np.random.Generator, tuple[int, int], int], None]] = {
    "meadow": _draw_meadow,
    "room": _draw_room,
    "sofa": _draw_sofa,
    "beach": _draw_beach,
    "sky": _draw_sky,
    "plain": _draw_plain,
    "wallpaper": _draw_wallpaper,
}
WALLS: tuple[Colour, ...] = (
    (214, 206, 190),
    (178, 196, 200),
    (206, 186, 176),
    (188, 200, 176),
    (226, 214, 168),
    (198, 186, 206),
)
CLOTHS: tuple[Colour, ...] = (
    (150, 70, 66),
    (74, 100, 132),
    (92, 120, 92),
    (168, 140, 96),
    (112, 90, 124),
    (190, 120, 70),
    (94, 96, 104),
)
SKIES: tuple[Colour, ...] = ((120, 176, 222), (150, 186, 210), (228, 172, 140), (166, 174, 186), (110, 140, 190))


def draw_shadow(canvas: Image.Image, box: tuple[float, float, float, float]) -> None:
    """Darken a soft ellipse on the ground; ``box`` in pixels."""
    x0, y0, x1, y1 = (round(value) for value in box)
    pad = max(2, (y1 - y0) // 2)
    mask = Image.new("L", (max(1, x1 - x0) + 2 * pad, max(1, y1 - y0) + 2 * pad), 0)
    ImageDraw.Draw(mask).ellipse((pad, pad, mask.width - pad, mask.height - pad), fill=105)
    mask = mask.filter(ImageFilter.BoxBlur(pad / 2))
    canvas.paste((30, 28, 36), (x0 - pad, y0 - pad), mask)


def draw_occluder(canvas: Image.Image, rng: np.random.Generator) -> None:
    """Hide a part of the picture behind a fence, a plant, a blanket or a bowl."""
    colour = _shade(rng, _pick(rng, CLOTHS), 20)
    OCCLUDERS[rng.integers(len(OCCLUDERS))](ImageDraw.Draw(canvas), rng, canvas.size, colour)


def _fence(draw: ImageDraw.ImageDraw, rng: np.random.Generator, size: tuple[int, int], colour: Colour) -> None:
    width, height = size
    step, top = width // int(rng.integers(4, 8)), int(height * rng.uniform(0.45, 0.75))
    post, edge = step // 5, _shade(rng, colour, 40)
    for x in range(int(rng.integers(0, step)) - step, width, step):
        tip = [(x, top), (x + post, top - post), (x + 2 * post, top)]
        draw.polygon([(x, height), *tip, (x + 2 * post, height)], colour, edge)
    draw.rectangle((0, top + step // 3, width, top + step // 2), colour)


def _plant(draw: ImageDraw.ImageDraw, rng: np.random.Generator, size: tuple[int, int], colour: Colour) -> None:
    width, height = size
    x = int(width * rng.choice([rng.uniform(0, 0.25), rng.uniform(0.75, 1)]))
    for _ in range(18):
        end = (x + rng.normal(0, width / 9), height - rng.uniform(0.2, 0.65) * height)
        draw.line((x, height, *end), _shade(rng, (70, 120, 70), 25), max(2, width // 28))


def _blanket(draw: ImageDraw.ImageDraw, rng: np.random.Generator, size: tuple[int, int], colour: Colour) -> None:
    width, height = size
    hem = [(float(x), height * float(rng.uniform(0.72, 0.82))) for x in np.linspace(0, width, 9)]
    draw.polygon([*hem, (width, height), (0, height)], colour, _shade(rng, colour, 40))
    for x, y in hem[::2]:
        draw.line((x, y, x + width // 20, height), _shade(rng, colour, 25), max(1, width // 90))


def _bowl(draw: ImageDraw.ImageDraw, rng: np.random.Generator, size: tuple[int, int], colour: Colour) -> None:
    width, height = size
    x, half, edge = int(width * rng.uniform(0.2, 0.8)), width // 6, _shade(rng, colour, 40)
    top, low = height * 0.82, height * 0.98
    draw.polygon([(x - half, top), (x + half, top), (x + half * 0.8, low), (x - half * 0.8, low)], colour, edge)
    draw.ellipse((x - half, height * 0.78, x + half, height * 0.86), _shade(rng, colour, 40))


OCCLUDERS = (_fence, _plant, _blanket, _bowl)


def lit(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return ``picture`` under a random light: brightness, warmth, a fall-off to one side, and the camera's noise."""
    width, height = picture.size
    warmth, angle = rng.normal(0, 0.045), rng.uniform(0, 2 * np.pi)
    gain = float(rng.uniform(0.78, 1.16)) * np.array([1 + warmth, 1.0, 1 - warmth], dtype=np.float32)
    across = np.linspace(-1, 1, width, dtype=np.float32)[None, :] * np.float32(np.cos(angle))
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(np.sin(angle))
    slope = 1 + (across + down) * np.float32(rng.uniform(0, 0.22))
    noise = rng.standard_normal((height, width, 1), dtype=np.float32) * np.float32(rng.uniform(1.5, 6))
    pixels = np.asarray(picture, dtype=np.float32) * gain * slope[:, :, None] + noise
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    return colours[rng.integers(len(colours))]


def _shade(rng: np.random.Generator, colour: Colour, spread: int) -> Colour:
    """Return ``colour`` made lighter or darker by up to ``spread`` of 255."""
    step = int(rng.integers(-spread, spread + 1))
    red, green, blue = (min(255, max(0, value + step)) for value in colour)
    return red, green, blue
