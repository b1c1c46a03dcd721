"""Finds the samples of the spec's slices, such as `night` or `from_the_web`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pandas as pd

from curate.images.samples import Scan
from curate.log.decision import Decision
from curate.log.outcomes import fold_decisions
from curate.spec.model import Range, Slice, Spec
from curate.storage.files import Problem
from curate.storage.tables import SAMPLES
from curate.versions.labels import resolve_labels

NUMBERS = [name for name, kind in SAMPLES.items() if kind in ("int64", "float64")]
WITHOUT_LABEL = ("unlabelled", "votes tie")  # what `resolve_labels` says of samples that only lack a label
RENAMED = {"sharpness": "edge_width, where larger is blurrier (pixels; ordinary photos have 1.3 to 3.2)"}
KEYS = ("sample_id", "path")  # of the metadata: they say whose it is


def find_slice(scan: Scan, part: Slice, name: str = "") -> np.ndarray:
    """Return which rows of ``scan.samples`` belong to ``part``: booleans ``(N,)``; a part without conditions is all.

    A sample with several files belongs if one of them fits ``path`` and ``source``. In patterns ``*`` also stands for
    ``/``, and capital letters differ from small ones.

    Raises
    ------
    Problem
        When a measure or a column of the metadata is not there; the sentence says which slice, and what there is.
    """
    samples = scan.samples
    chosen = np.ones(len(samples), dtype=bool)
    if part.path or part.source:
        chosen &= samples["sample_id"].isin(_with_file(scan, part)).to_numpy()
    if part.given_label:
        chosen &= _fits(samples["given_label"], part.given_label)
    for measure, bounds in part.measures.items():
        _expect(measure, NUMBERS, f"slices.{name}.measures", "a number of the scan")
        chosen &= _between(samples[measure].to_numpy(np.float64), bounds)
    columns = [column for column in scan.metadata.columns if column not in KEYS]
    for column, patterns in part.metadata.items():
        _expect(column, columns, f"slices.{name}.metadata", "a further column of a CSV source")
        rows = scan.metadata[_fits(scan.metadata[column], patterns)]
        chosen &= samples["sample_id"].isin(rows["sample_id"]).to_numpy()
    return chosen


def tabulate_slices(scan: Scan, spec: Spec, decisions: list[Decision]) -> list[dict[str, Any]]:
    """Return a row for each slice of the spec: ``slice, samples, labels`` (class -> samples), ``unlabelled, rule``.

    ``rule`` is the class that a rule proposes for the slice, '' for none. Labels are those that stand after the
    decisions. Unreadable samples and those left out do not count.
    """
    rows_now = (
        resolve_labels(scan, fold_decisions(decisions), spec).set_index("sample_id").loc[scan.samples["sample_id"]]
    )
    labels_now, stays = rows_now["label"].to_numpy(), rows_now["excluded"].isin(["", *WITHOUT_LABEL]).to_numpy()
    rows = []
    for name, part in spec.slices.items():
        labels = labels_now[find_slice(scan, part, name) & stays]
        counts = {label: int((labels == label).sum()) for label in spec.class_names}
        unlabelled = int((labels == "").sum())
        rows.append(
            {
                "slice": name,
                "samples": len(labels),
                "labels": counts,
                "unlabelled": unlabelled,
                "rule": spec.rules.get(name, ""),
            }
        )
    return rows


def _with_file(scan: Scan, part: Slice) -> pd.Series:
    files = scan.locations[scan.locations["status"] != "ignored"]
    for column, patterns in (("path", part.path), ("source", part.source)):
        if patterns:
            files = files[_fits(files[column], patterns)]
    return files["sample_id"]


def _fits(values: Iterable[Any], patterns: str | Sequence[str]) -> np.ndarray:
    wanted = [patterns] if isinstance(patterns, str) else list(patterns)
    texts = ("" if value is None or value != value else str(value) for value in values)
    return np.array([any(fnmatchcase(text, one) for one in wanted) for text in texts], dtype=bool)


def _between(values: np.ndarray, bounds: Range) -> np.ndarray:
    """What is no number is in no range."""
    below = np.inf if bounds.below is None else bounds.below
    above = -np.inf if bounds.above is None else bounds.above
    return np.isfinite(values) & (values < below) & (values > above)


def _expect(name: str, known: Sequence[str], where: str, what: str) -> None:
    if name in RENAMED and known is NUMBERS:
        raise Problem(f"{where}: {name!r} is no longer measured; use {RENAMED[name]}.")
    if name not in known:
        raise Problem(f"{where}: expected {what} ({', '.join(known) or 'there is none'}), found {name!r}.")
