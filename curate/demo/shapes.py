"""Outlines as arrays of complex numbers, and the brush that paints them.

A point is ``x + y*1j`` with y pointing down, so that turning, scaling and moving a shape is one multiplication and one
addition, and mirroring it is one conjugation.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Shape = np.ndarray


def oval(centre: complex, rx: float, ry: float, angle: float = 0.0, points: int = 28) -> Shape:
    """Return an ellipse with half axes ``rx`` and ``ry``, turned by ``angle`` in radians."""
    around = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return centre + np.exp(1j * angle) * (rx * np.cos(around) + 1j * ry * np.sin(around))


def curve(*knots: complex, points: int = 14) -> Shape:
    """Return the Bezier curve with the control points ``knots``."""
    time = np.linspace(0, 1, points)
    rows = [np.full(points, knot, dtype=complex) for knot in knots]
    while len(rows) > 1:
        rows = [(1 - time) * a + time * b for a, b in itertools.pairwise(rows)]
    return rows[0]


def limb(spine: Shape, start: float, end: float) -> Shape:
    """Return the outline of a tube along ``spine`` whose half width goes from ``start`` to ``end``, with round ends."""
    along = np.gradient(spine)
    along = along / np.maximum(np.abs(along), 1e-9)
    half = np.linspace(start, end, len(spine))
    turn = np.exp(1j * np.linspace(-np.pi / 2, np.pi / 2, 7))
    cap_end, cap_start = spine[-1] + end * along[-1] * turn, spine[0] - start * along[0] * turn
    return np.concatenate([spine - 1j * along * half, cap_end, (spine + 1j * along * half)[::-1], cap_start])


def fluffed(shape: Shape, rng: np.random.Generator, depth: float) -> Shape:
    """Return ``shape`` with its edge drawn out into tufts of about ``depth``."""
    if depth <= 0:
        return shape
    dense = (
        np.concatenate([shape + (np.roll(shape, -1) - shape) * part for part in (0.0, 0.5)]).reshape(2, -1).T.ravel()
    )
    outward = dense - dense.mean()
    tuft = depth * rng.uniform(0.2, 1.0, len(dense)) * (np.arange(len(dense)) % 2)
    return dense + outward / np.maximum(np.abs(outward), 1e-9) * tuft


@dataclass(frozen=True)
class Place:
    """Where a drawing's own coordinates lie on the canvas: turn, scale and mirror, then move to ``origin``."""

    origin: complex
    scale: float
    angle: float = 0.0
    mirror: bool = False

    def points(self, shape: Shape) -> Shape:
        """Return ``shape`` in pixels of the canvas."""
        flipped = -np.conj(shape) if self.mirror else shape
        return self.origin + self.scale * np.exp(1j * self.angle) * flipped

    def inner(self, centre: complex, scale: float, angle: float = 0.0) -> Place:
        """Return the place of a part that has its own coordinates, such as a head on a body."""
        origin = complex(self.points(np.array([centre]))[0])
        return Place(origin, self.scale * scale, self.angle + (-angle if self.mirror else angle), self.mirror)


@dataclass(frozen=True)
class Brush:
    """Paints shapes on ``canvas``, in flat colours or in a fur as large as the canvas."""

    canvas: Image.Image
    place: Place
    draw: ImageDraw.ImageDraw = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "draw", ImageDraw.Draw(self.canvas))

    def inner(self, centre: complex, scale: float, angle: float = 0.0) -> Brush:
        """Return a brush for a part with its own coordinates on the same canvas."""
        return Brush(self.canvas, self.place.inner(centre, scale, angle))

    def flat(self, shape: Shape, colour: Colour) -> None:
        """Fill ``shape`` with one colour."""
        self.draw.polygon(pairs(self.place.points(shape)), fill=colour)

    def line(self, shape: Shape, colour: Colour, width: float) -> None:
        """Draw ``shape`` as an open line, ``width`` in the drawing's own unit."""
        self.draw.line(pairs(self.place.points(shape)), colour, max(1, round(width * self.place.scale)), "curve")

    def fur(self, shape: Shape, fur: Image.Image, edge: Colour, depth: float = 0.09) -> None:
        """Fill ``shape`` with ``fur``, shade its lower right by ``depth`` and line its edge."""
        points = self.place.points(shape)
        corner = np.floor([points.real.min(), points.imag.min()]).astype(int)
        size = (np.ceil([points.real.max(), points.imag.max()]) - corner + 2).astype(int)
        box = (int(corner[0]), int(corner[1]), int(corner[0] + size[0]), int(corner[1] + size[1]))
        local = points - complex(*corner)
        mask = _filled(local, (int(size[0]), int(size[1])), 255)
        self.canvas.paste(fur.crop(box), box[:2], mask)
        reach = depth * self.place.scale
        shade = Image.new("L", mask.size, 0)
        shade.paste(72, (0, 0), mask)
        shade.paste(0, (0, 0), _filled(local - reach * (0.7 + 1j), mask.size, 255))
        self.canvas.paste(edge, box[:2] + (box[0] + mask.width, box[1] + mask.height), shade)
        outline = pairs(np.append(points, points[:1]))
        self.draw.line(outline, edge, max(1, round(0.028 * self.place.scale)), "curve")


def _filled(shape: Shape, size: tuple[int, int], value: int) -> Image.Image:
    mask = Image.new("L", size, 0)
    ImageDraw.Draw(mask).polygon(pairs(shape), fill=value)
    return mask


def pairs(shape: Shape) -> list[tuple[float, float]]:
    """Return ``shape`` as the (x, y) pairs that Pillow draws."""
    return list(zip(shape.real.tolist(), shape.imag.tolist(), strict=True))
