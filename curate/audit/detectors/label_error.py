"""Finds labels that the image contradicts, from out-of-fold probabilities, and names the kind of error.

Folds keep near copies together: a model that has seen a copy of a picture with its wrong label would agree with it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from curate.audit.detectors.off_topic import flag_off_topic
from curate.audit.evidence.calibration import compute_label_posterior, find_wrong_labels
from curate.audit.evidence.evidence import Evidence, describe_probs, findings_table
from curate.audit.evidence.label_probs import known_classes

DETECTOR = "label_error-v3"
WRONG, BOTH, NEITHER = "wrong class", "several classes in view", "none of the classes"
ACTIONS = {WRONG: "relabel", BOTH: "", NEITHER: "drop"}  # what is suggested; '' leaves it to a person
LOOKED_INTO = 200  # issues whose parts are looked at, worst first: about 8 s a hundred on two cores
# On 40 photos of a cat beside a dog and 40 of one of them with the other's label, these find 80 % and 2 %.
ALIKE = 0.7  # share of the neighbours of a part that must be of one class
NEAREST = 20
APART = (
    ("left", "right"),
    ("top", "bottom"),
    ("top left", "top right"),
    ("bottom left", "bottom right"),
    ("top left", "bottom right"),
    ("top right", "bottom left"),
)


def find_label_errors(evidence: Evidence) -> pd.DataFrame:
    """Return the labelled samples with out-of-sample probabilities; score: the probability that the label is right."""
    from cleanlab.rank import get_label_quality_scores

    probs = evidence.pred_probs
    scored = _scored_rows(evidence)
    if probs is None or not len(scored):
        return findings_table(evidence.readable.iloc[:0], "label_error", DETECTOR, score=0.0, is_issue=False)
    # All classes that were learnt, also those that only people's decisions name: they may be what is right.
    present = known_classes(probs)
    labels = np.searchsorted(present, evidence.given[scored])
    known = probs[scored][:, present]
    known = known / np.maximum(known.sum(axis=1, keepdims=True), 1e-12)
    posterior = compute_label_posterior(labels, known)
    score = get_label_quality_scores(labels, posterior, method="self_confidence")
    is_issue = find_wrong_labels(labels, known, posterior)
    others = posterior.copy()
    others[np.flatnonzero(is_issue), labels[is_issue]] = -1  # what is flagged gets another class suggested
    best = others.argmax(axis=1)
    kinds = np.full(len(scored), "", dtype=object)
    kinds[is_issue] = find_kinds(evidence, scored[is_issue], score[is_issue])
    actions = np.array([ACTIONS.get(kind, "") for kind in kinds], dtype=object)
    names = np.array(evidence.spec.class_names, dtype=object)
    sentences = [
        _sentence(evidence, int(row), int(present[likely]), float(sure), kind)
        for row, likely, sure, kind in zip(scored, best, posterior[np.arange(len(best)), best], kinds, strict=True)
    ]
    return findings_table(
        evidence.readable.iloc[scored],
        "label_error",
        DETECTOR,
        score=np.clip(score, 0, 1),
        is_issue=is_issue,
        suggested_action=actions,
        suggested_label=np.where(actions == "relabel", names[present[best]], ""),
        evidence=sentences,
        kind=kinds,
    )


def _scored_rows(evidence: Evidence) -> np.ndarray:
    """Return the samples whose label can be judged; none where all labels were decided here and none was given."""
    probs = evidence.pred_probs
    if probs is None:
        return np.zeros(0, dtype=int)
    # The labels as given: what people decided since teaches the model, and answers the finding, but does not hide it.
    return np.flatnonzero(np.isin(evidence.given, known_classes(probs)) & ~np.isnan(probs[:, 0]))


def _sentence(evidence: Evidence, row: int, best: int, sure: float, kind: str) -> str:
    names = evidence.spec.class_names
    given = int(evidence.given[row])
    around = evidence.labels[evidence.neighbours[0][row]]
    known = around[around >= 0]
    votes = f"{int((known == best).sum())} of its {len(known)} nearest neighbours are {names[best]}; "
    probs = evidence.pred_probs
    assert probs is not None
    told = f"{kind}: " if kind else ""
    return (
        told
        + (votes if len(known) else "")
        + describe_probs(probs[row], names, [best, given])
        # Of a picture that shows none of the classes, which one it might be is no reason to leave it out.
        + (f"; counting its label too, {_likely(sure)} {names[best]}" if best != given and kind != NEITHER else "")
    )


def _likely(probability: float) -> str:
    """Return a probability in words that never claim to be certain.

    >>> _likely(0.876), _likely(0.998)
    ('88% likely', 'over 99% likely')
    """
    return "over 99% likely" if probability > 0.99 else f"{probability:.0%} likely"


def find_kinds(evidence: Evidence, rows: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return what is wrong with each of the suspect rows: the class, several classes in view, or none of them."""
    kinds = np.full(len(rows), WRONG, dtype=object)
    worst = np.argsort(scores, kind="stable")[:LOOKED_INTO]
    kinds[worst[find_several(evidence, rows[worst])]] = BOTH
    kinds[flag_off_topic(evidence)[rows]] = NEITHER
    return kinds


def find_several(evidence: Evidence, rows: np.ndarray) -> np.ndarray:
    """Return which of ``rows`` show different classes in different parts of the picture, by the parts' neighbours."""
    ids = [evidence.ids[row] for row in rows]
    crops = evidence.embed_crops(ids) if len(rows) and evidence.embed_crops else None
    if crops is None:
        return np.zeros(len(rows), dtype=bool)
    labelled = np.flatnonzero(evidence.labels >= 0)
    groups = evidence.group_numbers
    seen = {name: _classes_alike(evidence, vectors, labelled, groups, rows) for name, vectors in crops.items()}
    pairs = [(seen[one], seen[other]) for one, other in APART]
    return np.any([(one >= 0) & (other >= 0) & (one != other) for one, other in pairs], axis=0)


def _classes_alike(
    evidence: Evidence, vectors: np.ndarray, labelled: np.ndarray, groups: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """Return the class ``(M,)`` of which nearly all labelled neighbours of each part are; -1 where they are mixed."""
    alike = vectors @ evidence.embeddings[labelled].T
    alike[groups[rows][:, None] == groups[labelled][None]] = -1  # the picture itself and its copies say nothing
    count = min(NEAREST, len(labelled))
    nearest = np.argpartition(-alike, count - 1, axis=1)[:, :count]
    around = evidence.labels[labelled][nearest]
    classes = len(evidence.spec.class_names)
    shares = np.stack([np.bincount(row, minlength=classes) for row in around]) / count
    return np.where(shares.max(axis=1) >= ALIKE, shares.argmax(axis=1), -1)
