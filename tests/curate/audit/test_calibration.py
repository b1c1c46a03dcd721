"""The posterior of labels and the flag: on noise that is drawn here, so that the truth is known."""

import numpy as np
import pytest

from curate.audit.evidence.calibration import (
    apply_temperature,
    choose_threshold,
    compute_label_posterior,
    compute_noise,
    find_wrong_labels,
    fit_temperature,
)


def draw_labels(count: int, classes: int, rate: float, shift: int = 0, seed: int = 0):
    """Return given labels, truth and the probabilities of the given label that a perfect model predicts.

    Noise goes to any other class, or with ``shift`` always to the class that far on.
    """
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, count)
    heights = rng.normal(size=(count, classes))
    heights[np.arange(count), truth] += 3.5
    noise = np.full((classes, classes), rate / (classes - 1))
    if shift:
        noise = rate * np.roll(np.eye(classes), shift, axis=1)
    np.fill_diagonal(noise, 1 - rate)
    wrong = rng.random(count) < rate
    given = truth.copy()
    given[wrong] = (truth[wrong] + (shift or rng.integers(1, classes, wrong.sum()))) % classes
    exact = np.exp(3.5 * heights)
    return given, truth, (exact / exact.sum(axis=1, keepdims=True)) @ noise


def f1(flag, wrong):
    return 2 * (flag & wrong).sum() / (flag.sum() + wrong.sum())


@pytest.mark.parametrize(
    ("count", "classes", "rate", "shift", "least"),
    [  # 200 classes are hard to tell: the best class of a perfect model is right in 3 of 4
        (4000, 10, 0.2, 0, 0.95),
        (4000, 10, 0.2, 1, 0.95),
        (4000, 2, 0.25, 0, 0.95),
        (300, 3, 0.1, 0, 0.92),
        (3000, 200, 0.1, 0, 0.7),
    ],
)
def test_the_flag_finds_drawn_noise(count, classes, rate, shift, least):
    given, truth, probs = draw_labels(count, classes, rate, shift)
    wrong = given != truth
    flag = find_wrong_labels(given, probs)
    assert f1(flag, wrong) > least
    assert f1(flag, wrong) >= f1(probs.argmax(axis=1) != given, wrong) - 0.02


@pytest.mark.parametrize("classes", [2, 10])
def test_clean_labels_are_left_alone(classes):
    given, _, probs = draw_labels(5000, classes, 0.0)
    assert find_wrong_labels(given, probs).sum() <= 5


@pytest.mark.parametrize("shift", [0, 1])
def test_the_posterior_means_what_it_says(shift):
    given, truth, probs = draw_labels(5000, 10, 0.2, shift)
    posterior = compute_label_posterior(given, probs)
    np.testing.assert_allclose(posterior.sum(axis=1), 1)
    right = 1 - posterior[np.arange(5000), given]
    worst = np.argsort(-right)[:200]
    assert right[worst].sum() == pytest.approx((given != truth)[worst].sum(), abs=30)
    assert right.sum() == pytest.approx((given != truth).sum(), rel=0.25)


def test_what_it_holds_does_not_depend_on_the_order_of_rows():
    given, _, probs = draw_labels(500, 3, 0.1)
    probs = probs.round(1) + 0.01  # many ties
    order = np.random.default_rng(1).permutation(500)
    probs /= probs.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        compute_label_posterior(given[order], probs[order]), compute_label_posterior(given, probs)[order], rtol=1e-6
    )


def test_noise_and_temperature_by_hand():
    probs = np.array([[0.9, 0.1]] * 4 + [[0.1, 0.9]] * 4)
    noise, rate, clear = compute_noise(np.array([0, 0, 0, 1, 1, 1, 1, 1]), probs)
    assert clear == 8 and rate == pytest.approx(
        1.5 / 9
    )  # all are tied, so all are clear; half an error and half a row are added
    assert noise[0, 1] == pytest.approx((10 * rate + 1) / 14) and noise[1, 0] == pytest.approx(10 * rate / 14)
    labels = np.repeat([0, 1], [88, 12])
    temperature = fit_temperature(labels, np.full((100, 2), [0.98, 0.02]))
    assert apply_temperature(np.array([[0.98, 0.02]]), temperature)[0, 0] == pytest.approx(0.88, abs=0.005)


def test_degenerate_tables():
    assert compute_label_posterior(np.zeros(0, int), np.zeros((0, 3))).shape == (0, 3)
    assert not len(find_wrong_labels(np.zeros(0, int), np.zeros((0, 3))))
    assert not find_wrong_labels(np.zeros(3, int), np.ones((3, 1))).any()
    certain = np.eye(3)[[0, 1, 2, 0]].astype(np.float16)
    assert np.isfinite(compute_label_posterior(np.array([0, 1, 2, 1]), certain)).all()
    assert choose_threshold(np.zeros(0)) == 1.0 and choose_threshold(np.zeros(5)) == 0.4


@pytest.mark.filterwarnings("error")
def test_half_precision_does_as_well():
    given, _, probs = draw_labels(500, 10, 0.1)
    halves = probs.astype(np.float16)
    posterior = compute_label_posterior(given, halves)
    assert np.abs(posterior - compute_label_posterior(given, probs)).max() < 0.05
    assert fit_temperature(given, halves) == pytest.approx(fit_temperature(given, probs), rel=0.05)
