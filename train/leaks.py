"""Computes a model's test accuracy with and without leaked test samples."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from curate.audit.leaks import find_leaks
from curate.storage.files import read_json
from curate.storage.folder import DatasetFolder, numbered
from train.models import read_predictions, read_run
from train.statistics import compute_interval, compute_share, resample_counts


def score_without(dataset: DatasetFolder, model: str, leaked: Collection[str]) -> dict[str, Any] | None:
    """Return the accuracy of ``model`` on the test split of its version with all samples and without the ``leaked``.

    Returns
    -------
    ``model, version, n, leaked`` (of the n), ``all`` and ``without`` as ``value, low, high``, and ``difference``
    (without - all) likewise; None when the version has no test samples or none of them is leaked.
    """
    table = read_predictions(dataset, model)
    table = table[table["split"] == "test"]
    is_leaked = table["sample_id"].isin(set(leaked)).to_numpy()
    if not is_leaked.any():
        return None
    run = read_run(dataset, model)
    is_right = (table["predicted"] == table["label"]).to_numpy()
    return {"model": model, "version": run["version"], **compare_without(is_right, is_leaked, run["seed"])}


def compare_without(is_right: np.ndarray, is_leaked: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """Return ``n, leaked, all, without, difference`` from which of N predictions are right and which samples leaked.

    The interval of the difference is a bootstrap over the samples: both accuracies come from one draw, as they share
    most samples.

    >>> found = compare_without(np.array([True, True, False, True]), np.array([True, True, False, False]))
    >>> found["all"]["value"], found["without"]["value"], found["difference"]["value"]
    (0.75, 0.5, -0.25)
    """
    count, kept = len(is_right), ~is_leaked
    kinds = np.array([(one & other).sum() for one in (is_right, ~is_right) for other in (kept, is_leaked)])
    right_kept, right_leaked, wrong_kept, _ = kinds
    remaining = int(right_kept + wrong_kept)
    drawn = resample_counts(kinds, seed).astype(float)
    with np.errstate(invalid="ignore"):
        gaps = drawn[:, 0] / (drawn[:, 0] + drawn[:, 2]) - (drawn[:, 0] + drawn[:, 1]) / count
    low, high = compute_interval(gaps) if remaining else (None, None)
    value = right_kept / remaining - (right_kept + right_leaked) / count if remaining else None
    return {
        "n": count,
        "leaked": int(is_leaked.sum()),
        "all": compute_share(int(right_kept + right_leaked), count, seed),
        "without": compute_share(int(right_kept), remaining, seed),
        "difference": {"value": None if value is None else float(value), "low": low, "high": high},
    }


def collect_leaks(dataset: DatasetFolder, models: list[str] | None = None) -> list[dict[str, Any]]:
    """Return a row for each model (all by default) and source of leaks: ``where`` and what ``score_without`` says."""
    rows = []
    for model in models if models is not None else numbered(dataset.models, "m"):
        run = dataset.models / model / "run.json"
        if not run.is_file() or not (dataset.models / model / "predictions.parquet").is_file():
            continue
        version = read_json(run)["version"]
        if not (dataset.versions / version / "manifest.parquet").is_file():
            continue
        for leak in find_leaks(dataset, version):
            score = score_without(dataset, model, leak.sample_ids)
            rows += [{"where": leak.where, **score}] if score else []
    return rows


def leak_sentence(row: dict[str, Any]) -> str:
    """Return what a leak does to a model's score.

    >>> share = {"value": 0.94, "low": 0.9, "high": 0.96}
    >>> gap = {"value": -0.03, "low": -0.05, "high": -0.01}
    >>> leak_sentence({"where": "were given to train or val", "model": "m1", "version": "v1", "n": 300, "leaked": 12,
    ...     "all": share, "without": {**share, "value": 0.91}, "difference": gap})
    '12 of 300 test images of v1 have copies that were given to train or val: accuracy of m1 0.940 with, 0.910 without them (-3.0 points, 95 % interval -5.0 to -1.0).'
    """  # noqa: E501
    head = f"{row['leaked']:,} of {row['n']:,} test images of {row['version']} have copies that {row['where']}"
    gap = row["difference"]
    if gap["value"] is None:
        return f"{head}: no test image is left without them, so nothing measures {row['model']}."
    interval = "" if gap["low"] is None else f", 95 % interval {100 * gap['low']:+.1f} to {100 * gap['high']:+.1f}"
    return (
        f"{head}: accuracy of {row['model']} {row['all']['value']:.3f} with, {row['without']['value']:.3f} without "
        f"them ({100 * gap['value']:+.1f} points{interval})."
    )
