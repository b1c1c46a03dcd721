"""Probabilities from a handful of labels, on directions made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from curate.label.prototypes import MODELS, _splits, _weigh_models, centre_embeddings, compute_class_probs


def crowds(count: int, classes: int, scale: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """``count`` unit vectors around each of ``classes`` axes, and their classes."""
    truth = np.repeat(np.arange(classes), count)
    places = np.eye(classes + 4)[truth] + np.random.default_rng(0).normal(scale=scale, size=(len(truth), classes + 4))
    return places / np.linalg.norm(places, axis=1, keepdims=True), truth


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("known", [1, 2, 6])
def test_a_handful_a_class_is_enough(classes: int, known: int) -> None:
    places, truth = crowds(20, classes)
    labels = np.where(np.arange(len(truth)) % 20 < known, truth, -1)
    probs = compute_class_probs(places, labels, np.arange(len(truth)), classes)
    assert probs.shape == (len(truth), classes)
    assert np.allclose(probs.sum(axis=1), 1, atol=1e-4)
    assert (probs.argmax(axis=1) == truth).all()


def test_a_class_without_labels_gets_nothing() -> None:
    places, truth = crowds(10, 3)
    labels = np.where((np.arange(30) % 10 < 3) & (truth != 1), truth, -1)
    probs = compute_class_probs(places, labels, np.arange(30), 3)
    assert (probs[:, 1] == 0).all()
    assert np.allclose(probs.sum(axis=1), 1, atol=1e-4)


def test_more_labels_make_surer() -> None:
    places, truth = crowds(40, 2)
    few, many = (
        compute_class_probs(places, np.where(np.arange(80) % 40 < known, truth, -1), np.arange(80), 2)
        .max(axis=1)
        .mean()
        for known in (1, 20)
    )
    assert many > few


def test_labels_that_say_nothing_are_not_believed() -> None:
    rng = np.random.default_rng(0)
    places = rng.normal(size=(400, 16))
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    labels = np.where(np.arange(400) < 100, rng.integers(0, 2, 400), -1)
    probs = compute_class_probs(places, labels, np.arange(400), 2)
    assert probs[100:].max(axis=1).mean() < 0.75


def test_the_order_of_rows_means_nothing() -> None:
    places, truth = crowds(15, 2, scale=0.4)
    labels = np.where(np.arange(30) % 15 < 1, truth, -1)
    order = np.random.default_rng(1).permutation(30)
    straight = compute_class_probs(places, labels, np.arange(30), 2)
    shuffled = compute_class_probs(places[order], labels[order], np.arange(30)[order], 2)
    assert np.allclose(straight[order], shuffled, atol=1e-4)


def test_one_label_a_class_weighs_all_models_the_same() -> None:
    places, _ = crowds(1, 3)
    weights = _weigh_models(centre_embeddings(places), np.arange(3), np.arange(3), np.arange(3))
    assert np.allclose(weights, 1 / len(MODELS))


def test_copies_are_on_one_side_and_single_ones_are_learnt_from() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 2])
    groups = np.array([0, 0, 1, 2, 3, 4, 4, 5])
    parts = _splits(labels, groups)
    assert parts
    for learn, held in parts:
        assert not set(groups[learn]) & set(groups[held])
        assert 7 in learn
        assert set(labels[held]) <= set(labels[learn])
