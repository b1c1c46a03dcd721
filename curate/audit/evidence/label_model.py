"""Computes out-of-sample class probabilities from embeddings: cross-fitted kernel ridge regression.

The radial kernel is taken through landmarks (Nystroem), so time and memory grow with N, and the folds share their sums:
what is held out is subtracted. Squared loss forgives a wrong label more than a logistic one does, and a kernel sees
more than a line: on human label noise both measured better than logistic regression on the same embeddings.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.linalg
import scipy.optimize
import scipy.special

WIDTHS = (0.1, 0.3, 1.0)  # of the kernel exp(-width |a - b|^2), on centred embeddings of mean squared length 1
RIDGES = (0.3, 1.0, 3.0, 10.0)
LANDMARKS = 2_000
CHOSEN_ON = 4_000  # rows that choose width and ridge; more would rarely change the choice
CHOOSING_LANDMARKS = 1_000
CHOOSING_FOLDS = 3
MAPPED_AT_ONCE = 4_096  # rows
SCALED_AT_ONCE = 250_000  # numbers: what a processor's cache holds


@dataclass(frozen=True)
class Folds:
    """Which rows are held out together: ``of`` ``(N,)`` is the fold of each labelled row, -1 for the unlabelled."""

    of: np.ndarray
    count: int

    def held_out(self) -> list[np.ndarray]:
        return [np.flatnonzero(self.of == fold) for fold in range(self.count)]


def make_folds(labels: np.ndarray, groups: np.ndarray, count: int, seed: int = 0) -> Folds:
    """Return ``count`` folds over the rows with a label: stratified by class, each group wholly in one of them.

    Parameters
    ----------
    labels, groups
        Class number (-1 for none) and near-duplicate group of each row, ``(N,)``.
    seed
        Of the order in which groups are dealt to the folds.
    """
    rows = np.flatnonzero(labels >= 0)
    # A group goes by its most frequent label: nearly all groups are single samples, so the shares are met.
    table = pd.DataFrame({"group": groups[rows], "label": labels[rows]})
    sizes = table.groupby(["group", "label"]).size().reset_index(name="size")
    first = sizes.sort_values(["group", "size", "label"], ascending=[True, False, True]).drop_duplicates("group")
    order = np.random.default_rng(seed).permutation(len(first))
    shuffled = first.iloc[order].sort_values("label", kind="stable")
    # Class by class, dealt like cards and never starting anew: small classes spread over all folds too.
    fold_of = pd.Series(np.arange(len(shuffled)) % count, index=shuffled["group"])
    of = np.full(len(labels), -1)
    of[rows] = fold_of.loc[groups[rows]].to_numpy()
    return Folds(of, count)


def cross_predict(
    embeddings: np.ndarray, labels: np.ndarray, groups: np.ndarray, classes: int, folds: Folds
) -> np.ndarray:
    """Return probabilities ``(N, classes)`` of models that saw neither the row nor a copy of it; NaN where none can.

    Width and ridge are those with the highest out-of-fold likelihood of the labels as they are. Rows without a label
    get the mean of the models that saw no copy of them; a row whose class is wholly in its own fold gets none.

    Parameters
    ----------
    embeddings
        ``(N, D)`` rows of length 1.
    labels, groups
        Class number (-1 for none) and near-duplicate group of each row, ``(N,)``.

    References
    ----------
    Williams and Seeger, Using the Nystroem method to speed up kernel machines, 2001; Platt, Probabilistic outputs for
    support vector machines, 1999, for the smoothed targets of the calibration.
    """
    points = _centre(embeddings)
    width, ridge = _choose(points, labels, groups, classes)
    labelled = np.flatnonzero(labels >= 0)
    mapped = map_features(points, points[_spread(labelled, LANDMARKS)], width)
    outputs = fit_folds(mapped, labels, groups, classes, folds, (ridge,))[ridge]
    return calibrate(outputs, labels)


def map_features(points: np.ndarray, landmarks: np.ndarray, width: float) -> np.ndarray:
    """Return features ``(N, M + 1)`` whose products are the kernel as the M landmarks see it; the last one is 1."""
    gram = _kernel(landmarks, landmarks, width).astype(np.float64)
    # Exact copies among the landmarks would make the matrix singular.
    gram[np.diag_indices_from(gram)] += 1e-4
    factor = scipy.linalg.cholesky(gram, lower=True).astype(np.float32)
    mapped = np.ones((len(points), len(landmarks) + 1), np.float32)
    for start in range(0, len(points), MAPPED_AT_ONCE):  # so that no second array of this size is made
        rows = slice(start, start + MAPPED_AT_ONCE)
        kernel = _kernel(points[rows], landmarks, width)
        solved = scipy.linalg.solve_triangular(factor, kernel.T, lower=True, overwrite_b=True, check_finite=False)
        mapped[rows, :-1] = solved.T
    return mapped


def fit_folds(
    mapped: np.ndarray, labels: np.ndarray, groups: np.ndarray, classes: int, folds: Folds, ridges: Sequence[float]
) -> dict[float, np.ndarray]:
    """Return for each ridge the out-of-fold outputs ``(N, classes)`` of a least-squares fit to the classes."""
    held_out = folds.held_out()
    targets = np.eye(classes, dtype=np.float32)
    grams = [mapped[rows].T @ mapped[rows] for rows in held_out]
    sides = [mapped[rows].T @ targets[labels[rows]] for rows in held_out]
    gram, side = sum(grams), sum(sides)
    outputs = {ridge: _Mean(len(labels), classes) for ridge in ridges}
    for fold, rows in enumerate(held_out):
        learnt = np.unique(labels[(folds.of >= 0) & (folds.of != fold)])
        if len(learnt) < 2:
            continue
        unseen = np.flatnonzero((labels < 0) & ~np.isin(groups, groups[(folds.of >= 0) & (folds.of != fold)]))
        wanted = np.concatenate([rows[np.isin(labels[rows], learnt)], unseen])
        for ridge in ridges:
            weights = _solve(gram - grams[fold], side - sides[fold], ridge)
            outputs[ridge].add(wanted, mapped[wanted] @ weights)
    return {ridge: mean.values() for ridge, mean in outputs.items()}


def calibrate(outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return probabilities ``(N, K)``: softmax of the outputs times one scale plus a bias a class, by likelihood.

    Rows of NaN stay NaN. Classes without a label among the rows get probability 0.
    """
    known = np.flatnonzero((labels >= 0) & ~np.isnan(outputs[:, 0]))
    probs = np.full(outputs.shape, np.nan)
    present = np.unique(labels[known])
    if len(present) < 2:
        return probs
    scale, bias = _fit_scaling(outputs[np.ix_(known, present)], np.searchsorted(present, labels[known]))
    rows = ~np.isnan(outputs[:, 0])
    probs[rows] = 0.0
    probs[np.ix_(rows, present)] = scipy.special.softmax(outputs[np.ix_(rows, present)] * scale + bias, axis=1)
    return probs


