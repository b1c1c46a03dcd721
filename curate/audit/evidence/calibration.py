"""Estimates from out-of-sample probabilities how likely each given label is wrong, and which to review.

A model that learnt from noisy labels predicts labels, not truth. So three things are estimated without any truth: how
labels are mixed up (from the clearest half of the pictures that the model takes for each class), how sharp the
probabilities are once that noise is taken off (by likelihood), and whether noise grows where pictures are hard. It does
among people, and there a label says less against the model than random noise of the same rate would let it say.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

SMALLEST = 1e-5  # a probability of 0 is what float16 or a linear model made of something small
PRIOR_ROWS = 10.0  # rows that the pooled noise rate counts for beside the own rows of a class
FITTED_ON = 20_000  # rows that fit the temperature: more would not change it
SHARPEST, FLATTEST = np.exp(-2.5), np.exp(1.5)  # temperatures that are considered
AT_MOST = 2.0  # noise of the whole set, in multiples of that in its clear half: chosen on one of two networks
USUAL_RATIO, USUAL_ANSWERS = 0.7, 30.0  # noise of the clearest quarter, in that of the half; wrong labels it counts for
LEAST_WRONG = 0.4  # probability of being wrong below which no label is flagged, whatever it would do for F1
BLOCK = 4_000_000  # numbers held at once


def fit_temperature(labels: np.ndarray, probs: np.ndarray, noise: np.ndarray | None = None) -> float:
    """Return the temperature of ``probs`` (N, K) under which the given ``labels`` (N,) are likeliest; 1.0 for no rows.

    Below 1 the probabilities should be sharper. With ``noise`` (K, K), P(given | true), it is the temperature of the
    probabilities of the *true* class.

    References
    ----------
    Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4.2.

    >>> sure, labels = np.array([[0.9, 0.1]] * 4), np.array([0, 0, 0, 1])
    >>> fit_temperature(labels, sure) > 1.5  # right three times in four, not nine in ten
    True
    """
    from scipy.optimize import minimize_scalar

    step = max(1, len(labels) // FITTED_ON)
    labels, probs = labels[::step], probs[::step]
    if not len(labels) or probs.shape[1] < 2:
        return 1.0

    def surprise(log_temperature: float) -> float:
        total = 0.0
        for rows in _blocks(probs):
            cooled = apply_temperature(probs[rows], float(np.exp(log_temperature)))
            given = labels[rows]
            likely = cooled[np.arange(len(given)), given] if noise is None else (cooled * noise.T[given]).sum(axis=1)
            total -= float(np.log(np.maximum(likely, 1e-12)).sum())
        return total

    bounds = (np.log(SHARPEST), np.log(FLATTEST))
    return float(np.exp(minimize_scalar(surprise, bounds=bounds, method="bounded", options={"xatol": 0.01}).x))


def apply_temperature(probs: np.ndarray, temperature: float) -> np.ndarray:
    """Return ``probs`` (N, K) at a temperature: sharper below 1, flatter above; rows sum to 1.

    >>> apply_temperature(np.array([[0.8, 0.2]]), 0.5).round(3).tolist()
    [[0.941, 0.059]]
    """
    logs = np.log(np.maximum(probs, SMALLEST, dtype=np.float64)) / temperature  # float16 holds no sharper ones
    raised = np.exp(logs - logs.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def compute_noise(labels: np.ndarray, probs: np.ndarray, share: float = 0.5) -> tuple[np.ndarray, float, int]:
    """Return P(given | true) as (K, K), rows summing to 1, the rate of wrong labels, and of how many clear pictures.

    Clear are, of the pictures that the model takes for a class, the ``share`` of which it is surest: there a label that
    differs is the label's fault. Classes with few of them are drawn to the rate of all.
    """
    classes, best = probs.shape[1], probs.argmax(axis=1)
    count = np.bincount(best, minlength=classes)
    sure = probs.max(axis=1)
    last = (np.cumsum(count) - count) + np.ceil(share * count).astype(np.int64) - 1
    least = sure[np.lexsort((-sure, best))][np.maximum(last, 0)]
    clear = sure >= least[best]  # with all ties: which of equals comes first must not matter
    rate = (float((best != labels)[clear].sum()) + 0.5) / (float(clear.sum()) + 1)
    noise = np.full((classes, classes), PRIOR_ROWS * rate / max(classes - 1, 1))
    np.fill_diagonal(noise, PRIOR_ROWS * (1 - rate) if classes > 1 else 1.0)
    np.add.at(noise, (best[clear], labels[clear]), 1)
    return noise / noise.sum(axis=1, keepdims=True), rate, int(clear.sum())


def compute_label_posterior(labels: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Return P(true class | picture, given label) as (N, K), rows summing to 1; empty for no rows.

    ``1 - posterior[i, labels[i]]`` is the probability that label i is wrong. It is as calibrated as it can be without
    truth: where the model is systematically wrong about clear pictures, so is this.

    Parameters
    ----------
    labels
        Given classes (N,), 0..K-1.
    probs
        Out-of-sample probabilities (N, K), without NaN.

    Notes
    -----
    Posterior ∝ q(true) · P(given | true)^w, with q the probabilities at the fitted temperature. The weight w of the
    label is 1 for noise that does not depend on the picture, and less the more the noise of the clearest half exceeds
    that of the clearest quarter: (quarter / half)², drawn to what is usual among people as far as few wrong labels
    leave it open. It is raised where it would call more than ``AT_MOST`` times the clear half's rate wrong, which no
    noise that we know reaches, but a weak model on clean labels would.
    """
    if not len(labels) or probs.shape[1] < 2:
        return np.ones(probs.shape)
    noise, rate, _ = compute_noise(labels, probs)
    cooled = apply_temperature(probs, fit_temperature(labels, probs, noise))
    weight = _weigh_label(labels, probs, rate)
    most = AT_MOST * rate
    if _share_wrong(labels, cooled, noise, weight) > most:
        low, high = weight, 1.5
        for _ in range(8):
            middle = (low + high) / 2
            is_too_many = _share_wrong(labels, cooled, noise, middle) > most
            low, high = (middle, high) if is_too_many else (low, middle)
        weight = high
    return _weigh(labels, cooled, noise**weight)


