"""A model's test predictions and leaked test samples to its accuracy with and without them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from curate.storage.folder import DatasetFolder
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
