"""Decides whether one image is a copy of another: re-encoded, edited, cropped, mirrored or turned.

A test of the pair alone: no other image changes its verdict. First the pictures are laid over each other (over scales,
places, mirroring and quarter turns), then compared window by window. Two photos of one kind, or of one moment, agree in
the large and differ in the texture of most windows; copies agree in nearly all of them. Writing laid over a copy spoils
many windows by few pixels: these are left out and the windows asked again. A compact part that differs is a subject
that has moved, or another one before the same background: no copy, however much the rest agrees.

Alignment and correlation are floating-point arithmetic of OpenCV: on another processor a similarity may differ in its
last digit, so a pair right at the threshold may fall to the other side there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from curate.audit.evidence.agreement import (
    compute_agreement,
    compute_agreement_beside_writing,
    compute_colour_difference,
    find_widest_difference,
)
from curate.audit.evidence.alignment import (
    COARSE,
    Picture,
    Placement,
    correlate_frames,
    find_places,
    refine_map,
    start_map,
    warp_onto,
)
from curate.audit.evidence.copy_groups import COPY

FRAME = 160  # side of the common frame of the comparison
GLANCE = 64  # side of a first, cheap comparison
PROMISING = 0.2  # similarity in it that is worth the full one: copies reach 0.25 and more there, with writing on them
TURNS = (90, 180, 270)  # degrees: a rotation that EXIF stated and a program forgot
WORTH_ALIGNING = 0.8  # correlation of the coarse search; copies reach 0.82 and more, nine in ten look-alikes do not
WINDOW = 10  # least side of a window in pixels of the file
FEWEST_WINDOWS = 12
LEAST_OVERLAP = 0.4  # of the picture showing less
# The numbers below were chosen on transforms of 1,250 photos, and on composites of them that are no copies: one
# background with two subjects, or with one subject in two places. See tests/benchmarks/bench_near_duplicates.py.
NO_COPY = 0.65  # the most that a pair reaches which agrees in the rest, but not in what matters
SMALL = 0.2  # share of the picture showing more below which a few strokes of a drawing line up by chance
SMALL_COPY = 0.85  # similarity that a copy needs there: crops to 0.4 of each side reach 0.93, drawn strangers 0.75
HOLE = 0.2  # width of the widest part that differs, as a share of the frame's side; writing and logos stay below
INNER_HOLE = 0.16  # of one that lies within the frame; captions and cut-off logos touch its edge
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


def compare_pictures(first: Picture, second: Picture) -> Copy:
    """Return how surely ``first`` and ``second`` are copies; the order of the two does not matter much."""
    places = [
        replace(place, mirrored=mirrored, swapped=swapped)
        for mirrored in (False, True)
        for swapped in (False, True)
        for place in find_places(*_roles(first, second, Placement(0, mirrored=mirrored, swapped=swapped)))
    ]
    for degrees in TURNS:
        over = np.rot90(second.scaled(COARSE), degrees // 90)
        places.append(Placement(correlate_frames(first.scaled(COARSE), over), stretched=True, turned=degrees))
    places.sort(key=lambda place: -place.correlation)
    best = Copy(0.0)
    for place in places[:2]:
        if place.correlation < WORTH_ALIGNING or best.similarity > 0.9:
            break
        inner, outer = _roles(first, second, place)
        if _compare_aligned(inner, outer, place, GLANCE).similarity >= PROMISING:
            best = max(best, _compare_aligned(inner, outer, place, FRAME), key=lambda copy: copy.similarity)
    return best


def _roles(first: Picture, second: Picture, place: Placement) -> tuple[Picture, Picture]:
    other = second.mirror if place.mirrored else second.turn(place.turned) if place.turned else second
    return (other, first) if place.swapped else (first, other)


def _compare_aligned(inner: Picture, outer: Picture, place: Placement, frame: int) -> Copy:
    """Align from ``place`` on where ``outer`` has ``frame ** 2`` pixels, then compare in the frame of ``inner``."""
    side = float(np.clip(min(inner.side * place.scale, outer.side), 48, frame))
    field, ground = outer.scaled(side), inner.scaled(side / place.scale)
    warp = refine_map(ground, field, start_map(ground, field, side, place))
    laid, covered = warp_onto(field, warp, ground.shape)
    # In pixels of the files: enlarged thumbnails look alike in small windows because there is little in them.
    native = min(inner.side, outer.side / place.scale)
    window = round(max(6, side / 10, WINDOW * side / place.scale / native))
    similarity, windows, texture = compute_agreement(ground, laid, covered, window)
    if PROMISING <= similarity < 0.9 and frame == FRAME:
        similarity = max(similarity, compute_agreement_beside_writing(ground, laid, covered, window, windows))
    # 32 pixels a side hold too little for chance to be excluded: look-alikes reach 0.85 there, copies 0.94 and more.
    similarity = max(0.0, 1 - (1 - similarity) * float(np.clip(3 - (native - 32) / 16, 1, 3)))
    overlap = float(covered.mean())
    if windows < FEWEST_WINDOWS or overlap < LEAST_OVERLAP:
        similarity = 0.0
    of_field = float(covered.sum() * abs(np.linalg.det(warp[:, :2])) / field.size)
    copy = Copy(round(similarity, 4), place.mirrored, place.turned, round(min(overlap, of_field, 1.0), 3))
    if frame < FRAME or similarity < COPY:
        return copy
    mean, top = compute_colour_difference(
        inner.coloured(side / place.scale), warp_onto(outer.coloured(side), warp, ground.shape)[0], covered
    )
    hole, inner_hole = find_widest_difference(ground, laid, covered, window)
    differs = hole > HOLE or inner_hole > INNER_HOLE or (texture < PLAIN and mean > SAME_COLOURS)
    differs |= copy.shared < SMALL and similarity < SMALL_COPY
    is_edited = mean > RETOUCHED[0] or top > RETOUCHED[1]
    similarity = min(copy.similarity, NO_COPY) if differs else copy.similarity
    return replace(copy, similarity=similarity, hole=round(hole, 3), is_edited=is_edited)
