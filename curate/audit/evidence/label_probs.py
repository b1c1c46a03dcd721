"""Computes the audit's out-of-sample probabilities, with the fast model or with fine-tuned networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from curate.audit.evidence.label_model import calibrate, cross_predict, make_folds

# Chosen on the `random_label2` of CIFAR-10N's cats and dogs: a network that is told the fast model's opinion alone only
# repeats it (average precision 0.644 instead of 0.661), and heard at half its weight it adds most (0.664).
TRUSTED = 0.5  # weight of the label in what a network is taught
HEARD = 0.5  # weight of a network's log-probabilities beside the fast model's


def known_classes(probs: np.ndarray) -> np.ndarray:
    """Return the numbers of the classes that the model knows."""
    return np.flatnonzero(np.nansum(probs, axis=0) > 0)


def compute_pred_probs(
    embeddings: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    classes: Sequence[str],
    folds: int,
    seed: int,
    notes: list[str],
    cross_fit: Callable[[np.ndarray, Sequence[str]], np.ndarray] | None = None,
) -> np.ndarray | None:
    """Return out-of-sample probabilities ``(N, K)``, rows summing to 1, NaN where there are none; None for no model.

    Classes with fewer than two near-duplicate groups take no part: nothing of them is left to learn from when their
    one group is held out. With ``cross_fit`` the networks it trains are heard beside the fast model: they learn from
    the labels as that one softens them, and the two are multiplied.

    Parameters
    ----------
    labels, groups
        Class number (-1 for none) and number of the near-duplicate group of each row, ``(N,)``.
    notes
        Gets a sentence on what could not be learnt.
    cross_fit
        Gives the out-of-sample log-probabilities ``(N, L)`` of networks taught the targets ``(N, L)`` of L classes.
    """
    labels = _learnable(labels, groups, classes, notes)
    if not (labels >= 0).any():
        return None
    number = pd.Series(groups[labels >= 0]).groupby(labels[labels >= 0]).nunique()
    count = int(min(folds, max(2, number.min())))
    parts = make_folds(labels, groups, count, seed)
    probs = cross_predict(embeddings, labels, groups, len(classes), parts)
    if cross_fit:
        probs = _heard_with(cross_fit, probs, labels, classes)
    return np.round(probs, 6)


def _learnable(labels: np.ndarray, groups: np.ndarray, classes: Sequence[str], notes: list[str]) -> np.ndarray:
    """Return the labels without those of classes too small to learn; all -1 where fewer than two classes are left."""
    labels = labels.copy()
    number = pd.Series(groups[labels >= 0]).groupby(labels[labels >= 0]).nunique()
    small = number[number < 2].index.to_numpy()
    if len(small):
        named = ", ".join(classes[place] for place in small[:3])
        notes.append(f"label_error: {len(small)} classes have fewer than 2 distinct samples ({named}).")
        labels[np.isin(labels, small)] = -1
    if len(np.unique(labels[labels >= 0])) < 2:
        notes.append("label_error: not looked for: two classes with 2 distinct labelled samples each are needed.")
        labels[:] = -1
    return labels


def _heard_with(
    cross_fit: Callable[[np.ndarray, Sequence[str]], np.ndarray],
    probs: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
) -> np.ndarray:
    """Return the probabilities of the fast model and of networks fine-tuned on labels that it softened, multiplied.

    What a network learns of one sample comes from a model that had seen the label of another, so a trace of a label
    comes back to it over two models; what it is worth is measured with that trace in it.
    """
    teaches = np.isin(labels, known_classes(probs)) & ~np.isnan(probs[:, 0])
    present, given = np.unique(labels[teaches], return_inverse=True)
    targets = np.full((len(labels), len(present)), np.nan)
    known = probs[teaches][:, present]
    said = np.eye(len(present))[given]
    targets[teaches] = TRUSTED * said + (1 - TRUSTED) * known / known.sum(axis=1, keepdims=True)
    names = [classes[place] for place in present]
    deep = cross_fit(targets, names)
    places = np.full(len(labels), -1)
    places[teaches] = given
    both = calibrate(HEARD * deep + np.log(np.maximum(probs[:, present], 1e-6)), places)
    heard = probs.copy()
    rows = ~np.isnan(both[:, 0])
    heard[rows] = 0.0
    heard[np.ix_(rows, present)] = both[rows]
    return heard
