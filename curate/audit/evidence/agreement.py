"""Measures how well two aligned images agree: window by window, ignoring overlaid text, and in colour."""

from __future__ import annotations

import functools

import cv2
import numpy as np

TEXTURED = 3.0  # grey levels of deviation that a window needs to say anything
MOST_OVERLAID = 0.45  # share of the pixels that may be written over; chosen as the numbers in copies.py were


def compute_agreement(
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


def compute_agreement_beside_writing(
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
    similarity, left, _ = compute_agreement(first, second, covered, window, 1.0 - spread)
    if spread[covered].mean() > MOST_OVERLAID or left < windows / 2:
        return 0.0
    return max(0.0, 1 - 2 * (1 - similarity))


def find_widest_difference(
    first: np.ndarray, second: np.ndarray, covered: np.ndarray, window: int
) -> tuple[float, float]:
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


def compute_colour_difference(first: np.ndarray, second: np.ndarray, covered: np.ndarray) -> tuple[float, float]:
    """Return the mean and the 99th percentile of how far the colours are apart, smoothed over 5 x 5 pixels, 0..255."""
    if first.ndim != second.ndim:
        return 0.0, 0.0
    apart = cv2.blur(cv2.absdiff(first, second), (5, 5)).astype(np.float64)
    values = (apart if apart.ndim == 2 else apart.max(axis=2))[covered]
    return float(values.mean()), float(np.percentile(values, 99))
