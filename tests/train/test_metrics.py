"""Metrics against numbers worked out by hand and plain loops."""

from __future__ import annotations

import json

import numpy as np
import pytest

from train.metrics import compute_ece, compute_metrics, score_classes

CLASSES = ["cat", "dog", "owl"]


def one_hot(labels: list[int], sure: float = 1.0) -> np.ndarray:
    return np.eye(3)[labels] * sure + (1 - sure) / 3


def test_metrics_by_hand() -> None:
    truth = np.array([0, 0, 0, 1, 1])
    found = compute_metrics(truth, one_hot([0, 0, 1, 1, 1], 0.9), CLASSES)
    assert found["n"] == 5 and found["accuracy"]["value"] == 0.8
    assert found["balanced_accuracy"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["confusion"] == [[2, 1, 0], [0, 2, 0], [0, 0, 0]]
    assert found["log_loss"] == pytest.approx(-(4 * np.log(0.9 + 0.1 / 3) + np.log(0.1 / 3)) / 5)
    cat, dog, owl = found["per_class"]
    assert (cat["precision"]["value"], cat["recall"]["value"], cat["support"]) == (1.0, pytest.approx(2 / 3), 3)
    assert (dog["precision"]["value"], dog["recall"]["value"]) == (pytest.approx(2 / 3), 1.0)
    assert owl["support"] == 0 and owl["recall"] == owl["f1"] == {"value": None, "low": None, "high": None}


def test_class_intervals_agree_with_resampling_the_samples_one_by_one() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 300)
    predicted = np.where(rng.random(300) < 0.8, truth, rng.integers(0, 3, 300))
    f1 = []
    for _ in range(1000):
        rows = rng.integers(0, 300, 300)
        is_dog, says_dog = truth[rows] == 1, predicted[rows] == 1
        f1.append(2 * (is_dog & says_dog).sum() / (is_dog.sum() + says_dog.sum()))
    dog = score_classes(truth, predicted, CLASSES)[1]["f1"]
    assert dog["low"] == pytest.approx(np.quantile(f1, 0.025), abs=0.015)
    assert dog["high"] == pytest.approx(np.quantile(f1, 0.975), abs=0.015)


def test_no_samples_are_no_error() -> None:
    found = compute_metrics(np.zeros(0, int), np.zeros((0, 3)), CLASSES)
    assert found["n"] == 0 and found["accuracy"]["value"] is None and found["log_loss"] is None
    assert json.loads(json.dumps(found)) == found


def test_ece_of_an_honest_and_a_boastful_model() -> None:
    truth = np.array([0] * 8 + [1] * 2)
    assert compute_ece(truth, np.tile([0.8, 0.2], (10, 1))) == pytest.approx(0, abs=1e-9)
    assert compute_ece(truth, np.tile([0.99, 0.01], (10, 1))) == pytest.approx(0.19)


def test_ece_agrees_with_a_plain_loop() -> None:
    rng = np.random.default_rng(2)
    probs, truth = rng.dirichlet(np.ones(3), 400), rng.integers(0, 3, 400)
    sure, right = probs.max(1), probs.argmax(1) == truth
    gaps = 0.0
    for low in np.arange(15) / 15:
        inside = (sure > low) & (sure <= low + 1 / 15)
        if inside.any():
            gaps += inside.mean() * abs(sure[inside].mean() - right[inside].mean())
    assert compute_ece(truth, probs) == pytest.approx(gaps)