def find_wrong_labels(labels: np.ndarray, probs: np.ndarray, posterior: np.ndarray | None = None) -> np.ndarray:
    """Return which labels (N,) are worth a look: the set of the highest expected F1, by the posterior itself.

    >>> probs = np.array([[0.98, 0.02]] * 50 + [[0.02, 0.98]] * 50)
    >>> labels = np.array([0] * 50 + [1] * 48 + [0] * 2)
    >>> np.flatnonzero(find_wrong_labels(labels, probs)).tolist()
    [98, 99]
    """
    if posterior is None:
        posterior = compute_label_posterior(labels, probs)
    wrong = 1 - posterior[np.arange(len(labels)), labels]
    is_wrong: np.ndarray = wrong >= choose_threshold(wrong)
    return is_wrong


def choose_threshold(wrong: np.ndarray) -> float:
    """Return the probability of being wrong from which on flagging gives the highest expected F1, at least 0.4.

    With the n likeliest flagged, the expected F1 is about 2 · (their sum) / (n + sum of all): no truth is needed, only
    probabilities that mean what they say. What is likelier right than wrong by more than 0.6 to 0.4 stays unflagged.

    >>> choose_threshold(np.array([0.9, 0.8, 0.1, 0.0]))
    0.8
    """
    if not len(wrong):
        return 1.0
    ordered = np.sort(wrong)[::-1]
    found = np.cumsum(ordered)
    expected = 2 * found / (np.arange(1, len(ordered) + 1) + found[-1])
    return max(float(ordered[expected.argmax()]), LEAST_WRONG)


def _weigh_label(labels: np.ndarray, probs: np.ndarray, rate: float) -> float:
    """Return w, 0..1: how much a given label says, by whether its noise grows with the difficulty of the picture."""
    _, clearest, count = compute_noise(labels, probs, share=0.25)
    ratio = (clearest * count + USUAL_ANSWERS * USUAL_RATIO) / (rate * count + USUAL_ANSWERS)
    return min(1.0, ratio) ** 2


def _share_wrong(labels: np.ndarray, cooled: np.ndarray, noise: np.ndarray, weight: float) -> float:
    return 1 - float(_weigh_given(labels, cooled, noise**weight).mean())


def _weigh(labels: np.ndarray, cooled: np.ndarray, noise: np.ndarray) -> np.ndarray:
    posterior = np.empty_like(cooled)
    for rows in _blocks(cooled):
        weighed = cooled[rows] * noise.T[labels[rows]]
        posterior[rows] = weighed / weighed.sum(axis=1, keepdims=True)
    return posterior


def _weigh_given(labels: np.ndarray, cooled: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return only the given label's column of the posterior (N,), without holding the rest."""
    given = np.empty(len(labels))
    for rows in _blocks(cooled):
        said = labels[rows]
        own = cooled[rows][np.arange(len(said)), said] * noise[said, said]
        given[rows] = own / (cooled[rows] * noise.T[said]).sum(axis=1)
    return given


def _blocks(probs: np.ndarray) -> Iterator[slice]:
    size = max(1, BLOCK // probs.shape[1])
    yield from (slice(start, start + size) for start in range(0, len(probs), size))
