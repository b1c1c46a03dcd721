"""The model behind label errors: folds that keep copies together, plain formulas, probabilities that add up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from curate.audit.evidence.label_model import (
    Folds,
    calibrate,
    cross_predict,
    fit_folds,
    log_likelihood,
    make_folds,
    map_features,
)


def crowds(each: int, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """``each`` points around each of some far directions, of length 1, and their classes."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    points = np.eye(8)[labels] + rng.normal(scale=0.3, size=(len(labels), 8))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32), labels


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(-1, 4), st.integers(0, 12)), min_size=1, max_size=60), st.integers(2, 5))
def test_groups_stay_together_and_unlabelled_rows_have_no_fold(rows: list[tuple[int, int]], count: int) -> None:
    labels, groups = np.array(rows).T
    folds = make_folds(labels, groups, count)
    assert ((folds.of == -1) == (labels == -1)).all() and folds.of.max() < count
    for group in np.unique(groups):
        assert len(np.unique(folds.of[(groups == group) & (labels >= 0)])) <= 1


def test_classes_are_spread_evenly_also_the_small_ones() -> None:
    labels = np.repeat([0, 1, 2], [50, 5, 7])
    folds = make_folds(labels, np.arange(len(labels)), 5)
    for label in range(3):
        sizes = np.bincount(folds.of[labels == label], minlength=5)
        assert sizes.max() - sizes.min() <= 1
    assert np.ptp(np.bincount(folds.of)) <= 1


def test_landmarks_everywhere_give_the_kernel_itself() -> None:
    points, _ = crowds(10)
    mapped = map_features(points, points, 0.7)
    distances = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    assert np.allclose(mapped[:, :-1] @ mapped[:, :-1].T, np.exp(-0.7 * distances), atol=2e-3)


def test_each_fold_is_a_ridge_regression_on_the_others() -> None:
    points, labels = crowds(12)
    folds = make_folds(labels, np.arange(36), 4)
    mapped = map_features(points, points[::2], 0.5)
    outputs = fit_folds(mapped, labels, np.arange(36), 3, folds, (2.0,))[2.0]
    rows, others = folds.of == 1, folds.of != 1
    penalty = np.diag([2.0] * (mapped.shape[1] - 1) + [1e-3])
    plain = np.linalg.solve(mapped[others].T @ mapped[others] + penalty, mapped[others].T @ np.eye(3)[labels[others]])
    assert np.allclose(outputs[rows], mapped[rows] @ plain, atol=1e-3)


def test_a_label_says_nothing_about_its_own_sample_or_a_copy_of_it() -> None:
    points, labels = crowds(12)
    groups = np.arange(36)
    groups[20] = groups[3] = 3
    points[20] = points[3]
    folds = make_folds(labels, groups, 4)
    mapped = map_features(points, points, 0.5)
    before = fit_folds(mapped, labels, groups, 3, folds, (1.0,))[1.0]
    flipped = labels.copy()
    flipped[3] = 2
    after = fit_folds(mapped, flipped, groups, 3, folds, (1.0,))[1.0]
    assert np.allclose(before[[3, 20]], after[[3, 20]], atol=1e-5)
    assert not np.allclose(before, after, atol=1e-3)


def test_unlabelled_rows_are_judged_by_models_that_saw_no_copy_of_them() -> None:
    points, labels = crowds(12)
    labels[[0, 13]] = -1
    groups = np.arange(36)
    groups[0] = groups[1]  # its copy is labelled
    folds = make_folds(labels, groups, 3)
    mapped = map_features(points, points, 0.5)
    outputs = fit_folds(mapped, labels, groups, 3, folds, (1.0,))[1.0]
    alone = Folds(np.where(folds.of == folds.of[1], 0, np.where(folds.of >= 0, 1, -1)), 2)
    assert np.allclose(outputs[0], fit_folds(mapped, labels, groups, 3, alone, (1.0,))[1.0][0], atol=1e-4)
    probs = cross_predict(points, labels, groups, 3, folds)
    assert probs[0].argmax() == 0 and probs[13].argmax() == 1


def test_a_class_that_is_wholly_held_out_gets_no_probabilities() -> None:
    points, labels = crowds(10)
    folds = Folds(np.where(labels == 2, 0, np.arange(30) % 3), 3)
    probs = cross_predict(points, labels, np.arange(30), 3, folds)
    assert np.isnan(probs[labels == 2]).all() and not np.isnan(probs[labels != 2]).any()


def test_probabilities_add_up_and_find_the_odd_label() -> None:
    points, labels = crowds(40)
    labels[5] = 1
    probs = cross_predict(points, labels, np.arange(120), 4, make_folds(labels, np.arange(120), 5))
    assert np.allclose(probs.sum(axis=1), 1) and (probs[:, 3] == 0).all()  # nobody has the fourth class
    assert probs[np.arange(120), labels].argmin() == 5 and probs[5].argmax() == 0
    assert probs.max() < 0.9999  # separable classes are no certainty


def test_rare_classes_are_not_made_likelier() -> None:
    labels = np.repeat([0, 1], [190, 10])
    outputs = np.stack([np.full(200, 0.95), np.full(200, 0.05)], axis=1)  # a model that learnt nothing but the shares
    probs = calibrate(outputs, labels)
    assert probs[0] == pytest.approx([0.95, 0.05], abs=0.01)


def test_likelihood_by_hand() -> None:
    probs = np.array([[0.5, 0.5], [0.25, 0.75], [np.nan, np.nan], [0.9, 0.1]])
    assert log_likelihood(probs, np.array([0, 1, 0, -1])) == pytest.approx(np.log([0.5, 0.75]).mean())


@pytest.mark.parametrize("labels", [np.zeros(6, int), np.full(6, -1)])
def test_one_class_or_none_teaches_nothing(labels: np.ndarray) -> None:
    assert np.isnan(calibrate(np.ones((6, 2)), labels)).all()


def test_scaling_is_the_likeliest_by_a_plain_formula_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 5, 300)
    outputs = (0.4 * np.eye(5)[labels] + draw.normal(0, 0.3, (300, 5))).astype(np.float32)
    found = calibrate(outputs, labels)
    smoothing = 1 / (300 / 5 + 2)
    targets = smoothing / 5 + (1 - smoothing) * np.eye(5)[labels]

    def surprise(scale: float, bias: np.ndarray) -> float:
        logits = outputs * scale + bias
        return -float((targets * (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))).sum())

    best = minimize(lambda values: surprise(values[0], values[1:]), np.r_[1.0, np.zeros(5)], method="BFGS").x
    raised = np.exp(outputs * best[0] + best[1:])
    np.testing.assert_allclose(found, raised / raised.sum(axis=1, keepdims=True), atol=2e-3)
    monkeypatch.setattr("curate.audit.evidence.label_model.SCALED_AT_ONCE", 35)
    np.testing.assert_allclose(calibrate(outputs, labels), found, atol=1e-4)


def test_features_are_the_same_however_many_are_mapped_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    points = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    whole = map_features(points, points[:7], 0.3)
    monkeypatch.setattr("curate.audit.evidence.label_model.MAPPED_AT_ONCE", 8)
    np.testing.assert_allclose(map_features(points, points[:7], 0.3), whole, atol=1e-5)