def log_likelihood(probs: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean log probability of the labels, over the rows that have both."""
    rows = np.flatnonzero((labels >= 0) & ~np.isnan(probs[:, 0]))
    return float(np.log(np.maximum(probs[rows, labels[rows]], 1e-9)).mean()) if len(rows) else -np.inf


class _Mean:
    """The mean of what is added to some rows; NaN for rows that got nothing."""

    def __init__(self, rows: int, columns: int) -> None:
        self.total, self.count = np.zeros((rows, columns), np.float32), np.zeros(rows, np.float32)

    def add(self, rows: np.ndarray, values: np.ndarray) -> None:
        self.total[rows] += values
        self.count[rows] += 1

    def values(self) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return self.total / self.count[:, None]


def _centre(embeddings: np.ndarray) -> np.ndarray:
    centred = np.subtract(embeddings, embeddings.mean(axis=0, dtype=np.float64).astype(np.float32), dtype=np.float32)
    centred /= np.float32(max(float(np.sqrt(_squares(centred).mean(dtype=np.float64))), 1e-9))
    return centred


def _squares(points: np.ndarray) -> np.ndarray:
    return np.einsum("nd,nd->n", points, points)  # no array of all squares


def _spread(rows: np.ndarray, count: int) -> np.ndarray:
    """Return at most ``count`` of ``rows``, evenly spaced: sorted by sample_id, a hash, that is as at random."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]


def _choose(points: np.ndarray, labels: np.ndarray, groups: np.ndarray, classes: int) -> tuple[float, float]:
    """Return the width and the ridge with the highest out-of-fold likelihood; the smoothest of equals."""
    part = _spread(np.flatnonzero(labels >= 0), CHOSEN_ON)
    points, labels, groups = points[part], labels[part], groups[part]
    folds = make_folds(labels, groups, CHOOSING_FOLDS)
    landmarks = points[_spread(np.arange(len(points)), CHOOSING_LANDMARKS)]
    likelihood = {}
    for width in WIDTHS:
        outputs = fit_folds(map_features(points, landmarks, width), labels, groups, classes, folds, RIDGES)
        for ridge in RIDGES:
            likelihood[width, ridge] = round(log_likelihood(calibrate(outputs[ridge], labels), labels), 5)
    return max(itertools.product(WIDTHS, reversed(RIDGES)), key=lambda pair: likelihood[pair])


def _kernel(points: np.ndarray, landmarks: np.ndarray, width: float) -> np.ndarray:
    distances = points @ landmarks.T
    distances *= -2
    distances += _squares(points)[:, None]
    distances += _squares(landmarks)
    np.maximum(distances, 0, out=distances)
    distances *= -width
    return np.exp(distances, out=distances)


def _solve(gram: np.ndarray, side: np.ndarray, ridge: float) -> np.ndarray:
    penalty = np.full(len(gram), ridge, np.float32)
    penalty[-1] = 1e-3  # the constant is not shrunk
    gram[np.diag_indices_from(gram)] += penalty
    return scipy.linalg.solve(gram, side, assume_a="pos", check_finite=False)


def _fit_scaling(outputs: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    count, classes = outputs.shape
    # A target is 1 at the label, less a smoothing that keeps separable classes from certainty. The targets are never
    # written out: the loss needs their sums only, and beside them the softmax, block by block.
    smoothing = 1 / (count / classes + 2)
    own = float(outputs[np.arange(count), labels].sum(dtype=np.float64))
    target_outputs = smoothing / classes * float(outputs.sum(dtype=np.float64)) + (1 - smoothing) * own
    target_counts = smoothing / classes * count + (1 - smoothing) * np.bincount(labels, minlength=classes)
    rows = max(1, SCALED_AT_ONCE // classes)

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        scale, bias = values[0], values[1:]
        total, by_scale, by_bias = 0.0, 0.0, np.zeros(classes)
        for start in range(0, count, rows):
            block = outputs[start : start + rows].astype(np.float64)
            probs = block * scale + bias
            highest = probs.max(axis=1)
            probs -= highest[:, None]
            np.exp(probs, out=probs)
            sums = probs.sum(axis=1)
            probs /= sums[:, None]
            total += float((highest + np.log(sums)).sum())
            by_scale += float(np.vdot(probs, block))
            by_bias += probs.sum(axis=0)
        slope = np.r_[by_scale - target_outputs, by_bias - target_counts]
        return (total - scale * target_outputs - float(bias @ target_counts)) / count, slope / count

    start = np.r_[5.0, np.zeros(classes)]
    found = scipy.optimize.minimize(loss, start, jac=True, method="L-BFGS-B").x
    return float(found[0]), found[1:]
