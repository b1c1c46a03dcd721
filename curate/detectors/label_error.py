"""Labels that the pictures contradict: out-of-fold probabilities of a linear model on the embeddings, cleanlab on them.

Folds keep near copies together: a model that has seen a copy of a picture with its wrong label would agree with it.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd

from curate.detectors.evidence import Evidence, describe_probs, findings_table

DETECTOR = "label_error-v1"
STRENGTHS = (0.01, 0.1, 1.0, 10.0)  # C of the logistic regression, on centred embeddings of mean length 1 per axis
CHOSEN_ON = 5_000  # rows that choose C: more would not change the choice
CERTAIN = 0.95  # probability of another class that is an issue whatever the filter says
SEED = 0


def find_label_errors(evidence: Evidence) -> pd.DataFrame:
    """Return the labelled samples with out-of-sample probabilities; score: the probability of the given label."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    probs = evidence.pred_probs
    if probs is None:
        return findings_table(evidence.readable.iloc[:0], "label_error", DETECTOR, score=0.0, is_issue=False)
    learnt = np.flatnonzero(np.nansum(probs, axis=0) > 0)
    scored = np.flatnonzero(np.isin(evidence.labels, learnt) & ~np.isnan(probs[:, 0]))
    present, labels = np.unique(evidence.labels[scored], return_inverse=True)
    known = probs[scored][:, present]
    known = known / np.maximum(known.sum(axis=1, keepdims=True), 1e-12)
    score = get_label_quality_scores(labels, known, method="self_confidence")
    best = known.argmax(axis=1)
    # cleanlab's filter estimates how many labels of a class are wrong, and in a nearly clean set says none at all.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # classes too small for its estimate: our own rule covers them
        flagged = find_label_issues(labels, known, n_jobs=1)
    is_issue = flagged | ((best != labels) & (known.max(axis=1) >= CERTAIN))
    suggested = present[best]
    names = np.array(evidence.spec.class_names, dtype=object)
    return findings_table(
        evidence.readable.iloc[scored],
        "label_error",
        DETECTOR,
        score=np.clip(score, 0, 1),
        is_issue=is_issue,
        suggested_action=np.where(is_issue, "relabel", ""),
        suggested_label=np.where(is_issue, names[suggested], ""),
        evidence=[_sentence(evidence, int(row), int(likely)) for row, likely in zip(scored, suggested, strict=True)],
    )


def _sentence(evidence: Evidence, row: int, best: int) -> str:
    names = evidence.spec.class_names
    given = int(evidence.labels[row])
    around = evidence.labels[evidence.neighbours[0][row]]
    known = around[around >= 0]
    votes = f"{int((known == best).sum())} of its {len(known)} nearest neighbours are {names[best]}; "
    probs = evidence.pred_probs
    assert probs is not None
    return (votes if len(known) else "") + describe_probs(probs[row], names, [best, given])


def compute_pred_probs(evidence: Evidence) -> np.ndarray | None:
    """Return out-of-sample probabilities ``(N, K)``, rows summing to 1, NaN where there are none; None for no model.

    Classes with fewer than two near-duplicate groups take no part: nothing of them is left to learn from when their
    one group is held out. Unlabelled rows get the mean of the models that saw no copy of them.
    """
    groups = pd.factorize(evidence.groups["group_id"])[0]
    labels = evidence.labels.copy()
    number = pd.Series(groups[labels >= 0]).groupby(labels[labels >= 0]).nunique()
    small = number[number < 2].index.to_numpy()
    if len(small):
        named = ", ".join(evidence.spec.class_names[place] for place in small[:3])
        evidence.notes.append(f"label_error: {len(small)} classes have fewer than 2 distinct samples ({named}).")
        labels[np.isin(labels, small)] = -1
    learnt = np.unique(labels[labels >= 0])
    if len(learnt) < 2:
        evidence.notes.append("label_error: two classes with 2 distinct samples each are needed.")
        return None
    folds = int(min(evidence.spec.audit.folds, max(2, number[number >= 2].min())))
    features = _centre(evidence.embeddings)
    strength = _choose_strength(features, labels, groups, folds)
    probs = _cross_predict(features, labels, groups, folds, strength, len(evidence.spec.class_names))
    return np.round(probs, 6)


def _centre(embeddings: np.ndarray) -> np.ndarray:
    """Centred and scaled by one number, so that the solver converges in a few steps and C means the same everywhere."""
    centred = embeddings.astype(np.float64) - embeddings.mean(axis=0, dtype=np.float64)
    return centred / max(float(np.sqrt((centred**2).sum(axis=1).mean())), 1e-9)


def _split(labels: np.ndarray, groups: np.ndarray, folds: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (train rows, held-out rows) of each fold over the labelled rows; no group is on both sides."""
    from sklearn.model_selection import StratifiedGroupKFold

    rows = np.flatnonzero(labels >= 0)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer members than folds: handled by the caller
        parts = list(splitter.split(rows, labels[rows], groups[rows]))
    return [(rows[train], rows[held]) for train, held in parts]


def _fit(features: np.ndarray, labels: np.ndarray, strength: float) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the probabilities are settled long before the weights
        return LogisticRegression(C=strength * 100, tol=1e-3, max_iter=200).fit(features, labels)


def _choose_strength(features: np.ndarray, labels: np.ndarray, groups: np.ndarray, folds: int) -> float:
    """Return the C with the highest out-of-fold log-likelihood; the smallest of equals."""
    chosen = np.flatnonzero(labels >= 0)
    step = max(1, len(chosen) // CHOSEN_ON)
    part = np.full(len(labels), -1)
    part[chosen[::step]] = labels[chosen[::step]]
    parts = [pair for pair in _split(part, groups, min(folds, 3)) if len(np.unique(part[pair[0]])) > 1]
    if not parts:
        return STRENGTHS[1]
    return max(STRENGTHS, key=lambda strength: round(_log_likelihood(features, part, parts, strength), 6))


def _log_likelihood(
    features: np.ndarray, labels: np.ndarray, parts: list[tuple[np.ndarray, np.ndarray]], strength: float
) -> float:
    total, count = 0.0, 0
    for train, held in parts:
        model = _fit(features[train], labels[train], strength)
        probs = model.predict_proba(features[held])
        column = {label: place for place, label in enumerate(model.classes_)}
        known = [(row, column[label]) for row, label in enumerate(labels[held]) if label in column]
        total += sum(float(np.log(max(probs[row, place], 1e-9))) for row, place in known)
        count += len(known)
    return total / max(count, 1)


def _cross_predict(
    features: np.ndarray, labels: np.ndarray, groups: np.ndarray, folds: int, strength: float, classes: int
) -> np.ndarray:
    total, count = np.zeros((len(labels), classes)), np.zeros(len(labels))
    unlabelled = labels < 0
    for train, held in _split(labels, groups, folds):
        learnt = np.unique(labels[train])
        if len(learnt) < 2:
            continue
        model = _fit(features[train], labels[train], strength)
        unseen = np.flatnonzero(unlabelled & ~np.isin(groups, groups[train]))
        # A class that is wholly held out got no weight: its rows would look wrong for no reason of theirs.
        rows = np.concatenate([held[np.isin(labels[held], learnt)], unseen])
        if len(rows):
            total[np.ix_(rows, model.classes_)] += model.predict_proba(features[rows])
            count[rows] += 1
    return np.where(count[:, None] > 0, total / np.maximum(count[:, None], 1), np.nan)
