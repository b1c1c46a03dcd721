"""Two pictures to how surely one is a copy of the other: resized, re-encoded, cropped, mirrored.

A test of the pair alone: no other image changes its verdict. First the pictures are laid over each other (over scales,
places and mirroring), then compared window by window. Two photos of one kind, or of one moment, agree in the large and
differ in the texture of most windows; copies agree in nearly all of them.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import cv2
import numpy as np

COARSE = 24  # side of the picture that is searched for, as the root of its area
FRAME = 160  # side of the common frame of the comparison
MIDDLE = 96.0
GLANCE = 64  # side of a first, cheap comparison
PROMISING = 0.2  # similarity in it that is worth the full one: copies reach 0.5 and more there
CENTRE = 0.7  # share of each side searched for: borders may carry captions or be cut off in the other
SCALES = tuple(round(0.88 * 1.13**step, 4) for step in range(10))  # up to a crop of 0.40 of each side
WORTH_ALIGNING = 0.8  # correlation of the coarse search; copies reach 0.85 and more, nine in ten look-alikes do not
WINDOW = 10  # least side of a window in pixels of the file
TEXTURED = 3.0  # grey levels of deviation that a window needs to say anything
FEWEST_WINDOWS = 12
LEAST_OVERLAP = 0.4  # of the picture showing less


@dataclass(frozen=True)
class Copy:
    """How two pictures relate.

    `similarity` is 0..1: the correlation that three windows in four reach at least. `shared` is how much of the
    picture showing more the other shows too: 1.0 for the same frame, 0.25 for a crop of half of each side.
    """

    similarity: float
    mirrored: bool = False
    shared: float = 0.0


class Picture:
    """A grey picture and its scaled copies, each made once however many pairs it is in."""

    def __init__(self, grey: np.ndarray) -> None:
        self.grey = grey
        self.side = float(grey.size) ** 0.5
        self._scaled: dict[float, np.ndarray] = {}

    def scaled(self, side: float) -> np.ndarray:
        """Return the picture with about ``side ** 2`` pixels."""
        if side not in self._scaled:
            # The many small sizes are made from one of middle size: four fifths of the time went here otherwise.
            source = self.scaled(MIDDLE) if side < MIDDLE < self.side else self.grey
            size = [max(4, round(length * side / self.side)) for length in self.grey.shape[::-1]]
            how = cv2.INTER_AREA if side < self.side else cv2.INTER_LINEAR
            self._scaled[side] = cv2.resize(source, size, interpolation=how)
        return self._scaled[side]

    @functools.cached_property
    def mirror(self) -> Picture:
        flipped = Picture(cv2.flip(self.grey, 1))
        if self.side > MIDDLE:
            flipped._scaled[MIDDLE] = cv2.flip(self.scaled(MIDDLE), 1)
        return flipped

    @functools.cached_property
    def centre(self) -> tuple[np.ndarray, int, int]:
        """The middle of the coarse picture, and its left and top."""
        coarse = self.scaled(COARSE)
        top, left = (round(length * (1 - CENTRE) / 2) for length in coarse.shape)
        return np.ascontiguousarray(coarse[top : coarse.shape[0] - top, left : coarse.shape[1] - left]), left, top


@dataclass(frozen=True)
class _Placement:
    """Where the coarse ``inner`` was found in ``outer``: shift in coarse pixels; ``stretched``: frame upon frame."""

    correlation: float
    scale: float = 1.0
    shift: tuple[int, int] = (0, 0)
    stretched: bool = False
    mirrored: bool = False
    swapped: bool = False


def compare_pictures(first: Picture, second: Picture) -> Copy:
    """Return how surely ``first`` and ``second`` are copies; the order of the two does not matter much."""
    places = [
        replace(place, mirrored=mirrored, swapped=swapped)
        for mirrored in (False, True)
        for swapped in (False, True)
        for place in _find_places(*_roles(first, second, mirrored, swapped))
    ]
    places.sort(key=lambda place: -place.correlation)
    best = Copy(0.0)
    for place in places[:2]:
        if place.correlation < WORTH_ALIGNING or best.similarity > 0.9:
            break
        inner, outer = _roles(first, second, place.mirrored, place.swapped)
        if _compare_aligned(inner, outer, place, GLANCE).similarity >= PROMISING:
            best = max(best, _compare_aligned(inner, outer, place, FRAME), key=lambda copy: copy.similarity)
    return best


def _roles(first: Picture, second: Picture, mirrored: bool, swapped: bool) -> tuple[Picture, Picture]:
    other = second.mirror if mirrored else second
    return (other, first) if swapped else (first, other)


def _find_places(inner: Picture, outer: Picture) -> list[_Placement]:
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
        places.append(_Placement(float(value), scale, (x - left, y - top)))
    whole = inner.scaled(COARSE)
    over = cv2.resize(outer.scaled(COARSE), whole.shape[::-1], interpolation=cv2.INTER_AREA)
    stretched = _Placement(_correlate(whole, over), stretched=True)
    return [max(places, key=lambda place: place.correlation), stretched] if places else [stretched]


def _correlate(first: np.ndarray, second: np.ndarray) -> float:
    one, two = (values.astype(np.float64) - values.mean() for values in (first, second))
    return float((one * two).sum() / max(np.sqrt((one**2).sum() * (two**2).sum()), 1e-9))


def _compare_aligned(inner: Picture, outer: Picture, place: _Placement, frame: int) -> Copy:
    """Align from ``place`` on where ``outer`` has ``frame ** 2`` pixels, then compare in the frame of ``inner``."""
    side = float(np.clip(min(inner.side * place.scale, outer.side), 48, frame))
    field = outer.scaled(side)
    ground = inner.scaled(side / place.scale)
    warp = _start(ground, field, side, place)
    warp = _refine(ground, field, warp)
    laid, covered = _lay(field, warp, ground.shape)
    # In pixels of the files: enlarged thumbnails look alike in small windows because there is little in them.
    native = min(inner.side, outer.side / place.scale)
    window = round(max(6, side / 10, WINDOW * side / place.scale / native))
    similarity, windows = _agreement(ground, laid, covered, window)
    # 32 pixels a side hold too little for chance to be excluded: look-alikes reach 0.85 there, copies 0.94 and more.
    similarity = max(0.0, 1 - (1 - similarity) * float(np.clip(3 - (native - 32) / 16, 1, 3)))
    overlap = float(covered.mean())
    if windows < FEWEST_WINDOWS or overlap < LEAST_OVERLAP:
        similarity = 0.0
    of_field = float(covered.sum() * abs(np.linalg.det(warp[:, :2])) / field.size)
    return Copy(round(similarity, 4), place.mirrored, round(min(overlap, of_field, 1.0), 3))


def _start(ground: np.ndarray, field: np.ndarray, side: float, place: _Placement) -> np.ndarray:
    """Return the affine map ``(2, 3)`` from pixels of ``ground`` to those of ``field`` that ``place`` means."""
    if place.stretched:
        across, down = field.shape[1] / ground.shape[1], field.shape[0] / ground.shape[0]
        return np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2]], np.float32)
    ratio = side / (COARSE * place.scale)
    return np.array([[1, 0, place.shift[0] * ratio], [0, 1, place.shift[1] * ratio]], np.float32)


def _refine(ground: np.ndarray, field: np.ndarray, warp: np.ndarray) -> np.ndarray:
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


def _lay(field: np.ndarray, warp: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return ``field`` seen through ``warp`` in a frame of ``shape``, and where it covers that frame."""
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(field, warp, shape[::-1], flags=how)
    covered = cv2.warpAffine(np.ones_like(field), warp, shape[::-1], flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
    return laid, covered > 0


def _agreement(first: np.ndarray, second: np.ndarray, covered: np.ndarray, window: int) -> tuple[float, int]:
    """Return the 25th percentile of the windows' correlations, and how many windows have texture."""
    one, two = first.astype(np.float64), second.astype(np.float64)
    step = max(2, window // 2)
    middle = (slice(window // 2, -(window // 2), step),) * 2
    box = functools.partial(cv2.boxFilter, ddepth=-1, ksize=(window, window))
    mean_one, mean_two = box(one)[middle], box(two)[middle]
    var_one = np.maximum(box(one * one)[middle] - mean_one**2, 0)
    var_two = np.maximum(box(two * two)[middle] - mean_two**2, 0)
    shared = box(one * two)[middle] - mean_one * mean_two
    inside = box(covered.astype(np.float64))[middle] > 0.999
    # Texture in either: what only one of them shows is a difference.
    speaks = inside & (np.maximum(var_one, var_two) > TEXTURED**2)
    if not speaks.any():
        return 0.0, 0
    correlation = shared[speaks] / np.sqrt((var_one[speaks] + 1) * (var_two[speaks] + 1))
    return float(np.clip(np.percentile(correlation, 25), 0, 1)), int(speaks.sum())
