"""Draws the heads of cats and dogs, in units of the head's half width, centred on 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curate.demo.fur import WHITE, Coat
from curate.demo.shapes import Brush, Colour, Shape, curve, fluffed, limb, oval

INK: Colour = (38, 30, 34)
PINK: Colour = (226, 150, 150)
IRISES: tuple[Colour, ...] = ((150, 190, 70), (226, 180, 60), (110, 170, 210), (196, 128, 50), (96, 160, 120))


@dataclass(frozen=True)
class Breed:
    """What distinguishes one animal's build from another's; lengths in half widths of the head."""

    species: str
    ears: str
    ear: float
    muzzle: float
    round: float
    eye: float
    fluff: float
    body: float
    leg: float
    tail: str
    iris: Colour


def choose_breed(rng: np.random.Generator, species: str) -> Breed:
    """Return a random build of a ``cat`` or a ``dog``."""
    cat = species == "cat"
    ears = (
        rng.choice(["pointed", "folded"], p=[0.94, 0.06])
        if cat
        else rng.choice(["floppy", "pricked", "half"], p=[0.56, 0.27, 0.17])
    )
    tails = ["curled", "upright", "bushy"] if cat else ["sickle", "straight", "plume", "stub"]
    iris = IRISES[rng.integers(len(IRISES))]
    return Breed(
        species=species,
        ears=str(ears),
        ear=float(rng.uniform(0.8, 1.2)),
        muzzle=float(rng.uniform(0.0, 0.14) if cat else rng.uniform(0.35, 1.0)),
        round=float(rng.uniform(0.78, 0.92) if cat else rng.uniform(0.86, 1.0)),
        eye=float(rng.uniform(0.2, 0.28) if cat else rng.uniform(0.12, 0.18)),
        fluff=float(max(0.0, rng.uniform(-0.12, 0.14))),
        body=float(rng.uniform(0.85, 1.15)),
        leg=float(rng.uniform(0.8, 1.15) if cat else rng.uniform(0.65, 1.35)),
        tail=str(rng.choice(tails)),
        iris=iris if cat else (72, 44, 28),
    )


def draw_head(brush: Brush, rng: np.random.Generator, breed: Breed, coat: Coat, turn: float) -> None:
    """Paint a head that looks towards the viewer (``turn`` 0) or to one side (-1 or 1)."""
    draw = _draw_cat_head if breed.species == "cat" else _draw_dog_head
    draw(brush, rng, breed, coat, turn)


def _draw_cat_head(brush: Brush, rng: np.random.Generator, breed: Breed, coat: Coat, turn: float) -> None:
    face = 0.32 * turn
    for side in (-1, 1):
        _draw_cat_ear(brush, breed, coat, side, turn)
    skull = np.concatenate([oval(0, 1.0, breed.round, points=36)])
    brush.fur(fluffed(_cheeked(skull), rng, breed.fluff + 0.03), coat.of("mask"), coat.edge)
    if coat.stripes:
        for x in (-0.22, 0.0, 0.22):
            brush.line(curve(face + x * 0.8 - 0.36j, face + x * 1.3 - 0.68j), coat.stripes, 0.08)
    if "blaze" in coat.zones:
        brush.fur(limb(curve(face - 0.62j, face + 0.1j), 0.06, 0.2), coat.second, WHITE, 0)
    for side in (-1, 1):
        brush.fur(oval(face * 1.2 + side * 0.19 + 0.38j, 0.26, 0.21), coat.of("muzzle"), coat.edge, 0.04)
    _draw_cat_eyes(brush, rng, breed, face)
    nose = face * 1.3 + 0.2j
    brush.flat(nose + np.array([-0.13 - 0.05j, 0.13 - 0.05j, 0.1j]), PINK if rng.random() < 0.6 else INK)
    for side in (-1, 1):
        brush.line(curve(nose + 0.08j, nose + 0.28j + 0.02 * side, nose + side * 0.24 + 0.26j), INK, 0.035)
        whisker = (248, 246, 240) if sum(coat.edge) < 160 else (90, 80, 78)
        for rise in (-0.2, 0.0, 0.18):
            start = nose + side * 0.3 + (0.12 + rise * 0.4) * 1j
            brush.line(
                curve(start, start + side * 0.5 + rise * 0.5j, start + side * 1.0 + (rise * 1.4 + 0.08) * 1j),
                whisker,
                0.02,
            )


def _cheeked(skull: Shape) -> Shape:
    """Widen the lower half of a cat's skull: cheeks, then a small chin."""
    low = np.clip(skull.imag, 0, None)
    return skull + np.sign(skull.real) * 0.12 * np.sin(np.clip(low / 0.8, 0, 1) * np.pi)


def _draw_cat_ear(brush: Brush, breed: Breed, coat: Coat, side: int, turn: float) -> None:
    base, lean = side * 0.6 + 0.12 * turn - 0.5j, side * 0.2 + 0.1 * turn
    height = 0.95 * breed.ear if breed.ears == "pointed" else 0.42
    for size, zone in ((1.0, "ear"), (0.6, "")):
        tip = base + (lean - height * 1j) * (size if zone else 0.78)
        outer, inner = base + side * 0.36 * size + 0.22j * size, base - side * 0.42 * size - 0.16j * size
        shape = np.concatenate(
            [curve(outer, (outer + tip) / 2 + side * 0.07, tip), curve(tip, (tip + inner) / 2 + side * 0.04, inner)]
        )
        if zone:
            brush.fur(shape, coat.of(zone), coat.edge)
        elif breed.ears == "pointed":
            brush.flat(shape, PINK)


