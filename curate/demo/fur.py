"""Paints coats: colours and patterns are the same for both species, so that colour never gives the class away."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageOps

from curate.demo.shapes import Colour

# (ground, pattern) pairs; each occurs in cats and in dogs.
COLOURS: tuple[tuple[Colour, Colour], ...] = (
    ((62, 60, 66), (34, 33, 40)),  # black
    ((236, 231, 222), (200, 192, 180)),  # white
    ((150, 152, 160), (98, 100, 110)),  # grey
    ((226, 152, 78), (176, 98, 40)),  # ginger
    ((236, 210, 164), (196, 154, 100)),  # cream
    ((150, 102, 66), (96, 60, 38)),  # brown
    ((108, 74, 58), (70, 46, 38)),  # chocolate
    ((204, 164, 112), (120, 84, 54)),  # tan
    ((186, 110, 62), (122, 62, 34)),  # red
    ((120, 128, 142), (76, 84, 100)),  # blue
)
PATTERNS = ("solid", "solid", "stripes", "spots", "patches", "bicolour", "bicolour", "points")
WHITE: Colour = (243, 239, 232)


@dataclass(frozen=True)
class Coat:
    """A fur as large as the canvas, a second fur, and the zones of the body that wear the second one."""

    first: Image.Image
    second: Image.Image
    zones: frozenset[str]
    edge: Colour
    stripes: Colour | None

    def of(self, zone: str) -> Image.Image:
        """Return the fur worn by ``zone`` (body, ear, tail, paw, chest, muzzle or mask)."""
        return self.second if zone in self.zones else self.first


def choose_coat(rng: np.random.Generator, size: tuple[int, int], unit: float) -> Coat:
    """Return a random coat for a canvas of ``size`` on which one unit of the animal is ``unit`` pixels."""
    ground, dark = (_varied(colour, rng) for colour in COLOURS[rng.integers(len(COLOURS))])
    pattern = str(rng.choice(PATTERNS))
    other, zones = ground, frozenset[str]()
    if pattern == "bicolour":
        other, zones = WHITE, _some(rng, ("paw", "chest", "muzzle", "tail", "blaze"), 0.7)
    elif pattern == "points":
        other, zones = dark, frozenset(("ear", "tail", "paw", "muzzle", "mask"))
    grain = _grain(rng, size)
    first = _with_grain(_patterned(rng, size, unit, pattern, ground, dark), grain)
    return Coat(
        first=first,
        second=_with_grain(Image.new("RGB", size, other), grain) if zones else first,
        zones=zones,
        edge=_mixed(dark, (24, 20, 24), 0.5),
        stripes=dark if pattern == "stripes" else None,
    )


def smooth_noise(rng: np.random.Generator, size: tuple[int, int], cells: tuple[int, int]) -> Image.Image:
    """Return a grey image of soft blotches, ``cells`` of them across and down."""
    grid = rng.integers(0, 256, (max(2, cells[1]), max(2, cells[0])), dtype=np.uint8)
    return Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC)


def _patterned(
    rng: np.random.Generator, size: tuple[int, int], unit: float, pattern: str, ground: Colour, dark: Colour
) -> Image.Image:
    if pattern not in ("stripes", "spots", "patches"):
        return Image.new("RGB", size, ground)
    per_unit = {"stripes": 1.2, "spots": float(rng.uniform(3.5, 6)), "patches": 0.9}[pattern]
    cells = (round(size[0] / unit * per_unit), round(size[1] / unit * per_unit))
    field = np.asarray(smooth_noise(rng, size, cells), dtype=np.float32) / 255
    if pattern == "stripes":
        across = np.arange(size[0], dtype=np.float32)[None, :] + rng.uniform(-0.3, 0.3) * np.arange(size[1])[:, None]
        field = 0.5 + 0.5 * np.sin(across / unit * rng.uniform(11, 16) + 5 * field)
    edge = float(rng.uniform(0.52, 0.62))
    mask = np.clip((field - edge) * 9, 0, 1) * 255
    return ImageOps.colorize(Image.fromarray(mask.astype(np.uint8)), ground, dark)


def _grain(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    hairs = rng.normal(128, 16, (max(2, size[1] // 6), max(2, size[0] // 2)))
    return Image.fromarray(np.clip(hairs, 0, 255).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)


def _with_grain(fur: Image.Image, grain: Image.Image) -> Image.Image:
    return ImageChops.add(fur, Image.merge("RGB", (grain,) * 3), offset=-128)


def _varied(colour: Colour, rng: np.random.Generator) -> Colour:
    red, green, blue = (
        np.clip(np.array(colour) * rng.uniform(0.88, 1.08) + rng.normal(0, 5, 3), 0, 255).astype(int).tolist()
    )
    return red, green, blue


def _mixed(one: Colour, two: Colour, share: float) -> Colour:
    red, green, blue = (round(a * (1 - share) + b * share) for a, b in zip(one, two, strict=True))
    return red, green, blue


def _some(rng: np.random.Generator, names: tuple[str, ...], chance: float) -> frozenset[str]:
    return frozenset(name for name in names if rng.random() < chance)
