"""Measures how a picture looks: the width of its edges, detail, frame, grain and tint.

Every function takes the copy that the scan measures (shorter side at most 256 pixels) as an array, and every number
follows from that picture alone.
"""

from __future__ import annotations

import math

import numpy as np

TILE = 16  # pixels: small enough that a sharp subject fills some tiles of its own
FEWEST_TILES = 3  # along each side: a picture of 32 pixels has no part that is sharper than the others
REACH = 8  # pixels: an edge wider than that is no edge of the copy any more
STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))  # rows and columns to the next pixel along each direction
FAINTEST = 6  # grey levels: lower differences are noise and compression
CLEAR = 51  # grey levels, 20 % of white: a difference that nobody overlooks
SHARPEST = 0.1  # share of the edges that has to be sharp: a subject that fills a small part of the picture has them
SAME = 10  # grey levels within which a frame is of one colour after compression
GROUND = 20  # grey levels around the commonest one that count as the ground
GRAIN = (2, 20)  # grey levels between neighbours that surfaces of real things have: not flat, and no edge of a drawing
FEW = 12  # grey levels


def measure_edges(grey: np.ndarray) -> dict[str, float]:
    """Return ``edge_width`` in pixels and ``visible``, the share 0..1 of tiles that show something; ``(H, W)`` uint8.

    In each tile and direction the largest difference over 8 pixels is divided by that over one: how many pixels the
    steepest edge takes. A step takes 1, one blurred by a Gaussian of s pixels 2.5 s, a mere gradient 8; met along a
    diagonal, 1.4 times as many. Of the tiles with an edge, at least 0.3 of the picture's strongest, the sharpest tenth
    decides, so that a sharp subject on a plain or defocused ground is sharp; and of the four directions the worst, as
    motion blurs only along itself. ``edge_width`` is NaN without any edge and below 56 pixels, both below 10.

    References
    ----------
    P. Marziliano et al., A no-reference perceptual blur metric, 2002: the width of edges.
    """
    if min(grey.shape) <= REACH + 1:
        return {"edge_width": math.nan, "visible": math.nan}
    tiles = [
        (_tile_maxima(_differences(grey, step, 1)), _tile_maxima(_differences(grey, step, REACH))) for step in STEPS
    ]
    strongest = max(_quantile(far, 0.98) for _, far in tiles)
    least, widths = max(FAINTEST, 0.3 * strongest), []
    contrast = np.maximum.reduce([far for _, far in tiles])
    visible = float((contrast >= CLEAR).mean())
    if min(tiles[0][0].shape) < FEWEST_TILES:
        return {"edge_width": math.nan, "visible": visible}
    for (near, far), step in zip(tiles, STEPS, strict=True):
        if (far >= least).any():
            ratio = _quantile(far[far >= least] / np.maximum(near[far >= least], 1), SHARPEST)
            # Beyond REACH the steep place is none of a tile's: it lies in the outermost pixels of the picture.
            widths += [ratio * math.hypot(*step)] if ratio <= REACH else []
    return {"edge_width": max(widths, default=math.nan), "visible": visible}


