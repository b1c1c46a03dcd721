"""Finds text that was written over an image: captions, names, time stamps.

No letter is read. Strokes that stand out from their surroundings are joined into marks, and marks into lines: letters
of one line have one height, one base line, one colour and little space between them, and differ in shape, as the bars
of a cage do not. Each rule is there for a false alarm (fur, grass, fences, wicker); what is missed for it is small,
pale or joined writing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from curate.audit.evidence.evidence import Evidence, findings_table, map_thumbnails

DETECTOR = "overlaid_text-v2"
STROKE = 11  # pixels: strokes are narrower
CONTRAST = 55  # grey levels between a stroke and what surrounds it
BRIGHT, BRIGHTER = 165, 185  # grey levels of the brightest channel: of every pixel, and of a letter's mean
PAPER = 170  # grey level of the darkest channel: dark text lies on something light
LOWEST = 5  # pixels; nobody can tell lower letters in the thumbnail
LIKE = 30  # grey levels between the colours of neighbouring letters
FEWEST = 3  # letters of a line
MOST = 1_500  # marks that are compared with each other: noise has tens of thousands

Line = tuple[int, int, int, int, int]  # letters, left, top, right, bottom


def find_overlaid_text(evidence: Evidence) -> pd.DataFrame:
    """Score: 1 without text, falling with the letters of the longest line; 0.5 at the spec's number of them."""
    rows = evidence.readable
    lines = _find_lines(evidence).reindex(rows["sample_id"])
    fewest = evidence.spec.audit.overlaid_text
    letters = lines["letters"].to_numpy()
    is_issue = letters >= fewest
    return findings_table(
        rows,
        "overlaid_text",
        DETECTOR,
        score=np.clip(1 - letters / (2 * fewest), 0, 1),
        is_issue=is_issue,
        suggested_action=np.where(is_issue, "drop", ""),
        evidence=[_sentence(line) for line in lines.itertuples()],
    )


def _sentence(line: Any) -> str:
    if not line.letters:
        return "no line of letters"
    return (
        f"a line of {line.letters} letters, {line.bottom - line.top:.0%} of the height tall, "
        f"{line.left:.0%} from the left and {line.top:.0%} from the top"
    )


def _find_lines(evidence: Evidence) -> pd.DataFrame:
    """Return ``letters`` of the longest line and its ``left, top, right, bottom`` as shares, by sample_id; kept."""
    columns = ["letters", "left", "top", "right", "bottom"]
    found = map_thumbnails(evidence, evidence.ids, DETECTOR, columns, _measure, "text")
    return found.set_index("sample_id")


