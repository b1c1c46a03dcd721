"""Finds where one image lies in another: over scales, places and frames, then to a fraction of a pixel."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np

COARSE = 24  # side of the picture that is searched for, as the root of its area
MIDDLE = 96.0
CENTRE = 0.7  # share of each side searched for: borders may carry captions or be cut off in the other
SCALES = tuple(round(0.88 * 1.13**step, 4) for step in range(10))  # up to a crop of 0.40 of each side


class Picture:
    """A picture ``(H, W, 3)`` or ``(H, W)`` uint8 and its scaled copies, made once however many pairs it is in."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels
        self.grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if pixels.ndim == 3 else pixels
        self.side = float(self.grey.size) ** 0.5
        self._scaled: dict[float, np.ndarray] = {}

    def scaled(self, side: float) -> np.ndarray:
        """Return the grey picture with about ``side ** 2`` pixels."""
        if side not in self._scaled:
            # The many small sizes are made from one of middle size: four fifths of the time went here otherwise.
            source = self.scaled(MIDDLE) if side < MIDDLE < self.side else self.grey
            self._scaled[side] = _resize(source, self._size(side), side < self.side)
        return self._scaled[side]

    def coloured(self, side: float) -> np.ndarray:
        """Return the picture as it is, of the size of ``scaled(side)``."""
        return _resize(self.pixels, self._size(side), side < self.side)

    def _size(self, side: float) -> list[int]:
        return [max(4, round(length * side / self.side)) for length in self.grey.shape[::-1]]

    @functools.cached_property
    def mirror(self) -> Picture:
        flipped = Picture(cv2.flip(self.pixels, 1))
        if self.side > MIDDLE:
            flipped._scaled[MIDDLE] = cv2.flip(self.scaled(MIDDLE), 1)
        return flipped

    def turn(self, degrees: int) -> Picture:
        return Picture(np.ascontiguousarray(np.rot90(self.pixels, degrees // 90)))

    @functools.cached_property
    def centre(self) -> tuple[np.ndarray, int, int]:
        """The middle of the coarse picture, and its left and top."""
        coarse = self.scaled(COARSE)
        top, left = (round(length * (1 - CENTRE) / 2) for length in coarse.shape)
        return np.ascontiguousarray(coarse[top : coarse.shape[0] - top, left : coarse.shape[1] - left]), left, top


def _resize(pixels: np.ndarray, size: list[int], smaller: bool) -> np.ndarray:
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR))


@dataclass(frozen=True)
class Placement:
    """Where the coarse ``inner`` was found in ``outer``: shift in coarse pixels; ``stretched``: frame upon frame."""

    correlation: float
    scale: float = 1.0
    shift: tuple[int, int] = (0, 0)
    stretched: bool = False
    mirrored: bool = False
    turned: int = 0
    swapped: bool = False


def find_places(inner: Picture, outer: Picture) -> list[Placement]:
    """Return the best place of ``inner``'s centre in ``outer`` over scales, and the two frames simply overlaid."""
    part, left, top = inner.centre
    places = []
    for scale in SCALES:
        field = outer.scaled(COARSE * scale)
        if field.shape[0] < part.shape[0] or field.shape[1] < part.shape[1]:
            continue
        found = cv2.matchTemplate(field, part, cv2.TM_CCOEFF_NORMED)
        # Without texture the ratio is 0 / 0: not a number, or anything above 1.
        found[~(found <= 1.01)] = 0
        _, value, _, (x, y) = cv2.minMaxLoc(found)
        places.append(Placement(float(value), scale, (x - left, y - top)))
    stretched = Placement(correlate_frames(inner.scaled(COARSE), outer.scaled(COARSE)), stretched=True)
    return [max(places, key=lambda place: place.correlation), stretched] if places else [stretched]


def correlate_frames(first: np.ndarray, second: np.ndarray) -> float:
    """Return the correlation of frame upon frame."""
    over = cv2.resize(np.ascontiguousarray(second), first.shape[::-1], interpolation=cv2.INTER_AREA)
    return _correlate(first, over)


def _correlate(first: np.ndarray, second: np.ndarray) -> float:
    one, two = (values.astype(np.float64) - values.mean() for values in (first, second))
    return float((one * two).sum() / max(np.sqrt((one**2).sum() * (two**2).sum()), 1e-9))


def start_map(ground: np.ndarray, field: np.ndarray, side: float, place: Placement) -> np.ndarray:
    """Return the affine map ``(2, 3)`` from pixels of ``ground`` to those of ``field`` that ``place`` means."""
    if place.stretched:
        across, down = field.shape[1] / ground.shape[1], field.shape[0] / ground.shape[0]
        return np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2]], np.float32)
    ratio = side / (COARSE * place.scale)
    return np.array([[1, 0, place.shift[0] * ratio], [0, 1, place.shift[1] * ratio]], np.float32)


def refine_map(ground: np.ndarray, field: np.ndarray, warp: np.ndarray) -> np.ndarray:
    """Return ``warp`` improved to a fraction of a pixel, or as it was where that fails.

    References
    ----------
    G. Evangelidis, E. Psarakis, Parametric Image Alignment Using Enhanced Correlation Coefficient Maximization, 2008.
    """
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 40, 1e-4)
    everywhere = np.full(field.shape, 255, np.uint8)
    try:
        _, better = cv2.findTransformECC(ground, field, warp.copy(), cv2.MOTION_AFFINE, stop, everywhere, 5)
    except cv2.error:
        return warp
    is_sane = 0.6 < abs(np.linalg.det(better[:, :2])) / max(abs(np.linalg.det(warp[:, :2])), 1e-6) < 1.6
    return np.asarray(better) if is_sane else warp


def warp_onto(field: np.ndarray, warp: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return ``field`` seen through ``warp`` in a frame of ``shape``, and where it covers that frame."""
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(field, warp, shape[::-1], flags=how)
    covered = cv2.warpAffine(np.ones_like(field), warp, shape[::-1], flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
    return laid, covered > 0
