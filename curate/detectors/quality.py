"""Faults of single pictures, from what the scan measured: no other picture changes a verdict (but for odd_size)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from curate.detectors.evidence import Evidence, findings_table

DETECTOR = "quality-v2"
SHARP = 25.0  # deviation of the Laplacian (0..255) of an ordinary photo: half of 2,500 are above 22


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
    """Score: the luminance that 99 % of the pixels stay below."""
    bright = evidence.readable["brightness_p99"]
    return _rows(
        evidence,
        "dark",
        bright,
        bright < evidence.spec.audit.dark,
        lambda row: f"99 % of the pixels are darker than {row.brightness_p99:.0%} of white",
    )


def find_light(evidence: Evidence) -> pd.DataFrame:
    """Score: how far below white the darkest 5 % of the pixels reach."""
    dimmest = evidence.readable["brightness_p05"]
    return _rows(
        evidence,
        "light",
        1 - dimmest,
        dimmest > evidence.spec.audit.light,
        lambda row: f"95 % of the pixels are brighter than {row.brightness_p05:.0%} of white",
    )


def find_blurry(evidence: Evidence) -> pd.DataFrame:
    """Score: the deviation of the Laplacian over that of an ordinary photo."""
    score = evidence.readable["sharpness"] / SHARP
    return _rows(
        evidence,
        "blurry",
        score,
        score < evidence.spec.audit.blurry,
        lambda row: (
            f"the Laplacian deviates by {row.sharpness:.1f} grey levels; ordinary photos have {SHARP:.0f} and more"
        ),
    )


def find_low_information(evidence: Evidence) -> pd.DataFrame:
    """Score: the entropy of the grey levels over its highest possible value, 8 bits."""
    score = evidence.readable["entropy"] / 8
    return _rows(
        evidence,
        "low_information",
        score,
        score < evidence.spec.audit.low_information,
        lambda row: f"the grey levels hold {row.entropy:.1f} bits of 8",
    )


def find_odd_size(evidence: Evidence) -> pd.DataFrame:
    """Score: the shorter side over twice the fewest pixels that it should have."""
    rows = evidence.readable
    shorter = np.minimum(rows["width"], rows["height"])
    score = shorter / (2 * max(evidence.spec.audit.odd_size, 1))
    return _rows(
        evidence,
        "odd_size",
        score,
        score < 0.5,
        lambda row: f"{row.width} x {row.height} pixels; the shorter side should have {evidence.spec.audit.odd_size}",
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
    """Score: the spread between the colour channels that 99 % of the pixels stay below."""
    colour = evidence.readable["colourfulness"]
    return _rows(
        evidence,
        "grayscale",
        colour,
        colour <= evidence.spec.audit.grayscale,
        lambda row: f"99 % of the pixels have channels within {row.colourfulness:.1%} of each other",
    )


def _rows(
    evidence: Evidence, issue: str, score: pd.Series, is_issue: pd.Series, sentence: Callable[..., str]
) -> pd.DataFrame:
    rows = evidence.readable
    score = score.fillna(0.0).clip(0, 1)
    said = [sentence(row) for row in rows.itertuples()]
    action = np.where(is_issue, "drop", "")
    return findings_table(rows, issue, DETECTOR, score=score, is_issue=is_issue, suggested_action=action, evidence=said)
