"""Draws neither cats nor dogs: a house, a car, a tree, a cup, a page of text."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from curate.demo.background import CLOTHS, WALLS, draw_background, lit
from curate.demo.shapes import Colour, Place, curve, limb, oval, pairs

INK: Colour = (50, 46, 52)


def draw_object(kind: str, rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Return an RGB drawing of ``kind``, one of ``OBJECTS`` or "page", of ``size`` in pixels."""
    if kind == "page":
        return lit(_draw_page(rng, size), rng)
    canvas = draw_background(rng, (size[0] * 2, size[1] * 2), 0.8)
    scale = min(canvas.size) * float(rng.uniform(0.3, 0.42))
    origin = canvas.width * rng.uniform(0.4, 0.6) + canvas.height * rng.uniform(0.75, 0.9) * 1j
    place = Place(complex(origin), scale, float(rng.normal(0, 0.03)), bool(rng.random() < 0.5))
    first, second = (_any(rng, CLOTHS), _any(rng, WALLS))
    draw = ImageDraw.Draw(canvas)
    for shape, colour in OBJECTS[kind](first, second, rng):
        draw.polygon(pairs(place.points(shape)), colour, INK, max(1, round(scale / 40)))
    return lit(canvas.reduce(2), rng)


Parts = list[tuple[np.ndarray, Colour]]


def _house(first: Colour, second: Colour, rng: np.random.Generator) -> Parts:
    roof = np.array([-1.1 - 1.1j, -1.9j, 1.1 - 1.1j])
    panes = [(_block(x, -0.85, 0.32, 0.36), (170, 206, 224)) for x in (-0.75, 0.43)]
    return [
        (_block(0.4, -1.9, 0.25, 0.6), first),
        (_block(-0.95, -1.15, 1.9, 1.15), second),
        (roof, first),
        (_block(-0.2, -0.7, 0.4, 0.7), (120, 80, 60)),
        *panes,
    ]


def _car(first: Colour, second: Colour, rng: np.random.Generator) -> Parts:
    cabin = np.array([-0.8 - 0.75j, -0.5 - 1.2j, 0.35 - 1.2j, 0.7 - 0.75j])
    wheels = [
        (oval(x - 0.22j, radius, radius), colour)
        for x in (-0.7, 0.7)
        for radius, colour in ((0.26, INK), (0.12, (190, 190, 194)))
    ]
    return [
        (cabin, first),
        (cabin * 0.78 - 0.17j, (176, 210, 224)),
        (_block(-1.3, -0.78, 2.6, 0.5), first),
        (_block(1.15, -0.68, 0.15, 0.16), (250, 230, 150)),
        *wheels,
    ]


def _tree(first: Colour, second: Colour, rng: np.random.Generator) -> Parts:
    crown = [(oval(complex(*rng.normal((0, -1.4), (0.4, 0.25))), 0.55, 0.45), (84, 136 - 8 * n, 80)) for n in range(5)]
    return [(limb(curve(0, -0.6j, 0.1 - 1.2j), 0.2, 0.12), (116, 84, 60)), *crown]


def _cup(first: Colour, second: Colour, rng: np.random.Generator) -> Parts:
    bowl = np.array([-0.6 - 1.1j, 0.6 - 1.1j, 0.45, -0.45])
    handle = limb(curve(0.5 - 0.9j, 1.3 - 0.9j, 1.1 - 0.1j, 0.45 - 0.25j), 0.09, 0.09)
    return [(handle, first), (bowl, first), (oval(-1.1j, 0.6, 0.16), second), (oval(-1.09j, 0.5, 0.11), (96, 62, 44))]


# kind -> (two colours, rng) -> polygons from back to front, in units of about half the object's height
OBJECTS = {"house": _house, "car": _car, "tree": _tree, "cup": _cup}


def _draw_page(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Return a page of dark words, as bars, on paper."""
    page = Image.new("RGB", size, (238, 234, 224))
    draw, step = ImageDraw.Draw(page), max(5, size[1] // int(rng.integers(14, 22)))
    for y in range(step, size[1] - step, step):
        x = step
        while x < size[0] - 3 * step and rng.random() > 0.04:
            word = int(rng.integers(step, 4 * step))
            draw.rectangle((x, y, min(x + word, size[0] - step), y + step // 2), fill=(72, 70, 76))
            x += word + step // 2
    return page


def _block(x: float, y: float, width: float, height: float) -> np.ndarray:
    return np.array([0, width, width + height * 1j, height * 1j]) + x + y * 1j


def _any(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    return colours[rng.integers(len(colours))]