def _differences(grey: np.ndarray, step: tuple[int, int], count: int) -> np.ndarray:
    """Return the absolute differences over ``count`` pixels along ``step``, centred where those over REACH are."""
    edge = REACH // 2
    (height, width), first = grey.shape, -(count // 2)
    ends = []
    for place in (first, first + count):
        down, right = place * step[0], place * step[1]
        ends.append(grey[edge + down : height - edge + down, edge + right : width - edge + right])
    return distance(*ends)


def _tile_maxima(values: np.ndarray) -> np.ndarray:
    """Return the maximum of each tile; what is left over at the far ends is left out, unless it is all there is."""
    high, wide = (min(TILE, side) for side in values.shape)
    rows, columns = values.shape[0] // high, values.shape[1] // wide
    strips = values[: rows * high].reshape(rows, high, -1).max(axis=1)
    return strips[:, : columns * wide].reshape(rows, columns, wide).max(axis=2)


def measure_borders(grey: np.ndarray) -> dict[str, float]:
    """Return the share 0..1 of the height or width that a uniform bar takes at each side of ``(H, W)`` uint8.

    A bar is of one colour over the whole side and ends in a straight line: just behind it most of the picture differs.
    So a white studio ground is none, which ends in the outline of the subject.
    """
    names = ("border_top", "border_bottom", "border_left", "border_right")
    if min(grey.shape) < TILE:
        return dict.fromkeys(names, 0.0)
    sides = [grey, grey[::-1], grey.T, grey.T[::-1]]
    low = [grey.min(axis=1), None, grey.min(axis=0)]
    high = [grey.max(axis=1), None, grey.max(axis=0)]
    bars = [_uniform_rows(low[at // 2 * 2], high[at // 2 * 2], bool(at % 2)) for at in range(4)]
    shares = []
    for at, (side, (count, colour)) in enumerate(zip(sides, bars, strict=True)):
        before, after = bars[2][0], bars[3][0]
        if at >= 2:
            before, after = bars[0][0], bars[1][0]
        # Between wide bars on both other sides lies a small thing on a plain ground rather than a framed picture.
        is_wide = before + after <= 0.6 * side.shape[1]
        # Compression stains the last rows of a bar; it ends where three quarters of a row are of another colour.
        behind = side[count : count + 5, before : side.shape[1] - after] if count > 1 and is_wide else side[:0]
        is_end = (
            (distance(behind, np.array(colour, np.uint8)) > 2 * SAME).mean(axis=1) > 0.75
            if behind.size
            else np.zeros(1)
        )
        shares.append((count + int(np.argmax(is_end))) / len(side) if is_end.any() else 0.0)
    return dict(zip(names, shares, strict=True))


def _uniform_rows(low: np.ndarray, high: np.ndarray, is_reversed: bool) -> tuple[int, int]:
    """Return how many lines from the side have the colour of its outermost line, and that grey level."""
    low, high = (values[::-1].astype(int) if is_reversed else values.astype(int) for values in (low, high))
    colour = int(low[0] + high[0]) // 2
    is_same = (high - colour <= SAME) & (colour - low <= SAME)
    return (0 if is_same.all() else int(np.argmin(is_same))), colour


def measure_grain(grey: np.ndarray) -> dict[str, float]:
    """Return how unlike a drawing ``(H, W)`` uint8 is: ``uneven`` and ``few_levels``, shares 0..1.

    ``uneven`` is the share of pixels that differ slightly from a neighbour, as surfaces and sensor noise make them: the
    geometric mean of that of the whole picture and of what is not its ground (the commonest grey level), which the flat
    ground of a studio photo would hide. ``few_levels`` is what the 12 commonest grey levels make of the pixels off the
    ground. A picture that is all ground has 1 and 0: there is nothing drawn on it.
    """
    if min(grey.shape) < 2:
        return {"uneven": 1.0, "few_levels": 0.0}
    corner = grey[1::2, 1:]  # every second row is enough, and half the work
    steps = np.maximum(distance(corner, grey[1::2, :-1]), distance(corner, grey[:-1:2, 1:]))
    counts = np.bincount(corner.ravel(), minlength=256)
    ground = int(np.argmax(np.convolve(counts, np.ones(9), "same")))
    is_drawn = distance(corner, np.array(ground, np.uint8)) > GROUND
    counts[max(0, ground - GROUND) : ground + GROUND + 1] = 0
    if counts.sum() < 0.01 * corner.size:
        return {"uneven": 1.0, "few_levels": 0.0}
    is_uneven = (steps >= GRAIN[0]) & (steps <= GRAIN[1])
    uneven = math.sqrt(is_uneven.mean() * np.count_nonzero(is_uneven & is_drawn) / counts.sum())
    return {"uneven": uneven, "few_levels": float(np.sort(counts)[-FEW:].sum() / counts.sum())}


def measure_tint(pixels: np.ndarray) -> float:
    """Return how far the colours of ``(H, W, 3)`` uint8 are from one tint, 0..1: 0 for a grey, sepia or blue-toned one.

    In a toned picture the grey level says the colour: the channels' differences lie on a straight line over it. The
    result is the distance from that line that 99 % of the pixels stay below. Where there is hardly more than one grey
    level, or a few pixels, any colour would pass for a tint: there it is the distance from grey.
    """
    every = max(1, min(pixels.shape[:2]) // 32)
    red, green, blue = pixels[::every, ::every].reshape(-1, 3).T.astype(np.float64)
    level = (red + green + blue) / 3
    level -= level.mean()
    tells = len(level) >= 256 and level.std() >= FAINTEST
    apart = np.zeros(len(level))
    for tone in (red - green, blue - green):
        if tells:
            tone = tone - tone.mean() - level * ((level * tone).mean() / (level * level).mean())
        apart = np.maximum(apart, np.abs(tone))
    return _quantile(apart, 0.99) / 255


def distance(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Return the absolute difference of unsigned numbers, which would wrap around below zero."""
    return np.maximum(one, two) - np.minimum(one, two)


def _quantile(values: np.ndarray, share: float) -> float:
    """The value that ``share`` of ``values`` stay below; numpy's own takes longer than the rest of the measure."""
    ordered = np.sort(values, axis=None)
    return float(ordered[min(len(ordered) - 1, int(share * len(ordered)))])
