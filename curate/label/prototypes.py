"""Computes class probabilities for many embeddings from a handful of labelled ones.

Two kinds of simple models are fitted: the mean of each class as its prototype, with several temperatures, and
multinomial logistic regression with several strengths. Their mean is taken, each weighted by how likely it made the
labels that it had not seen. With one label a class there is nothing to judge by, and all weigh the same; with hundreds,
one regression takes nearly all the weight. Classes count the same however many labels each has: which samples have a
label already says nothing of how frequent a class is among the others.

On 2,000 CIFAR images of cats and dogs (Lite0 embeddings, clean labels, means of 6 draws) the mean of the models was as
accurate as the best of them at each of 2 to 200 labels a class within 0.01, and closer to it than choosing one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np

TEMPERATURES = (3.0, 5.0, 8.0)  # a prototype's cosine (-1..1) is multiplied by it before the softmax
STRENGTHS = (3.0, 10.0, 30.0, 100.0)  # C of the regression, on rows of length 1
FOLDS = 5
JUDGED_ON = 2_000  # labelled rows that weigh the models: more would not change the weights
WORTH_FITTING = 0.01  # weight of a model that is left out
SEED = 0

# From rows to learn from, their classes 0..K-1 and rows to tell about, to probabilities (N, K).
Model = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def compute_class_probs(embeddings: np.ndarray, labels: np.ndarray, groups: np.ndarray, classes: int) -> np.ndarray:
    """Return the probabilities ``(N, classes)`` of each class for every row; a class without labels has 0 throughout.

    Rows that are labelled are in-sample: their own labels were learnt from.

    Parameters
    ----------
    embeddings
        ``(N, D)``, rows of length 1, labelled and unlabelled.
    labels
        ``(N,)`` class numbers, -1 for none. Two classes at least must have a label.
    groups
        ``(N,)`` near-duplicate groups: the members of one are learnt from together or not at all.

    >>> corners = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]])
    >>> compute_class_probs(corners, np.array([0, -1, 1, -1]), np.arange(4), 2).argmax(axis=1).tolist()
    [0, 0, 1, 1]
    """
    present, known = np.unique(labels[labels >= 0], return_inverse=True)
    assert len(present) > 1, "there is nothing to tell apart"
    features = centre_embeddings(embeddings)
    rows = np.flatnonzero(labels >= 0)
    weights = _weigh_models(features, rows, known, groups)
    kept = np.where(weights >= WORTH_FITTING, weights, 0)
    probs = np.zeros((len(embeddings), classes))
    for weight, model in zip(kept / kept.sum(), MODELS, strict=True):
        if weight:
            probs[:, present] += weight * model(features[rows], known, features)
    return np.round(probs, 6)


def centre_embeddings(embeddings: np.ndarray) -> np.ndarray:
    """Return ``embeddings`` without their mean, float32 rows of length 1: what all pictures share tells no class."""
    centred = (embeddings - embeddings.mean(axis=0, dtype=np.float64)).astype(np.float32)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)


def _prototypes(temperature: float) -> Model:
    def predict(learnt: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> np.ndarray:
        means = np.stack([learnt[labels == one].mean(axis=0) for one in range(labels.max() + 1)])
        means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
        weights = np.exp(temperature * (asked @ means.T).astype(np.float64))
        return weights / weights.sum(axis=1, keepdims=True)

    return predict


def _regression(strength: float) -> Model:
    def predict(learnt: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> np.ndarray:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the probabilities settle before the weights do
            fitted = LogisticRegression(C=strength, class_weight="balanced", tol=1e-3, max_iter=200).fit(learnt, labels)
        return np.asarray(fitted.predict_proba(asked))

    return predict


MODELS = [*map(_prototypes, TEMPERATURES), *map(_regression, STRENGTHS)]


def _weigh_models(features: np.ndarray, rows: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the weight of each model, summing to 1: proportional to the likelihood of the labels held out.

    Each class counts as much as the smallest one that is held out.
    """
    step = -(-len(rows) // JUDGED_ON)
    rows, labels = rows[::step], labels[::step]
    total = np.zeros(len(MODELS))
    sizes = np.bincount(labels)
    worth = sizes[sizes > 1].min(initial=len(labels)) / np.maximum(sizes, 1)
    for learn, held in _splits(labels, groups[rows]):
        for place, model in enumerate(MODELS):
            seen, known = np.unique(labels[learn], return_inverse=True)
            probs = model(features[rows[learn]], known, features[rows[held]])
            own = probs[np.arange(len(held)), np.searchsorted(seen, labels[held])]
            total[place] += (worth[labels[held]] * np.log(np.maximum(own, 1e-6))).sum()
    weights = np.exp(total - total.max())
    return weights / weights.sum()


def _splits(labels: np.ndarray, groups: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (rows to learn from, rows held out) of each fold; none when half of the classes have but one group.

    What is the only group of its class is always learnt from, and each class that is asked for was learnt.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    sizes = np.array([len(np.unique(groups[labels == one])) for one in labels])
    several, single = np.flatnonzero(sizes > 1), np.flatnonzero(sizes <= 1)
    if len(np.unique(labels[several])) * 2 <= len(np.unique(labels)):
        return []
    folds = int(min(FOLDS, max(2, sizes[several].min())))
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer members than folds
        parts = list(splitter.split(several, labels[several], groups[several]))
    made = []
    for train, test in parts:
        learn = np.concatenate([several[train], single])
        held = several[test][np.isin(labels[several[test]], labels[learn])]
        if len(held) and len(np.unique(labels[learn])) > 1:
            made.append((learn, held))
    return made
