"""Computes metrics with their intervals from truth and probabilities, overall and by class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from train.statistics import compute_interval, compute_share, resample_counts

SCORES = ("precision", "recall", "f1")


def compute_metrics(truth: np.ndarray, probs: np.ndarray, classes: Sequence[str], seed: int = 0) -> dict[str, Any]:
    """Return all metrics of predictions, as JSON has them; null where there are no samples to say.

    Parameters
    ----------
    truth
        ``(N,)`` int, the class of each sample.
    probs
        ``(N, K)``, in the order of ``classes``.
    """
    from sklearn.metrics import confusion_matrix, log_loss

    count, predicted = len(truth), probs.argmax(1) if len(truth) else np.zeros(0, np.int64)
    every = list(range(len(classes)))
    return {
        "n": count,
        "accuracy": compute_share(int((predicted == truth).sum()), count, seed),
        "balanced_accuracy": _balanced_accuracy(truth, predicted, len(classes)),
        "log_loss": float(log_loss(truth, probs, labels=every)) if count else None,
        "ece": compute_ece(truth, probs) if count else None,
        "per_class": score_classes(truth, predicted, classes, seed),
        "confusion": confusion_matrix(truth, predicted, labels=every).tolist() if count else None,
    }


def score_classes(truth: np.ndarray, predicted: np.ndarray, classes: Sequence[str], seed: int = 0) -> list[dict]:
    """Return one row a class: ``class, support, precision, recall, f1``, each score as ``value, low, high``.

    A class without samples has null scores; precision is null when nothing was predicted to be of the class.
    """
    from sklearn.metrics import precision_recall_fscore_support

    every = list(range(len(classes)))
    if not len(truth):
        nothing = {"value": None, "low": None, "high": None}
        return [{"class": name, "support": 0, **dict.fromkeys(SCORES, nothing)} for name in classes]
    *scores, support = precision_recall_fscore_support(truth, predicted, labels=every, zero_division=np.nan)
    intervals = _bootstrap_scores(truth, predicted, len(classes), seed)
    return [
        {"class": name, "support": int(support[k])}
        | {score: _bounded(scores[s][k], intervals[s][:, k], int(support[k])) for s, score in enumerate(SCORES)}
        for k, name in enumerate(classes)
    ]


def compute_ece(truth: np.ndarray, probs: np.ndarray, bins: int = 15) -> float:
    """Return the expected calibration error (0 best): the mean gap between confidence and accuracy over equal bins.

    References
    ----------
    Guo et al., On Calibration of Modern Neural Networks, 2017, equation 3.

    >>> compute_ece(np.array([0, 1]), np.array([[1.0, 0.0], [1.0, 0.0]]))
    0.5
    """
    confidence, right = probs.max(1), probs.argmax(1) == truth
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(place, weights=confidence - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(truth))


def _balanced_accuracy(truth: np.ndarray, predicted: np.ndarray, classes: int) -> float | None:
    """Return the mean recall over the classes that have samples."""
    present = [k for k in range(classes) if (truth == k).any()]
    return float(np.mean([(predicted[truth == k] == k).mean() for k in present])) if present else None


def _bootstrap_scores(truth: np.ndarray, predicted: np.ndarray, classes: int, seed: int) -> list[np.ndarray]:
    """Return precision, recall and F1 of each class in each resample, ``(R, K)`` each, nan where undefined."""
    cells, counts = np.unique(truth * classes + predicted, return_counts=True)
    drawn = resample_counts(counts, seed).astype(float)
    true, guessed = np.divmod(cells, classes)
    is_true, is_guessed = (np.eye(classes)[side] for side in (true, guessed))
    hits = drawn @ (is_true * is_guessed)
    with np.errstate(invalid="ignore"):
        return [hits / (drawn @ is_guessed), hits / (drawn @ is_true), 2 * hits / (drawn @ (is_true + is_guessed))]


def _bounded(value: float, resamples: np.ndarray, support: int) -> dict[str, float | None]:
    if support == 0 or np.isnan(value):
        return {"value": None, "low": None, "high": None}
    low, high = compute_interval(resamples)
    return {"value": float(value), "low": low, "high": high}
