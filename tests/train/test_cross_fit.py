"""Out-of-sample probabilities by k-fold: what is learnt, who is held out, and what a second audit does again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from curate.split import position
from tests.train.conftest import TINY, draw_samples, write_dataset
from train.cross_fit import FOLDS, cross_fit

DEEP = replace(TINY, name="deep", label_smoothing=0.0, balance=0.0)


@pytest.fixture
def drawn(tmp_path: Path):
    """40 discs and 40 squares: dataset, ids, and targets that are right."""
    rows = draw_samples(40)
    dataset = write_dataset(tmp_path, rows)
    ids = list(rows["sample_id"])
    return dataset, ids, np.eye(2)[(rows["label"] == "square").to_numpy().astype(int)]


def test_what_is_held_out_is_still_known(drawn) -> None:
    dataset, ids, targets = drawn
    logs = cross_fit(dataset, ids, targets, ids, device="cpu", recipe=DEEP)
    assert np.allclose(np.exp(logs).sum(axis=1), 1, atol=0.2)  # the mean of two views' logs: nearly a distribution
    assert (logs.argmax(1) == targets.argmax(1)).mean() > 0.9


def test_a_wrong_target_does_not_reach_its_own_sample(drawn) -> None:
    dataset, ids, targets = drawn
    wrong = targets.copy()
    wrong[3] = wrong[3, ::-1]
    logs = cross_fit(dataset, ids, wrong, ids, device="cpu", recipe=DEEP)
    assert logs[3].argmax() == targets[3].argmax()
    # A copy of it in the same group is held out with it, wherever its own hash would have put it.
    other = next(place for place, one in enumerate(ids) if place != 3 and fold(one) != fold(ids[3]))
    groups = [ids[3] if place == other else one for place, one in enumerate(ids)]
    calls = record_learnt(dataset, ids, wrong, groups)
    assert all(not {ids[3], ids[other]} & learnt or {ids[3], ids[other]} <= learnt for learnt in calls)


def test_samples_without_targets_get_probabilities_and_teach_nothing(drawn) -> None:
    dataset, ids, targets = drawn
    targets[5] = np.nan
    assert all(ids[5] not in learnt for learnt in record_learnt(dataset, ids, targets, ids))
    assert np.isfinite(cross_fit(dataset, ids, targets, ids, device="cpu", recipe=DEEP)).all()


def test_nothing_new_trains_nothing_and_an_edit_goes_on(drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, ids, targets = drawn
    first = cross_fit(dataset, ids, targets, ids, device="cpu", recipe=DEEP)
    epochs = count_epochs(monkeypatch)
    assert np.array_equal(cross_fit(dataset, ids, targets, ids, device="cpu", recipe=DEEP), first)
    assert epochs == []
    edited = targets.copy()
    edited[0] = 0.5
    cross_fit(dataset, ids, edited, ids, device="cpu", recipe=DEEP)
    assert epochs == [1]  # only the fold that learns from it, for one more epoch


def test_a_network_that_saw_a_sample_is_not_asked_about_it(drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, ids, targets = drawn
    cross_fit(dataset, ids, targets, ids, device="cpu", recipe=DEEP)
    moved = next(place for place, one in enumerate(ids) if fold(one) != fold(ids[3]))
    groups = [ids[3] if place == moved else one for place, one in enumerate(ids)]
    epochs = count_epochs(monkeypatch)
    cross_fit(dataset, ids, targets, groups, device="cpu", recipe=DEEP)
    assert sorted(epochs) == [1, DEEP.epochs]  # the one that had learnt it starts anew


def fold(sample_id: str) -> int:
    return int(position(sample_id, 0) * FOLDS)


def record_learnt(dataset, ids, targets, groups) -> list[set[str]]:  # type: ignore[no-untyped-def]
    """Return the samples that each fold's network learnt from."""
    from curate.tables import read_parquet

    cross_fit(dataset, ids, targets, groups, device="cpu", recipe=DEEP)
    return [set(read_parquet(file)["sample_id"]) for file in (dataset.cache / "deep").glob("*/taught.parquet")]


def count_epochs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by the epochs of each training from now on; the training itself stays what it is."""
    import train.fit

    seen: list[int] = []
    real = train.fit.fit_network

    def counted(network, images, val, recipe, *rest):  # type: ignore[no-untyped-def]
        seen.append(recipe.epochs)
        return real(network, images, val, recipe, *rest)

    monkeypatch.setattr(train.fit, "fit_network", counted)
    return seen
