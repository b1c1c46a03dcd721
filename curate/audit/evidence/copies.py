"""Two pictures to how surely one is a copy of the other: re-encoded, edited, cropped, mirrored, turned.

A test of the pair alone: no other image changes its verdict. First the pictures are laid over each other (over scales,
places, mirroring and quarter turns), then compared window by window. Two photos of one kind, or of one moment, agree in
the large and differ in the texture of most windows; copies agree in nearly all of them. Writing laid over a copy spoils
many windows by few pixels: these are left out and the windows asked again. A compact part that differs is a subject
that has moved, or another one before the same background: no copy, however much the rest agrees.

Alignment and correlation are floating-point arithmetic of OpenCV: on another processor a similarity may differ in its
last digit, so a pair right at the threshold may fall to the other side there.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import cv2
import numpy as np

from curate.audit.evidence.copy_groups import COPY

COARSE = 24  # side of the picture that is searched for, as the root of its area
FRAME = 160  # side of the common frame of the comparison
MIDDLE = 96.0
GLANCE = 64  # side of a first, cheap comparison
PROMISING = 0.2  # similarity in it that is worth the full one: copies reach 0.25 and more there, with writing on them
CENTRE = 0.7  # share of each side searched for: borders may carry captions or be cut off in the other
SCALES = tuple(round(0.88 * 1.13**step, 4) for step in range(10))  # up to a crop of 0.40 of each side
TURNS = (90, 180, 270)  # degrees: a rotation that EXIF stated and a program forgot
WORTH_ALIGNING = 0.8  # correlation of the coarse search; copies reach 0.82 and more, nine in ten look-alikes do not
WINDOW = 10  # least side of a window in pixels of the file
TEXTURED = 3.0  # grey levels of deviation that a window needs to say anything
FEWEST_WINDOWS = 12
LEAST_OVERLAP = 0.4  # of the picture showing less
# The numbers below were chosen on transforms of 1,250 photos, and on composites of them that are no copies: one
# background with two subjects, or with one subject in two places. See tests/benchmarks/bench_near_duplicates.py.
NO_COPY = 0.65  # the most that a pair reaches which agrees in the rest, but not in what matters
SMALL = 0.2  # share of the picture showing more below which a few strokes of a drawing line up by chance
SMALL_COPY = 0.85  # similarity that a copy needs there: crops to 0.4 of each side reach 0.93, drawn strangers 0.75
HOLE = 0.2  # width of the widest part that differs, as a share of the frame's side; writing and logos stay below
INNER_HOLE = 0.16  # of one that lies within the frame; captions and cut-off logos touch its edge
MOST_OVERLAID = 0.45  # share of the pixels that may be written over
PLAIN = 0.6  # with texture in a smaller share of the windows, colours have to agree too: any two discs align
SAME_COLOURS = 20.0  # mean difference, 0..255
WHOLE_FRAME = 0.93  # a copy that shares less of the picture showing more is a crop
RETOUCHED = 7.0, 34.0  # mean and 99th percentile of the colours' difference, 0..255: beyond it is an edit, no encoding


@dataclass(frozen=True)
class Copy:
    """How two pictures relate.

    `similarity` is 0..1: the correlation that three windows in four reach at least, at most 0.65 where a compact part
    differs; ``COPY`` and more is a copy. `shared` is how much of the picture showing more the other shows too: 1.0 for
    the same frame, 0.25 for a crop of half of each side. `turned`: degrees that the second is turned by. `hole`: width
    of the widest part that differs, as a share of the frame's side. `is_edited`: colours or details were changed.
    """

    similarity: float
    mirrored: bool = False
    turned: int = 0
    shared: float = 0.0
    hole: float = 0.0
    is_edited: bool = False

    @property
    def kind(self) -> str:
        """mirrored, rotated, cropped, edited or reencoded: the first that holds."""
        if self.mirrored or self.turned:
            return "mirrored" if self.mirrored else "rotated"
        return "cropped" if self.shared < WHOLE_FRAME else "edited" if self.is_edited else "reencoded"


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
class _Placement:
    """Where the coarse ``inner`` was found in ``outer``: shift in coarse pixels; ``stretched``: frame upon frame."""

    correlation: float
    scale: float = 1.0
    shift: tuple[int, int] = (0, 0)
    stretched: bool = False
    mirrored: bool = False
    turned: int = 0
    swapped: bool = False


def compare_pictures(first: Picture, second: Picture) -> Copy:
    """Return how surely ``first`` and ``second`` are copies; the order of the two does not matter much."""
    places = [
        replace(place, mirrored=mirrored, swapped=swapped)
        for mirrored in (False, True)
        for swapped in (False, True)
        for place in _find_places(*_roles(first, second, _Placement(0, mirrored=mirrored, swapped=swapped)))
    ]
    for degrees in TURNS:
        over = np.rot90(second.scaled(COARSE), degrees // 90)
        places.append(_Placement(_overlay(first.scaled(COARSE), over), stretched=True, turned=degrees))
    places.sort(key=lambda place: -place.correlation)
    best = Copy(0.0)
    for place in places[:2]:
        if place.correlation < WORTH_ALIGNING or best.similarity > 0.9:
            break
        inner, outer = _roles(first, second, place)
        if _compare_aligned(inner, outer, place, GLANCE).similarity >= PROMISING:
            best = max(best, _compare_aligned(inner, outer, place, FRAME), key=lambda copy: copy.similarity)
    return best


def _roles(first: Picture, second: Picture, place: _Placement) -> tuple[Picture, Picture]:
    other = second.mirror if place.mirrored else second.turn(place.turned) if place.turned else second
    return (other, first) if place.swapped else (first, other)


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
    stretched = _Placement(_overlay(inner.scaled(COARSE), outer.scaled(COARSE)), stretched=True)
    return [max(places, key=lambda place: place.correlation), stretched] if places else [stretched]


def _overlay(first: np.ndarray, second: np.ndarray) -> float:
    """Return the correlation of frame upon frame."""
    over = cv2.resize(np.ascontiguousarray(second), first.shape[::-1], interpolation=cv2.INTER_AREA)
    return _correlate(first, over)


def _correlate(first: np.ndarray, second: np.ndarray) -> float:
    one, two = (values.astype(np.float64) - values.mean() for values in (first, second))
    return float((one * two).sum() / max(np.sqrt((one**2).sum() * (two**2).sum()), 1e-9))


def _compare_aligned(inner: Picture, outer: Picture, place: _Placement, frame: int) -> Copy:
    """Align from ``place`` on where ``outer`` has ``frame ** 2`` pixels, then compare in the frame of ``inner``."""
    side = float(np.clip(min(inner.side * place.scale, outer.side), 48, frame))
    field, ground = outer.scaled(side), inner.scaled(side / place.scale)
    warp = _refine(ground, field, _start(ground, field, side, place))
    laid, covered = _lay(field, warp, ground.shape)
    # In pixels of the files: enlarged thumbnails look alike in small windows because there is little in them.
    native = min(inner.side, outer.side / place.scale)
    window = round(max(6, side / 10, WINDOW * side / place.scale / native))
    similarity, windows, texture = _agreement(ground, laid, covered, window)
    if PROMISING <= similarity < 0.9 and frame == FRAME:
        similarity = max(similarity, _agreement_beside_writing(ground, laid, covered, window, windows))
    # 32 pixels a side hold too little for chance to be excluded: look-alikes reach 0.85 there, copies 0.94 and more.
    similarity = max(0.0, 1 - (1 - similarity) * float(np.clip(3 - (native - 32) / 16, 1, 3)))
    overlap = float(covered.mean())
    if windows < FEWEST_WINDOWS or overlap < LEAST_OVERLAP:
        similarity = 0.0
    of_field = float(covered.sum() * abs(np.linalg.det(warp[:, :2])) / field.size)
    copy = Copy(round(similarity, 4), place.mirrored, place.turned, round(min(overlap, of_field, 1.0), 3))
    if frame < FRAME or similarity < COPY:
        return copy
    mean, top = _colour_difference(
        inner.coloured(side / place.scale), _lay(outer.coloured(side), warp, ground.shape)[0], covered
    )
    hole, inner_hole = _widest_difference(ground, laid, covered, window)
    differs = hole > HOLE or inner_hole > INNER_HOLE or (texture < PLAIN and mean > SAME_COLOURS)
    differs |= copy.shared < SMALL and similarity < SMALL_COPY
    is_edited = mean > RETOUCHED[0] or top > RETOUCHED[1]
    similarity = min(copy.similarity, NO_COPY) if differs else copy.similarity
    return replace(copy, similarity=similarity, hole=round(hole, 3), is_edited=is_edited)


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


def _agreement(
    first: np.ndarray, second: np.ndarray, covered: np.ndarray, window: int, weight: np.ndarray | None = None
) -> tuple[float, int, float]:
    """Return the 25th percentile of the windows' correlations, how many windows have texture, and their share.

    ``weight`` is 0 for pixels that do not count.
    """
    step = max(2, window // 2)
    middle = (slice(window // 2, -(window // 2), step),) * 2
    correlation, speaks, inside = (part[middle] for part in _window_maps(first, second, covered, window, weight))
    if not speaks.any():
        return 0.0, 0, 0.0
    share = float(speaks.sum() / max(inside.sum(), 1))
    return float(np.clip(np.percentile(correlation[speaks], 25), 0, 1)), int(speaks.sum()), share


def _window_maps(
    first: np.ndarray, second: np.ndarray, covered: np.ndarray, window: int, weight: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, for the window around each pixel, its correlation, whether it has texture, and whether it counts."""
    one, two = first.astype(np.float64), second.astype(np.float64)
    box = functools.partial(cv2.boxFilter, ddepth=-1, ksize=(window, window))
    known = np.ones(one.shape) if weight is None else weight
    counted = np.maximum(box(known), 1e-9)
    mean_one, mean_two = box(known * one) / counted, box(known * two) / counted
    var_one = np.maximum(box(known * one * one) / counted - mean_one**2, 0)
    var_two = np.maximum(box(known * two * two) / counted - mean_two**2, 0)
    shared = box(known * one * two) / counted - mean_one * mean_two
    inside = (box(covered.astype(np.float64)) > 0.999) & (counted > 0.5)
    # Texture in either: what only one of them shows is a difference.
    speaks = inside & (np.maximum(var_one, var_two) > TEXTURED**2)
    return shared / np.sqrt((var_one + 1) * (var_two + 1)), speaks, inside


