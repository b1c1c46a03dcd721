"""The neighbour graph against a plain sort of all similarities."""

from __future__ import annotations

import numpy as np
import pytest

import curate.neighbours
from curate.neighbours import compute_neighbours


def unit_vectors(count: int, width: int = 16) -> np.ndarray:
    vectors = np.random.default_rng(0).normal(size=(count, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_equals_a_sort_of_all_similarities() -> None:
    vectors = unit_vectors(200)
    indices, similarities = compute_neighbours(vectors, 5)
    every = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    np.fill_diagonal(every, -2)
    assert (indices == np.argsort(-every, axis=1)[:, :5]).all()
    assert np.allclose(similarities, np.sort(every, axis=1)[:, ::-1][:, :5], atol=1e-5)


@pytest.mark.parametrize(("count", "width"), [(0, 0), (1, 0), (2, 1), (4, 3)])
def test_fewer_rows_than_neighbours(count: int, width: int) -> None:
    indices, similarities = compute_neighbours(unit_vectors(count), 10)
    assert indices.shape == similarities.shape == (count, width)
    assert all(row not in others for row, others in enumerate(indices.tolist()))


def test_copies_are_neighbours_and_no_row_is_its_own() -> None:
    indices, similarities = compute_neighbours(np.repeat(unit_vectors(3), 4, axis=0), 3)
    assert np.allclose(similarities, 1, atol=1e-5)
    assert indices[0].tolist() == [1, 2, 3] and indices[2].tolist() == [0, 1, 3]


def test_inverted_file_finds_nearly_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = unit_vectors(3000, 4)
    exact, _ = compute_neighbours(vectors, 5)
    monkeypatch.setattr(curate.neighbours, "EXACT_UP_TO", 100)
    found, _ = compute_neighbours(vectors, 5)
    assert (exact == found).mean() > 0.9
