"""Votes to soft labels: by hand, and as a table that always sums to one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.versions.soft_labels import compute_soft_labels

CLASSES = ["cat", "dog", "owl"]


def votes_of(*rows: tuple[str, str, str, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["sample_id", "label", "voter", "share"])


def soft_labels_of(votes: pd.DataFrame, label: str = "cat", decided: str = "") -> list[float]:
    table = compute_soft_labels(votes, {"a": label}, {"a": decided} if decided else {}, CLASSES)
    assert list(table) == ["sample_id", *CLASSES] and table["sample_id"].tolist() == ["a"]
    return table[CLASSES].iloc[0].tolist()


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("a", "cat", "ann", 1.0), ("a", "cat", "bob", 1.0), ("a", "dog", "cem", 1.0)], [2 / 3, 1 / 3, 0]),
        ([("a", "cat", "ann", 0.8)], [0.8, 0.1, 0.1]),  # the rest is the others'
        ([("a", "cat", "ann", 0.5), ("a", "dog", "ann", 0.3)], [0.5, 0.3, 0.2]),
        ([("a", "cat", "ann", 1.0), ("a", "dog", "ann", 1.0)], [0.5, 0.5, 0]),  # two folders, one voter
        ([("a", "cat", "ann", 0.0)], [0, 0.5, 0.5]),
        ([("a", one, "ann", 0.0) for one in CLASSES], [1 / 3, 1 / 3, 1 / 3]),
        ([("a", "cat", "ann", 0.4), ("a", "dog", "ann", 0.4), ("a", "owl", "ann", 0.0)], [0.5, 0.5, 0]),
        ([("a", "dog", "ann", 1.0), ("a", "cat", "model:m1", 1.0), ("a", "cat", "rule:x", 1.0)], [0, 1, 0]),
        ([("a", "dog", "ann", 1.0), ("a", "gone", "bob", 1.0), ("b", "cat", "bob", 1.0)], [0, 1, 0]),
        ([], [1, 0, 0]),
    ],
)
def test_by_hand(rows: list[tuple[str, str, str, float]], expected: list[float]) -> None:
    assert soft_labels_of(votes_of(*rows)) == pytest.approx(expected, abs=1e-6)


def test_what_a_decision_states_is_certain() -> None:
    votes = votes_of(("a", "cat", "ann", 1.0), ("a", "dog", "bob", 1.0))
    assert soft_labels_of(votes, "owl", decided="owl") == [0, 0, 1]


VOTE = st.tuples(
    st.sampled_from("abcd"), st.sampled_from([*CLASSES, "gone"]), st.sampled_from(["ann", "bob", "model:m"]),
    st.floats(0, 1),
)  # fmt: skip


@given(st.lists(VOTE, max_size=20), st.randoms())
def test_rows_sum_to_one_whatever_the_order(rows: list[tuple[str, str, str, float]], random: object) -> None:
    labels = dict.fromkeys("abc", "dog")
    table = compute_soft_labels(votes_of(*rows), labels, {"b": "dog"}, CLASSES)
    assert np.allclose(table[CLASSES].sum(axis=1), 1, atol=1e-5) and (table[CLASSES] >= 0).all(axis=None)
    random.shuffle(rows)  # type: ignore[attr-defined]
    pd.testing.assert_frame_equal(table, compute_soft_labels(votes_of(*rows), labels, {"b": "dog"}, CLASSES))
