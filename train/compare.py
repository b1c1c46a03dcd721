"""Compares two models on the same samples and labels: paired test, changed predictions, and a verdict."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from curate.spec.model import Spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder
from curate.versions.read import read_version
from train.evaluate import encode_labels, order_classes, read_unseen
from train.metrics import SCORES, score_classes
from train.models import read_run
from train.predict import predict_samples
from train.statistics import compute_difference, compute_mcnemar, compute_needed_samples, compute_share

LEVEL = 0.05
KINDS = ("fixed", "broken", "changed")


def compare_models(
    dataset: DatasetFolder, spec: Spec, first: str, second: str, version: str | None = None, device: str = "auto"
) -> dict[str, Any]:
    """Return how ``second`` differs from ``first`` on the test split of ``version`` (default: the newer of their two).

    Test samples that either model has seen in training, themselves or as a near copy, are left out and
    counted, so that the older model is not praised for what it learned by heart.

    Returns
    -------
    ``models, versions, truth {version, digest, n, left_out}``, ``accuracy {model: {value, low, high}}``,
    ``difference {value, low, high}`` (second - first), ``mcnemar {fixed, broken, p_value}``, ``per_class`` rows,
    ``flips`` rows, ``verdict`` in words, ``better`` (model or null), ``needed_samples`` (null unless it cannot tell).

    Raises
    ------
    Problem
        When a model or version is not there, their classes differ, or no test sample is left.
    """
    runs = [read_run(dataset, model) for model in (first, second)]
    classes = order_classes(spec, _same_classes(runs))
    truth_version = version or max((run["version"] for run in runs), key=lambda name: int(name[1:]))
    rows, left_out = read_unseen(dataset, truth_version, "test", (first, second))
    _expect_unseen(rows, left_out, truth_version, (first, second))
    truth = encode_labels(rows, classes, truth_version, second)
    probs = [predict_samples(dataset, run["id"], list(rows["sample_id"]), classes, device) for run in runs]
    comparison = compare_probabilities(truth, probs[0], probs[1], classes, (first, second), truth_version)
    return {
        **comparison,
        "versions": {run["id"]: run["version"] for run in runs},
        "recipes": {run["id"]: run["recipe"]["name"] for run in runs},
        "truth": {
            "version": truth_version,
            "digest": read_version(dataset, truth_version)["digest"],
            "n": len(rows),
            "left_out": left_out,
        },
        "flips": find_flips(rows, truth, probs[0], probs[1], classes),
    }


def compare_probabilities(
    truth: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    classes: list[str],
    names: tuple[str, str] = ("first", "second"),
    where: str = "",
    seed: int = 0,
) -> dict[str, Any]:
    """Return the statistics of ``compare_models`` from saved probabilities ``(N, K)`` and the truth ``(N,)``."""
    count, guesses = len(truth), (first.argmax(1), second.argmax(1))
    right = [guess == truth for guess in guesses]
    fixed, broken = int((~right[0] & right[1]).sum()), int((right[0] & ~right[1]).sum())
    p_value = compute_mcnemar(fixed, broken)
    comparison = {
        "models": list(names),
        "classes": classes,
        "accuracy": {name: compute_share(int(one.sum()), count, seed) for name, one in zip(names, right, strict=True)},
        "difference": compute_difference(fixed, broken, count, seed),
        "per_class": _pair_classes(truth, guesses, classes, names, seed),
        "mcnemar": {"fixed": fixed, "broken": broken, "p_value": p_value},
        "better": names[fixed > broken] if p_value < LEVEL else None,
        "needed_samples": compute_needed_samples(fixed, broken, count) if p_value >= LEVEL else None,
    }
    return {**comparison, "verdict": describe_verdict(comparison, count, where)}


def describe_verdict(comparison: dict[str, Any], count: int, where: str = "") -> str:
    """Return the verdict of a comparison over ``count`` test samples in words."""
    first, second = comparison["models"]
    before, after = (comparison["accuracy"][name]["value"] for name in (first, second))
    gap, coin = comparison["difference"], comparison["mcnemar"]
    samples = f"on {count} test samples" + (f" of {where}" if where else "")
    numbers = (
        f"accuracy {before:.3f} -> {after:.3f} {samples} ({100 * gap['value']:+.1f} points, 95 % interval "
        f"{100 * gap['low']:+.1f} to {100 * gap['high']:+.1f}), {coin['fixed']} fixed, {coin['broken']} broken, "
        f"McNemar p = {coin['p_value']:.2g}."
    )
    if comparison["better"]:
        word = "better" if comparison["better"] == second else "worse"
        return f"{second} is {word} than {first}: {numbers}"
    needed = comparison["needed_samples"]
    if needed is None:
        return f"Cannot tell {second} from {first}: {numbers} They are right equally often."
    return (
        f"Cannot tell {second} from {first}: {numbers} "
        f"About {needed:,} test samples would be needed to see a difference this large."
    )


def find_flips(
    rows: pd.DataFrame, truth: np.ndarray, first: np.ndarray, second: np.ndarray, classes: list[str]
) -> list[dict[str, Any]]:
    """Return the samples on which the two models differ: fixed, then broken, then changed, the surest first.

    ``before`` and ``after`` are the predicted classes, ``p_before`` and ``p_after`` the probability each model gave its
    own prediction.
    """
    before, after = first.argmax(1), second.argmax(1)
    ids, paths = list(rows["sample_id"]), list(rows["path"])
    flips = [
        {
            "sample_id": ids[row],
            "path": paths[row],
            "label": classes[truth[row]],
            "before": classes[before[row]],
            "after": classes[after[row]],
            "p_before": float(first[row, before[row]]),
            "p_after": float(second[row, after[row]]),
            "kind": "fixed" if after[row] == truth[row] else "broken" if before[row] == truth[row] else "changed",
        }
        for row in np.flatnonzero(before != after)
    ]
    return sorted(flips, key=lambda flip: (KINDS.index(flip["kind"]), -flip["p_after"], flip["sample_id"]))


def _same_classes(runs: list[dict[str, Any]]) -> list[str]:
    first, second = (run["classes"] for run in runs)
    if set(first) != set(second):
        raise Problem(
            f"Expected two models of the same classes, but {runs[0]['id']} knows {', '.join(first)} and "
            f"{runs[1]['id']} knows {', '.join(second)}. Train one of them anew."
        )
    return list(second)


def _expect_unseen(rows: pd.DataFrame, left_out: int, version: str, models: tuple[str, str]) -> None:
    if rows.empty:
        raise Problem(
            f"Expected test samples in {version}, but "
            + (f"all {left_out} were seen by {' or '.join(models)} in training." if left_out else "it has none.")
            + " Name another version, or give the test split a share in dataset.yaml and build again."
        )


def _pair_classes(
    truth: np.ndarray, guesses: tuple[np.ndarray, ...], classes: list[str], names: tuple[str, str], seed: int
) -> list[dict[str, Any]]:
    """Return one row a class: ``class, support`` and under each model's name its precision, recall and F1."""
    scored = [score_classes(truth, guess, classes, seed) for guess in guesses]
    return [
        {"class": pair[0]["class"], "support": pair[0]["support"]}
        | {name: {score: row[score] for score in SCORES} for name, row in zip(names, pair, strict=True)}
        for pair in zip(*scored, strict=True)
    ]