def _measure(thumbnail: bytes) -> tuple[int, float, float, float, float]:
    import cv2

    pixels = cv2.imdecode(np.frombuffer(thumbnail, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None, "the scan wrote a thumbnail that cannot be read"
    letters, left, top, right, bottom = find_line(pixels)
    height, width = pixels.shape[:2]
    return letters, left / width, top / height, right / width, bottom / height


def find_line(pixels: np.ndarray) -> Line:
    """Return the longest line of letters in ``(H, W, 3)`` uint8, in pixels; all 0 where there is none."""
    import cv2

    first, second, third = (np.ascontiguousarray(pixels[..., channel]) for channel in range(3))
    top = np.maximum(np.maximum(first, second), third)
    low = np.minimum(np.minimum(first, second), third)
    kernel = np.ones((STROKE, STROKE), np.uint8)
    is_light = (cv2.morphologyEx(top, cv2.MORPH_TOPHAT, kernel) > CONTRAST) & (top >= BRIGHT)
    dark = cv2.morphologyEx(low, cv2.MORPH_BLACKHAT, kernel)
    lines = [_longest_line(pixels, is_light, top, None), _longest_line(pixels, dark > CONTRAST, None, (low, dark))]
    return max(lines)


def _longest_line(
    pixels: np.ndarray,
    is_stroke: np.ndarray,
    brightness: np.ndarray | None,
    paper: tuple[np.ndarray, np.ndarray] | None,
) -> Line:
    boxes, colours = _marks(pixels, is_stroke, brightness)
    chains = _chains(boxes, colours)
    for chain in chains[:8]:
        if not _is_written(boxes[chain], colours[chain]):
            continue
        left, top = boxes[chain, :2].min(axis=0).astype(int)
        right, bottom = (boxes[chain, :2] + boxes[chain, 2:4]).max(axis=0).astype(int)
        around = max(1, round(0.25 * float(np.median(boxes[chain, 3]))))
        margins = is_stroke[max(0, top - around) : top, left:right], is_stroke[bottom : bottom + around, left:right]
        if any(margin.size and margin.mean() > 0.15 for margin in margins):
            continue  # a texture goes on above and below
        if paper and not _is_on_paper(*(part[top:bottom, left:right] for part in paper)):
            continue
        return len(chain), int(left), int(top), int(right), int(bottom)
    return 0, 0, 0, 0, 0


def _marks(pixels: np.ndarray, is_stroke: np.ndarray, brightness: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return left, top, width, height, area ``(N, 5)`` of the marks that may be letters, and colours ``(N, 3)``."""
    import cv2

    count, labels, boxes, _ = cv2.connectedComponentsWithStats(is_stroke.astype(np.uint8), connectivity=8)
    _, _, width, height, area = boxes.T
    may_be = (height >= LOWEST) & (height <= is_stroke.shape[0] / 4) & (width <= 2 * height) & (width >= 0.12 * height)
    may_be &= area >= 0.18 * width * height
    may_be[0] = False  # what is no stroke
    inside = np.flatnonzero(labels)
    marks, size = labels.ravel()[inside], np.maximum(area, 1)
    if brightness is not None:
        may_be &= np.bincount(marks, brightness.ravel()[inside], count) / size >= BRIGHTER
    colours = pixels.reshape(-1, 3)[inside]
    mean = np.stack([np.bincount(marks, colours[:, channel], count) / size for channel in range(3)], axis=1)
    found = boxes[may_be].astype(np.float64)
    largest = np.argsort(-found[:, 4], kind="stable")[:MOST]
    order = largest[np.lexsort((found[largest, 1], found[largest, 0]))]
    return found[order], mean[may_be][order]


def _chains(boxes: np.ndarray, colours: np.ndarray) -> list[list[int]]:
    """Return the lines of marks, the longest first: each follows one on its base line, of its height and colour."""
    left, top, width, height, _ = boxes.T
    gap = left[None] - (left + width)[:, None]
    taller, lower = np.maximum(height[:, None], height[None]), np.minimum(height[:, None], height[None])
    base = np.abs((top + height)[:, None] - (top + height)[None])
    follows = (gap >= -1) & (gap <= 0.7 * taller) & (left[None] > left[:, None])
    follows &= (base <= 0.12 * taller + 1) & (taller <= 1.35 * lower + 1)
    before, after = np.nonzero(follows)
    is_like = np.abs(colours[before] - colours[after]).max(axis=1, initial=0) <= LIKE
    before, after = before[is_like], after[is_like]
    length, previous = np.ones(len(boxes), int), np.full(len(boxes), -1)
    for pair in np.argsort(after, kind="stable"):
        one, next_one = before[pair], after[pair]
        is_nearer = previous[next_one] >= 0 and gap[one, next_one] < gap[previous[next_one], next_one]
        if length[one] + 1 > length[next_one] or (length[one] + 1 == length[next_one] and is_nearer):
            length[next_one], previous[next_one] = length[one] + 1, one
    chains = []
    for last in np.argsort(-length, kind="stable")[:8]:
        if length[last] >= FEWEST:
            chain = [int(last)]
            while previous[chain[-1]] >= 0:
                chain.append(int(previous[chain[-1]]))
            chains.append(chain[::-1])
    return chains


def _is_written(boxes: np.ndarray, colours: np.ndarray) -> bool:
    """Return whether the marks of a line differ as letters do, stand on one level line and have one colour."""
    left, top, width, height, area = boxes.T
    ratio, filled = width / height, area / (width * height)
    # Of 20 real lines the narrowest letters were half as wide as high. A least filling would cost every fifth outlined
    # caption for one brick wall.
    if not 0.45 <= np.median(ratio) <= 1.3 or ratio.std() < 0.06:
        return False  # bars, blades of grass, or one shape again and again
    if np.median(filled) > 0.85 or filled.std() < 0.04:
        return False  # blocks
    slope, start = np.polyfit(left, top + height, 1)
    off = np.abs(top + height - slope * left - start)
    is_level = abs(slope) <= 0.15 and (off <= max(1.0, 0.1 * float(np.median(height)))).mean() >= 0.7
    return bool(is_level and colours.std(axis=0).max() <= 14)


def _is_on_paper(low: np.ndarray, dark: np.ndarray) -> bool:
    """Return whether what lies between dark letters is light and even."""
    ground = low[dark <= CONTRAST / 2]
    return bool(ground.size >= 10 and np.median(ground) >= PAPER and ground.std() <= 40)