def _agreement_beside_writing(
    first: np.ndarray, second: np.ndarray, covered: np.ndarray, window: int, windows: int
) -> float:
    """Return the agreement without the pixels that fit least, its distance from 1 doubled; 0 where these are many.

    A line is fitted from the values of one picture to those of the other, over the pixels that it fits well.
    """
    x, y = second[covered].astype(np.float64), first[covered].astype(np.float64)
    kept = np.ones(len(x), bool)
    for _ in range(4):
        if kept.sum() < 50 or x[kept].std() < 1:
            return 0.0
        apart = np.abs(y - np.polyval(np.polyfit(x[kept], y[kept], 1), x))
        limit = max(3 * 1.4826 * float(np.median(apart)), 10.0)
        kept = apart < limit
    written = np.zeros(first.shape, np.uint8)
    written[covered] = ~kept
    spread = cv2.dilate(written, np.ones((3, 3), np.uint8))
    similarity, left, _ = _agreement(first, second, covered, window, 1.0 - spread)
    if spread[covered].mean() > MOST_OVERLAID or left < windows / 2:
        return 0.0
    return max(0.0, 1 - 2 * (1 - similarity))


def _widest_difference(first: np.ndarray, second: np.ndarray, covered: np.ndarray, window: int) -> tuple[float, float]:
    """Return the width of the widest part that differs, and of the widest within the frame: shares of its side."""
    correlation, speaks, inside = _window_maps(first, second, covered, window)
    if not inside.any():
        return 0.0, 0.0
    contradicts = (speaks & (correlation < 0.5)).astype(np.uint8)
    round_window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (window, window))
    differs = cv2.morphologyEx(contradicts, cv2.MORPH_CLOSE, round_window)
    count, part, boxes, _ = cv2.connectedComponentsWithStats(differs)
    depth = cv2.distanceTransform(np.pad(differs, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    rows, columns = np.nonzero(inside)
    edges = np.array([columns.min() + 2, rows.min() + 2, -columns.max() + 1, -rows.max() + 1])
    widest = [0.0, 0.0]
    for number in range(1, count):
        left, top, width, height, _ = boxes[number]
        # A window differs as soon as a part of it does: the part itself is as much narrower.
        across = (2 * float(depth[part == number].max()) - window) / float(inside.sum()) ** 0.5
        is_inner = (np.array([left, top, -left - width, -top - height]) > edges).all()
        widest = [max(widest[0], across), max(widest[1], across if is_inner else 0.0)]
    return widest[0], widest[1]


def _colour_difference(first: np.ndarray, second: np.ndarray, covered: np.ndarray) -> tuple[float, float]:
    """Return the mean and the 99th percentile of how far the colours are apart, smoothed over 5 x 5 pixels, 0..255."""
    if first.ndim != second.ndim:
        return 0.0, 0.0
    apart = cv2.blur(cv2.absdiff(first, second), (5, 5)).astype(np.float64)
    values = (apart if apart.ndim == 2 else apart.max(axis=2))[covered]
    return float(values.mean()), float(np.percentile(values, 99))
