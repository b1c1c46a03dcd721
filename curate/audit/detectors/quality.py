"""Faults of single pictures, from what the scan measured.

No other picture changes a verdict, but where the issue is to be unlike the rest: small among larger (odd_size), grey
among coloured (grayscale).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from curate.audit.evidence.evidence import Evidence, findings_table
from curate.images.measure import SIDE

DETECTOR = "quality-v3"
WIDEST = 6.0  # pixels that the sharpest edges take in a picture without any detail left: score 0
HIDDEN = 4.0  # a share of 6 % that shows, or of white on average, counts as much as a darkest white of 24 %
SHOWS = 3.0  # a share of 10 % that shows, a subject cut out before one colour, counts as much as 30 % of 8 bits
STANDS_OUT = 10.0  # a share of 3 % that shows, a small subject before white, counts as much as 30 % below white
UNEVEN = 0.6  # share of slightly uneven pixels: nine in ten photos have more


def find_unreadable(evidence: Evidence) -> pd.DataFrame:
    """Return every sample: score 0 and the decoder's reason where there is no picture, else 1.

    Here alone each file has its row: empty files are one content, and all of them have to be found.
    """
    files = evidence.locations.query("status == 'unreadable'")[["sample_id", "path", "reason"]]
    others = evidence.samples[~evidence.samples["sample_id"].isin(files["sample_id"])]
    samples = pd.concat([others[["sample_id", "path", "reason"]], files], ignore_index=True)
    broken = samples["reason"] != ""
    return findings_table(
        samples,
        "unreadable",
        DETECTOR,
        score=np.where(broken, 0.0, 1.0),
        is_issue=broken,
        suggested_action=np.where(broken, "drop", ""),
        evidence=samples["reason"],
    )


def find_dark(evidence: Evidence) -> pd.DataFrame:
    """Score: the luminance that 99 % of the pixels stay below, or what little shows in a picture of a single lamp."""
    rows = evidence.readable
    shown = HIDDEN * np.fmax(rows["visible"], rows["brightness"])
    bright = rows["brightness_p99"]
    score = np.minimum(bright, shown)

    def sentence(row: Any) -> str:
        if row.brightness_p99 <= HIDDEN * np.fmax(row.visible, row.brightness):
            return f"99 % of the pixels are darker than {row.brightness_p99:.0%} of white"
        return f"{row.visible:.0%} of the picture shows anything; on average it has {row.brightness:.1%} of white"

    return _rows(evidence, "dark", score, score < evidence.spec.audit.dark, sentence)


def find_light(evidence: Evidence) -> pd.DataFrame:
    """Score: how far below white the darkest 5 % of the pixels reach, or how much stands out before a white ground."""
    rows = evidence.readable
    score = np.fmax(1 - rows["brightness_p05"], STANDS_OUT * rows["visible"])
    return _rows(
        evidence,
        "light",
        score,
        score < 1 - evidence.spec.audit.light,
        lambda row: (
            f"95 % of the pixels are brighter than {row.brightness_p05:.0%} of white, and "
            f"{np.nan_to_num(row.visible):.0%} of the picture shows a difference of 20 % of white"
        ),
    )


def find_blurry(evidence: Evidence) -> pd.DataFrame:
    """Score: 1 for edges of one pixel, 0 for such of six; what has no edge at all (one colour) is not blurry."""
    width = evidence.readable["edge_width"]

    def sentence(row: Any) -> str:
        if np.isnan(row.edge_width):
            return "it has no edge to judge by, or fewer than 56 pixels"
        side = min(SIDE, row.width, row.height)
        return f"its sharpest edges take {row.edge_width:.1f} of {side} pixels; those of ordinary photos 1.3 to 3.2"

    score = ((WIDEST - width) / (WIDEST - 1)).fillna(1.0)
    return _rows(evidence, "blurry", score, width > evidence.spec.audit.blurry, sentence)


def find_low_information(evidence: Evidence) -> pd.DataFrame:
    """Score: the entropy of the grey levels over its highest possible value, 8 bits, or how much shows all the same."""
    rows = evidence.readable
    score = np.fmax(rows["entropy"] / 8, SHOWS * rows["visible"])
    return _rows(
        evidence,
        "low_information",
        score,
        score < evidence.spec.audit.low_information,
        lambda row: (
            f"the grey levels hold {row.entropy:.1f} bits of 8, and {np.nan_to_num(row.visible):.0%} of the picture "
            "shows anything"
        ),
    )


def find_odd_size(evidence: Evidence) -> pd.DataFrame:
    """Score: the shorter side over twice the fewest pixels that it should have.

    Those are the spec's, but never more than half of what is usual here: a set of only small pictures has none that is
    oddly small.
    """
    rows = evidence.readable
    shorter = np.minimum(rows["width"], rows["height"])
    usual = float(shorter.median()) if len(rows) else 0.0
    fewest = max(min(evidence.spec.audit.odd_size, usual / 2), 1)
    score = shorter / (2 * fewest)
    return _rows(
        evidence,
        "odd_size",
        score,
        score < 0.5,
        lambda row: (
            f"{row.width} x {row.height} pixels; the shorter side should have {fewest:.0f}, usual are {usual:.0f}"
        ),
    )


def find_odd_aspect_ratio(evidence: Evidence) -> pd.DataFrame:
    """Score: shorter side / longer side."""
    rows = evidence.readable
    ratio = np.minimum(rows["width"], rows["height"]) / np.maximum(rows["width"], rows["height"]).clip(lower=1)
    return _rows(
        evidence,
        "odd_aspect_ratio",
        ratio,
        ratio < evidence.spec.audit.odd_aspect_ratio,
        lambda row: f"{row.width} x {row.height} pixels",
    )


def find_grayscale(evidence: Evidence) -> pd.DataFrame:
    """Score: how far from grey, or from shades of one tint (sepia), the colours of 99 % of the pixels are at most.

    Where most pictures are grey that is what the set is, as of X-rays or scans: none is flagged, and a note says so.
    """
    rows = evidence.readable
    limit = evidence.spec.audit.grayscale
    is_grey = rows["tint_spread"] <= limit
    if is_grey.mean() > 0.5:
        evidence.notes.append(
            f"grayscale: {is_grey.sum():,} of {len(rows):,} pictures have no colour, so none was flagged for it."
        )
        is_grey &= False

    def sentence(row: Any) -> str:
        if row.colourfulness > limit >= row.tint_spread:
            return f"tinted: 99 % of the pixels are within {row.tint_spread:.1%} of shades of one tint"
        return f"99 % of the pixels are within {row.tint_spread:.1%} of grey or of one tint"

    return _rows(evidence, "grayscale", rows["tint_spread"], is_grey, sentence)


def find_placeholder(evidence: Evidence) -> pd.DataFrame:
    """Score: likeness to a photo of real surfaces: slightly uneven in most places, or of many grey levels."""
    rows = evidence.readable
    score = np.maximum(rows["uneven"] / UNEVEN, 1 - rows["few_levels"])
    return _rows(
        evidence,
        "placeholder",
        score,
        score < evidence.spec.audit.placeholder,
        lambda row: (
            f"off its ground, 12 grey levels make up {row.few_levels:.0%} of the pixels (of photos at most 40 %), "
            f"and {row.uneven:.0%} are uneven as real surfaces are (of photos at least 35 %)"
        ),
    )


def find_border(evidence: Evidence) -> pd.DataFrame:
    """Score: the share of the height or width that bars of one colour leave to the picture."""
    rows = evidence.readable
    taken = np.maximum(
        rows["border_top"] + rows["border_bottom"],
        rows["border_left"] + rows["border_right"],
    )

    def sentence(row: Any) -> str:
        widths = {side: getattr(row, f"border_{side}") for side in ("top", "bottom", "left", "right")}
        bars = [f"{side} {width:.1%}" for side, width in widths.items() if width]
        return f"bars of one colour, in per cent of the side: {', '.join(bars)}" if bars else "no bar of one colour"

    return _rows(evidence, "border", 1 - taken, taken > evidence.spec.audit.border, sentence)


def _rows(
    evidence: Evidence, issue: str, score: pd.Series, is_issue: pd.Series, sentence: Callable[..., str]
) -> pd.DataFrame:
    rows = evidence.readable
    score = score.fillna(0.0).clip(0, 1)
    said = [sentence(row) for row in rows.itertuples()]
    action = np.where(is_issue, "drop", "")
    return findings_table(rows, issue, DETECTOR, score=score, is_issue=is_issue, suggested_action=action, evidence=said)
