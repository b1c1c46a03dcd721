"""What to label next: typical at first, informative later, never twice the same."""

from __future__ import annotations

import numpy as np
import pytest

from curate.label.next_labels import compute_informativeness, pick_informative, pick_typical
from curate.label.pick import pick_rows
from tests.curate.label.test_prototypes import crowds


def test_least_sure_is_most_informative() -> None:
    probs = np.array([[0.99, 0.01], [0.5, 0.5], [0.2, 0.8]])
    assert compute_informativeness([probs]).argsort().tolist() == [0, 2, 1]
    # Two models that contradict each other are as unsure as one that cannot tell.
    other = np.array([[0.99, 0.01], [0.01, 0.99], [0.2, 0.8]])
    both = compute_informativeness([np.array([[0.99, 0.01], [0.99, 0.01], [0.2, 0.8]]), other])
    assert both.argmax() == 1
    assert len(compute_informativeness([np.eye(5)[[0]], np.eye(5)[[1]]])) == 1
    assert len(compute_informativeness([np.zeros((0, 2))])) == 0


def test_informative_picks_are_spread() -> None:
    places, truth = crowds(30, 4)
    weights = np.where(truth == 3, 0.0, 1.0)
    picked = pick_informative(places, weights, 3)
    assert sorted(truth[picked]) == [0, 1, 2]


def test_typical_picks_go_where_no_label_is() -> None:
    places, truth = crowds(30, 4)
    is_labelled = np.isin(np.arange(120), [0, 1, 30])
    picked = pick_typical(places, is_labelled, 2)
    assert set(truth[picked]) <= {2, 3} or len(set(truth[picked])) == 2
    assert not is_labelled[picked].any()


def test_the_middle_of_a_crowd_is_its_most_typical() -> None:
    rng = np.random.default_rng(0)
    crowd = np.eye(6)[0] + rng.normal(scale=0.5, size=(20, 6))
    crowd[7] = crowd.mean(axis=0)
    crowd /= np.linalg.norm(crowd, axis=1, keepdims=True)
    assert pick_typical(crowd, np.zeros(20, bool), 1).tolist() == [7]


@pytest.mark.parametrize("pick", ["typical", "informative"])
@pytest.mark.parametrize("count", [1, 5, 12, 50])
def test_each_is_picked_once_even_of_equal_pictures(pick: str, count: int) -> None:
    same = np.tile(np.eye(4)[0], (12, 1))
    chosen = (
        pick_typical(same, np.zeros(12, bool), count)
        if pick == "typical"
        else pick_informative(same, np.zeros(12), count)
    )
    assert len(chosen) == len(set(chosen.tolist())) == min(count, 12)


def test_few_labels_ask_for_typical_ones_more_for_informative_ones() -> None:
    places, truth = crowds(30, 2)
    probs = np.full((60, 2), 0.5)
    few = np.where(np.arange(60) % 30 < 4, truth, -1)
    many = np.where(np.arange(60) % 30 < 5, truth, -1)
    asked = np.arange(20, 30)
    chosen, why = pick_rows(places, few, asked, [probs], 2, 3)
    assert why == "typical" and set(chosen) <= set(asked.tolist())
    chosen, why = pick_rows(places, many, asked, [probs], 2, 3)
    assert why == "informative" and set(chosen) <= set(asked.tolist())
    assert pick_rows(places, many, asked, [np.full((60, 2), np.nan)], 2, 3)[1] == "typical"
    assert len(pick_rows(places, many, asked[:0], [probs], 2, 3)[0]) == 0
