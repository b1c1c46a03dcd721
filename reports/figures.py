"""Formats values as the words, numbers and positions that a page shows."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

MONTHS = "January February March April May June July August September October November December".split()
# issue -> (title, what it means)
ISSUES = {
    "decision_conflict": ("Differing decisions", "Two people answered differently, one without having seen the other."),
    "label_error": ("Label errors", "The rest of the dataset contradicts the given label."),
    "label_conflict": ("Label conflicts", "Copies of one picture, or votes for it, carry different labels."),
    "near_duplicate": ("Near duplicates", "Re-encoded, resized, cropped or mirrored copies of one picture."),
    "leakage": ("Leakage", "Copies of one picture in different splits: a test that gives its answers away."),
    "unreadable": ("Unreadable files", "Files that cannot be decoded as an image."),
    "unlabelled": ("Unlabelled", "No label yet. What is suggested is a proposal, never taken without a decision."),
    "off_topic": ("Off topic", "Pictures that show none of the classes."),
    "outlier": ("Outliers", "Pictures unlike any other in the dataset."),
    "dark": ("Too dark", "Even the brightest parts are dark."),
    "light": ("Too light", "Even the darkest parts are light."),
    "blurry": ("Blurry", "Not even the sharpest part has a sharp edge."),
    "low_information": ("Little information", "Almost one colour: nothing to learn from."),
    "odd_size": ("Odd size", "Far smaller than the others."),
    "odd_aspect_ratio": ("Odd shape", "Far wider or taller than usual."),
    "grayscale": ("Greyscale", "No colour, or shades of one tint, where others have colour."),
    "overlaid_text": ("Text on the picture", "A caption, time stamp or watermark that was written over it."),
    "placeholder": ("Placeholders and graphics", "Flat areas of few shades: an icon, a screenshot, no photo."),
    "shortcut": ("Shortcut", "A property that tells the class although it has nothing to do with it."),
    "weak_slice": ("Weak slice", "The model contradicts the labels there far more often than elsewhere."),
    "imbalance": ("Imbalance", "A class has far fewer samples than another, or none in a slice."),
    "coverage": ("Coverage", "A class has few really different pictures."),
    "border": ("Borders", "A frame or bars of one colour around the picture."),
}


def printable(value: Any) -> Any:
    """Return ``value``; in text, what would not print or would reorder it is shown as its code.

    File names may hold control characters, bytes that are no text, or marks that turn the reading direction.

    >>> printable("cat\\u202egpj.exe")
    'cat\\\\u202egpj.exe'
    """
    # Only plain text: what a macro has rendered is of another type, and is escaped already.
    if type(value) is not str or value.isprintable():
        return value
    return "".join(_escape(one) if unicodedata.category(one) in ("Cc", "Cf", "Cs") else one for one in value)


def _escape(character: str) -> str:
    # Joiners (U+200C, U+200D) are part of ordinary words and emoji.
    if character in "\n\t\u200c\u200d":
        return character
    return f"\\u{ord(character):04x}"


def issue_title(issue: str) -> str:
    """Return the heading of an issue.

    >>> issue_title("dark"), issue_title("my_own_check")
    ('Too dark', 'My own check')
    """
    return ISSUES[issue][0] if issue in ISSUES else issue.replace("_", " ").capitalize()


def issue_meaning(issue: str) -> str:
    """Return what an issue means in one sentence, '' for one that is not known here."""
    return ISSUES[issue][1] if issue in ISSUES else ""


def count(value: float) -> str:
    """Return a whole number with thousands marked.

    >>> count(1200)
    '1,200'
    """
    return f"{value:,.0f}"


def counted(value: float, one: str, many: str = "") -> str:
    """Return a number with its noun.

    >>> counted(1, "sample"), counted(2, "class", "classes")
    ('1 sample', '2 classes')
    """
    return f"{count(value)} {one if value == 1 else many or one + 's'}"


def percent(value: float | None) -> str:
    """Return a share as per cent with one decimal; a dash when there is none.

    >>> percent(0.9342), percent(None)
    ('93.4 %', '–')
    """
    return "–" if value is None or math.isnan(value) else f"{100 * value:.1f} %"


def points(value: float, unit: str = " points") -> str:
    """Return a difference of two shares in signed percentage points.

    >>> points(0.021), points(-0.1, unit="")
    ('+2.1 points', '−10.0')
    """
    return f"{'−' if value < 0 else '+'}{abs(100 * value):.1f}{unit}"


def score(value: float | None) -> str:
    """Return a score or p-value with three decimals, a dash when there is none.

    >>> score(0.0312), score(0.00001)
    ('0.031', '< 0.001')
    """
    if value is None or math.isnan(value):
        return "–"
    return "< 0.001" if 0 < value < 0.001 else f"{value:.3f}"


def duration(seconds: float | None) -> str:
    """Return a time span as a person says it.

    >>> duration(0.034), duration(4.21), duration(83)
    ('0.03 s', '4.2 s', '1 min 23 s')
    """
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def moment(time: str) -> str:
    """Return an ISO time in UTC, to the minute; other text as it is.

    >>> moment("2026-11-23T04:18:35+00:00")
    '23 November 2026, 04:18 UTC'
    """
    try:
        parsed = datetime.fromisoformat(time.replace("Z", "+00:00"))
    except ValueError:
        return time
    known = parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)
    utc = known.astimezone(timezone.utc)
    return f"{utc.day} {MONTHS[utc.month - 1]} {utc.year}, {utc:%H:%M} UTC"


def share(part: float, whole: float) -> float:
    """Return ``part`` of ``whole`` in per cent, for the length of a bar; 0 of nothing.

    >>> share(1, 4), share(1, 0)
    (25.0, 0.0)
    """
    return round(100 * part / whole, 2) if whole else 0.0


def interval_axis(intervals: Iterable[dict[str, float]]) -> dict[str, Any]:
    """Return where an axis of shares begins and its ticks, so that all ``intervals`` (value, low, high) fit.

    It ends at 1 and begins at the round tenth below the lowest value; ``place`` turns a share into per cent of it.

    >>> axis = interval_axis([{"value": 0.9, "low": 0.86, "high": 0.93}])
    >>> axis["ticks"], axis["place"](0.9)
    ([0.8, 0.85, 0.9, 0.95, 1.0], 50.0)
    """
    lowest = min((one["low"] for one in intervals), default=0.0)
    start = min(0.8, max(0.0, math.floor(lowest * 10) / 10))
    ticks = [round(start + step * (1 - start) / 4, 4) for step in range(5)]
    return {"start": start, "ticks": ticks, "place": lambda value: round(100 * (value - start) / (1 - start), 2)}


FILTERS = {
    "count": count,
    "counted": counted,
    "percent": percent,
    "points": points,
    "score": score,
    "duration": duration,
    "moment": moment,
    "share": share,
    "issue_title": issue_title,
}
