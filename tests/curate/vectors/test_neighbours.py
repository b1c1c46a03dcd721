"""The neighbour graph against a plain sort of all similarities."""

from __future__ import annotations

import numpy as np
import pytest

import curate.vectors.neighbours
from curate.vectors.neighbours import compute_neighbours


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


def clustered(count: int, width: int = 32) -> np.ndarray:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(40, width))[rng.integers(0, 40, count)] + 0.6 * rng.normal(size=(count, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def by_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Search by lists at a size that a test can afford: few directions."""
    for name, value in {"EXACT_UP_TO": 100, "WIDTH": 24}.items():
        monkeypatch.setattr(curate.vectors.neighbours, name, value)


def test_lists_find_nearly_all_the_nearest_and_exact_similarities(by_lists: None) -> None:
    vectors = clustered(4000)
    indices, similarities = compute_neighbours(vectors, 10)
    every = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    assert np.allclose(similarities, np.take_along_axis(every, indices, 1), atol=2e-6)
    assert (np.diff(similarities, axis=1) <= 0).all()
    np.fill_diagonal(every, -2)
    truth = np.argsort(-every, axis=1)[:, :10]
    found = np.mean([len(set(one) & set(two)) for one, two in zip(truth.tolist(), indices.tolist(), strict=True)])
    assert found / 10 >= 0.99
    assert not (indices == np.arange(len(vectors))[:, None]).any()


def test_lists_take_half_precision_and_give_the_same_each_time(by_lists: None) -> None:
    vectors = clustered(1000).astype(np.float16)
    indices, similarities = compute_neighbours(vectors, 5)
    again, _ = compute_neighbours(vectors, 5)
    assert (indices == again).all()
    exact = vectors.astype(np.float32) @ vectors.astype(np.float32).T
    assert np.allclose(similarities, np.take_along_axis(exact, indices, 1), atol=1e-5)


@pytest.mark.parametrize("vectors", [np.ones((700, 4)) / 2, np.zeros((700, 4)), np.ones((700, 1))])
def test_lists_of_one_vector_many_times(by_lists: None, vectors: np.ndarray) -> None:
    indices, similarities = compute_neighbours(vectors.astype(np.float32), 10)
    assert np.allclose(similarities, vectors[0] @ vectors[0])
    assert all(len({row, *others}) == 11 for row, others in enumerate(indices.tolist()))