def _draw_cat_eyes(brush: Brush, rng: np.random.Generator, breed: Breed, face: float) -> None:
    asleep, wide = rng.random() < 0.1, rng.uniform(0.18, 0.55)
    for side in (-1, 1):
        at = face + side * 0.42 - 0.1j
        if asleep:
            brush.line(curve(at - 0.2, at + 0.2j, at + 0.2), INK, 0.05)
            continue
        slant = -side * 0.25
        lens = np.concatenate([curve(-1, -0.95j, 1), curve(1, 0.95j, -1)]) * breed.eye * np.exp(1j * slant)
        brush.flat(at + lens * 1.2, INK)
        brush.flat(at + lens, breed.iris)
        brush.flat(at + oval(0, breed.eye * wide * 0.5, breed.eye * 0.46), INK)
        brush.flat(at + oval(-0.06 - 0.07j, 0.04, 0.04, points=8), (255, 255, 255))


def _draw_dog_head(brush: Brush, rng: np.random.Generator, breed: Breed, coat: Coat, turn: float) -> None:
    face, length = 0.3 * turn, breed.muzzle
    if breed.ears != "floppy":
        for side in (-1, 1):
            _draw_upright_ear(brush, breed, coat, side, turn)
    skull = oval(0, 0.88, breed.round, points=36)
    brush.fur(fluffed(skull, rng, breed.fluff), coat.of("mask"), coat.edge)
    if "blaze" in coat.zones:
        brush.fur(limb(curve(face * 0.8 - 0.8j, face + 0.1j), 0.1, 0.2), coat.second, WHITE, 0)
    if breed.ears == "floppy":
        for side in (-1, 1):
            _draw_floppy_ear(brush, rng, breed, coat, side, turn)
    _draw_dog_eyes(brush, rng, breed, face)
    _draw_muzzle(brush, rng, breed, coat, turn, face, length)


def _draw_muzzle(
    brush: Brush, rng: np.random.Generator, breed: Breed, coat: Coat, turn: float, face: float, length: float
) -> None:
    root, end = face + 0.25j, face + turn * (0.3 + 0.75 * length) + (0.42 + 0.3 * length * (1 - abs(turn))) * 1j
    if rng.random() < 0.5:
        tongue = end - 0.12 * turn + 0.3j
        brush.flat(limb(curve(tongue, tongue + 0.3j), 0.17, 0.15), (222, 110, 120))
        brush.line(curve(tongue, tongue + 0.3j), (180, 76, 90), 0.03)
    brush.fur(
        fluffed(limb(curve(root, end, points=8), 0.42, 0.36), rng, breed.fluff * 0.5), coat.of("muzzle"), coat.edge
    )
    nose = end + 0.12 * turn - 0.16j
    brush.flat(oval(nose, 0.24, 0.17), INK)
    brush.flat(oval(nose - 0.07 - 0.06j, 0.06, 0.03, points=8), (150, 144, 150))
    brush.line(curve(nose + 0.1j, nose + 0.3j), INK, 0.04)
    for side in (-1, 1):
        brush.line(curve(nose + 0.3j, nose + side * 0.14 + 0.42j, nose + side * 0.3 + 0.28j), INK, 0.04)


def _draw_upright_ear(brush: Brush, breed: Breed, coat: Coat, side: int, turn: float) -> None:
    base = side * 0.52 + 0.1 * turn - 0.62j
    tip = base + side * 0.24 + 0.08 * turn - 0.85j * breed.ear
    spine = curve(base, base + side * 0.2 - 0.3j, tip)
    brush.fur(limb(spine, 0.36, 0.1), coat.of("ear"), coat.edge)
    if breed.ears == "pricked":
        brush.flat(limb(spine * 0.8 + base * 0.2, 0.2, 0.06), (196, 140, 130))
    else:  # the upper half of the ear falls forward
        fold = (base + tip) / 2
        brush.fur(
            limb(curve(fold - 0.2j, fold + side * 0.3 - 0.1j, fold + side * 0.34 + 0.34j), 0.28, 0.1),
            coat.of("ear"),
            coat.edge,
        )


def _draw_floppy_ear(brush: Brush, rng: np.random.Generator, breed: Breed, coat: Coat, side: int, turn: float) -> None:
    top = side * 0.72 + 0.08 * turn - 0.55j
    end = side * (1.02 + rng.uniform(-0.06, 0.1)) + (0.1 + 0.55 * breed.ear) * 1j
    spine = curve(top, top + side * 0.42 + 0.05j, end)
    brush.fur(fluffed(limb(spine, 0.2, 0.29), rng, breed.fluff), coat.of("ear"), coat.edge)


def _draw_dog_eyes(brush: Brush, rng: np.random.Generator, breed: Breed, face: float) -> None:
    asleep = rng.random() < 0.08
    for side in (-1, 1):
        at = face + side * 0.36 - 0.18j
        if asleep:
            brush.line(curve(at - 0.16, at + 0.14j, at + 0.16), INK, 0.06)
            continue
        brush.flat(oval(at, breed.eye * 1.25, breed.eye * 1.15), (236, 228, 218))
        brush.flat(oval(at, breed.eye, breed.eye * 1.08), breed.iris)
        brush.flat(oval(at, breed.eye * 0.62, breed.eye * 0.66), INK)
        brush.flat(oval(at - 0.05 - 0.06j, 0.045, 0.045, points=8), (255, 255, 255))
        brush.line(curve(at - 0.14 - 0.24j, at - 0.32j, at + 0.14 - 0.24j), INK, 0.05)
