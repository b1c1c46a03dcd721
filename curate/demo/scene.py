"""Draws one picture: a place with an animal and perhaps something in front of it, or something off topic."""

from __future__ import annotations

import numpy as np
from PIL import Image

from curate.demo.animal import POSES
from curate.demo.background import draw_background, draw_occluder, draw_shadow, lit
from curate.demo.fur import choose_coat
from curate.demo.head import choose_breed
from curate.demo.offtopic import OBJECTS, draw_object
from curate.demo.shapes import Brush, Place

SPECIES = ("cat", "dog")
OVERSAMPLING = 2


def choose_size(rng: np.random.Generator) -> tuple[int, int]:
    """Return a width and a height from 96 to 320 pixels with an aspect ratio from 2:3 to 3:2."""
    longest = int(rng.integers(144, 321))
    other = max(96, round(longest * float(rng.choice([1.0, 0.75, 0.8, 2 / 3, 0.9]))))
    return (longest, other) if rng.random() < 0.6 else (other, longest)


def draw_animal(species: str, rng: np.random.Generator, size: tuple[int, int] | None = None) -> Image.Image:
    """Return an RGB drawing of a ``cat`` or a ``dog``; ``size`` is (width, height) in pixels, random when not given.

    >>> draw_animal("cat", np.random.default_rng(0), size=(64, 48)).size
    (64, 48)
    """
    size = size or choose_size(rng)
    breed = choose_breed(rng, species)
    pose, box = list(POSES.values())[rng.choice(len(POSES), p=[0.28, 0.26, 0.24, 0.22])]
    canvas_size = (size[0] * OVERSAMPLING, size[1] * OVERSAMPLING)
    place = choose_place(rng, canvas_size, box)
    ground = place.origin.imag
    canvas = draw_background(rng, canvas_size, min(1.0, ground / canvas_size[1]))
    coat = choose_coat(rng, canvas_size, place.scale)
    if box[3] == 0:
        half = 0.45 * (box[2] - box[0]) * place.scale
        draw_shadow(
            canvas,
            (
                place.origin.real - half,
                ground - 0.3 * place.scale,
                place.origin.real + half,
                ground + 0.3 * place.scale,
            ),
        )
    pose(Brush(canvas, place), rng, breed, coat)
    if rng.random() < 0.16:
        draw_occluder(canvas, rng)
    return lit(canvas.reduce(OVERSAMPLING), rng)


def draw_offtopic(rng: np.random.Generator, size: tuple[int, int] | None = None) -> Image.Image:
    """Return an RGB drawing of something that is neither a cat nor a dog."""
    kind = str(rng.choice([*OBJECTS, "page"]))
    return draw_object(kind, rng, size or choose_size(rng))


def choose_place(rng: np.random.Generator, size: tuple[int, int], box: tuple[float, float, float, float]) -> Place:
    """Return where the pose that fills ``box`` stands: mostly large, one in ten far away, some cut off."""
    share = float(rng.uniform(0.3, 0.42) if rng.random() < 0.1 else rng.uniform(0.62, 1.08))
    scale = share * min(size[0] / (box[2] - box[0]), size[1] / (box[3] - box[1]))
    free_x, free_y = size[0] - scale * (box[2] - box[0]), size[1] - scale * (box[3] - box[1])
    left = free_x * float(rng.uniform(0.15, 0.85))
    top = free_y * (1.0 if box[3] > 0 else float(rng.uniform(0.55, 0.95)))
    mirror = bool(rng.random() < 0.5)
    origin_x = left + scale * (box[2] if mirror else -box[0])
    return Place(complex(origin_x, top - scale * box[1]), scale, float(rng.normal(0, 0.04)), mirror)
