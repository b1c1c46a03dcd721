"""Describes a region of similar images: its labels, how its images differ from all others, and examples."""

from __future__ import annotations

import numpy as np

from curate.audit.detectors.properties import tabulate_numbers
from curate.audit.evidence.evidence import Evidence

APART = 0.8  # standard deviations from the mean of all that is worth a word
EXAMPLES = 2


def describe_region(evidence: Evidence, inside: np.ndarray) -> str:
    """Return a name for the pictures ``inside`` ``(N,)``: their labels, how they differ, and examples."""
    names = evidence.spec.class_names
    labels = evidence.given[inside]
    counts = np.bincount(labels[labels >= 0], minlength=len(names))
    mix = ", ".join(
        f"{counts[place]:,} {names[place]}" for place in np.argsort(-counts, kind="stable")[:2] if counts[place]
    )
    paths = evidence.readable["path"].to_numpy()[inside][:EXAMPLES]
    words = "; ".join(_differences(evidence, inside)[:2])
    return f"pictures like {' and '.join(paths)}" + (f" ({mix}{'; ' + words if words else ''})" if mix else "")


def _differences(evidence: Evidence, inside: np.ndarray) -> list[str]:
    """Return in which measures the pictures differ most from all, in words."""
    told = []
    for number in tabulate_numbers(evidence):
        known = np.isfinite(number.values)
        spread = number.values[known].std() if known.any() else 0.0
        if spread < 1e-9 or not (known & inside).any():
            continue
        apart = (number.values[known & inside].mean() - number.values[known].mean()) / spread
        if abs(apart) >= APART:
            told.append((-abs(round(float(apart), 6)), f"{'high' if apart > 0 else 'low'} {number.name}"))
    return [words for _, words in sorted(told)]
