"""Draws whole animals in four poses; one unit is half a head's width, the ground is y = 0 and up is negative."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from curate.demo.fur import Coat
from curate.demo.head import Breed, draw_head
from curate.demo.shapes import Brush, Shape, curve, fluffed, limb, oval

Box = tuple[float, float, float, float]
Pose = Callable[[Brush, np.random.Generator, Breed, Coat], None]


def draw_portrait(brush: Brush, rng: np.random.Generator, breed: Breed, coat: Coat) -> None:
    """Paint head and shoulders."""
    brush.fur(fluffed(oval(0.1 + 0.25j, 1.25 * breed.body, 1.5), rng, breed.fluff), coat.of("body"), coat.edge)
    brush.fur(fluffed(oval(0.35j, 0.6, 1.0), rng, breed.fluff + 0.05), coat.of("chest"), coat.edge, 0.0)
    draw_head(brush.inner(-1.45j, 1.0, rng.normal(0, 0.12)), rng, breed, coat, float(rng.uniform(-1, 1)))


def draw_sitting(brush: Brush, rng: np.random.Generator, breed: Breed, coat: Coat) -> None:
    """Paint an animal that sits facing the viewer."""
    wide, tall = breed.body, 2.3 + 0.5 * breed.leg
    _draw_tail(brush, rng, breed, coat, 0.75 - 0.3j, 1.0)
    brush.fur(fluffed(oval(-0.42j * tall, 0.82 * wide, 0.46 * tall), rng, breed.fluff), coat.of("body"), coat.edge)
    for side in (-1, 1):
        brush.fur(fluffed(oval(side * 0.72 * wide - 0.5j, 0.46, 0.52), rng, breed.fluff), coat.of("body"), coat.edge)
        _draw_paw(brush, coat, side * 0.85 * wide - 0.1j)
    brush.fur(
        fluffed(oval(-0.62j * tall, 0.48 * wide, 0.24 * tall), rng, breed.fluff + 0.04),
        coat.of("chest"),
        coat.edge,
        0.0,
    )
    for side in (-1, 1):
        _draw_leg(brush, coat, side * 0.36 - 0.52j * tall, side * 0.34 - 0.14j, 0.24)
    draw_head(
        brush.inner(-1j * tall - 0.25j, 1.0, rng.normal(0, 0.15)), rng, breed, coat, float(rng.uniform(-0.9, 0.9))
    )


def draw_standing(brush: Brush, rng: np.random.Generator, breed: Breed, coat: Coat) -> None:
    """Paint an animal that stands or walks, seen from its side, its head to the right."""
    back, long, stride = 1.0 + 1.15 * breed.leg, 1.5 * breed.body, float(rng.uniform(0.0, 0.35))
    hip, chest = -long - 1j * back, long - 1j * back
    _draw_tail(brush, rng, breed, coat, hip - 0.4 - 0.3j, -1.0)
    for root, step in ((hip + 0.3, stride), (chest - 0.1, -stride)):
        _draw_leg(brush, coat, root, root.real + 0.1 + step - 0.14j, 0.24)
    trunk = limb(curve(hip, (hip + chest) / 2 - 0.15j, chest + 0.05j, points=10), 0.62, 0.78)
    brush.fur(fluffed(trunk, rng, breed.fluff), coat.of("body"), coat.edge)
    for root, step in ((hip - 0.15, -stride), (chest + 0.2, stride)):
        _draw_leg(brush, coat, root + 0.15j, root.real + step - 0.14j, 0.28)
    head = chest + 0.95 - 1.05j
    brush.fur(fluffed(limb(curve(chest + 0.15, head), 0.62, 0.5), rng, breed.fluff), coat.of("chest"), coat.edge)
    draw_head(brush.inner(head, 0.9, rng.normal(0, 0.12)), rng, breed, coat, float(rng.uniform(0.2, 1)))


def draw_lying(brush: Brush, rng: np.random.Generator, breed: Breed, coat: Coat) -> None:
    """Paint an animal that lies on the ground, its head to the right."""
    long = 1.75 * breed.body
    _draw_tail(brush, rng, breed, coat, -0.93 * long - 0.35j, -1.0)
    brush.fur(fluffed(oval(-0.85j, long, 0.85), rng, breed.fluff), coat.of("body"), coat.edge)
    brush.fur(fluffed(oval(-0.62 * long - 0.62j, 0.75, 0.62), rng, breed.fluff), coat.of("body"), coat.edge)
    _draw_leg(brush, coat, -0.4 * long - 0.2j, 0.05 - 0.16j, 0.2)
    for x in (0.75, 1.05):
        _draw_leg(brush, coat, x * long - 0.35 - 0.4j, x * long + 0.75 - 0.16j, 0.22)
    brush.fur(fluffed(oval(0.8 * long - 0.95j, 0.62, 0.8), rng, breed.fluff + 0.04), coat.of("chest"), coat.edge, 0.04)
    draw_head(
        brush.inner(0.85 * long + 0.2 - 1.65j, 0.95, rng.normal(0.05, 0.15)),
        rng,
        breed,
        coat,
        float(rng.uniform(-0.4, 0.9)),
    )


# pose -> (painter, the box that it fills)
POSES: dict[str, tuple[Pose, Box]] = {
    "portrait": (draw_portrait, (-1.4, -2.9, 1.4, 0.6)),
    "sitting": (draw_sitting, (-1.5, -4.4, 2.0, 0.0)),
    "standing": (draw_standing, (-3.2, -4.5, 3.3, 0.0)),
    "lying": (draw_lying, (-3.2, -3.1, 3.0, 0.0)),
}


def _draw_leg(brush: Brush, coat: Coat, top: complex, foot: complex, half: float) -> None:
    brush.fur(
        limb(curve(top, (top + foot) / 2 + 0.06, foot), half * 1.35, half * 0.75), coat.of("body"), coat.edge, 0.06
    )
    _draw_paw(brush, coat, foot + 0.06)


def _draw_paw(brush: Brush, coat: Coat, at: complex) -> None:
    brush.fur(oval(at, 0.3, 0.18), coat.of("paw"), coat.edge, 0.04)
    for toe in (-0.09, 0.09):
        brush.line(curve(at + toe, at + toe + 0.14j), coat.edge, 0.025)


def _draw_tail(brush: Brush, rng: np.random.Generator, breed: Breed, coat: Coat, root: complex, side: float) -> None:
    """Paint a tail from ``root`` towards the left (``side`` -1) or the right (1)."""
    sway = float(rng.uniform(0.8, 1.2))
    shapes: dict[str, Callable[[], Shape]] = {
        "curled": lambda: limb(
            curve(0, side * 1.3 + 0.4j, side * 1.6 - 1.2j * sway, side * 0.8 - 1.3j, points=20), 0.17, 0.13
        ),
        "upright": lambda: limb(
            curve(0, side * 0.9, side * 0.3 - 1.2j, side * 0.8 - 2.2j * sway, points=20), 0.17, 0.12
        ),
        "bushy": lambda: fluffed(limb(curve(0, side * 1.2 + 0.3j, side * 1.4 - 1.2j * sway), 0.2, 0.34), rng, 0.14),
        "sickle": lambda: limb(curve(0, side * 0.8 - 0.2j, side * 0.9 - 1.3j * sway, side * 0.2 - 1.5j), 0.27, 0.1),
        "straight": lambda: limb(curve(0, side * 0.6 - 0.1j, side * 1.3 - 0.7j * sway), 0.26, 0.06),
        "plume": lambda: fluffed(limb(curve(0, side * 0.7 - 0.3j, side * 1.0 - 1.2j * sway), 0.3, 0.26), rng, 0.24),
        "stub": lambda: limb(curve(0, side * 0.3 - 0.15j, side * 0.5 - 0.3j), 0.24, 0.15),
    }
    brush.fur(root + shapes[breed.tail](), coat.of("tail"), coat.edge)
