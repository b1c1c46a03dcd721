"""Out-of-sample probabilities by k-fold: what is learnt, who is held out, and what a second audit does again."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from curate.versions.claims import position
from tests.train.conftest import draw_samples, write_dataset
from train.cross_fit import FOLDS, Recipe, cross_fit

# Nearly all blocks frozen, and few pixels: red discs against blue squares in seconds.
CLASSES = ("disc", "square")
DEEP = Recipe(side=64, frozen_blocks=14, epochs=3, batch=8)


@pytest.fixture
def drawn(tmp_path: Path):
    """40 discs and 40 squares: dataset, ids, and targets that are right."""
    rows = draw_samples(40)
    dataset = write_dataset(tmp_path, rows)
    ids = list(rows["sample_id"])
    return dataset, ids, np.eye(2)[(rows["label"] == "square").to_numpy().astype(int)]


def test_what_is_held_out_is_still_known(drawn) -> None:
    dataset, ids, targets = drawn
    logs = cross_fit(dataset, ids, targets, ids, CLASSES, device="cpu", recipe=DEEP)
    assert np.allclose(np.exp(logs).sum(axis=1), 1)
    assert (logs.argmax(1) == targets.argmax(1)).mean() > 0.9


def test_a_wrong_target_does_not_reach_its_own_sample(drawn) -> None:
    dataset, ids, targets = drawn
    wrong = targets.copy()
    wrong[3] = wrong[3, ::-1]
    logs = cross_fit(dataset, ids, wrong, ids, CLASSES, device="cpu", recipe=DEEP)
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
    assert np.isfinite(cross_fit(dataset, ids, targets, ids, CLASSES, device="cpu", recipe=DEEP)).all()


def test_nothing_new_trains_nothing_and_an_edit_goes_on(drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, ids, targets = drawn
    first = cross_fit(dataset, ids, targets, ids, CLASSES, device="cpu", recipe=DEEP)
    epochs = count_epochs(monkeypatch)
    assert np.array_equal(cross_fit(dataset, ids, targets, ids, CLASSES, device="cpu", recipe=DEEP), first)
    assert epochs == []
    edited = targets.copy()
    edited[0] = 0.5
    cross_fit(dataset, ids, edited, ids, CLASSES, device="cpu", recipe=DEEP)
    assert len(epochs) == 1  # only the fold that learns from it, for one more epoch


def test_a_network_that_saw_a_sample_is_not_asked_about_it(drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, ids, targets = drawn
    cross_fit(dataset, ids, targets, ids, CLASSES, device="cpu", recipe=DEEP)
    moved = next(place for place, one in enumerate(ids) if fold(one) != fold(ids[3]))
    groups = [ids[3] if place == moved else one for place, one in enumerate(ids)]
    epochs = count_epochs(monkeypatch)
    cross_fit(dataset, ids, targets, groups, CLASSES, device="cpu", recipe=DEEP)
    assert len(epochs) == 1 + DEEP.epochs  # the one that had learnt it starts anew, the other goes on


def test_what_is_gone_may_be_a_copy_so_it_starts_anew(drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, ids, targets = drawn
    cross_fit(dataset, ids, targets, ids, CLASSES, device="cpu", recipe=DEEP)
    epochs = count_epochs(monkeypatch)
    cross_fit(dataset, ids[1:], targets[1:], ids[1:], CLASSES, device="cpu", recipe=DEEP)
    assert len(epochs) == DEEP.epochs  # the one that had learnt it; the other only judged it
    undecided = targets.copy()
    undecided[2] = np.nan  # the label was taken back: it teaches no more, but was taught
    cross_fit(dataset, ids[1:], undecided[1:], ids[1:], CLASSES, device="cpu", recipe=DEEP)
    assert len(epochs) == DEEP.epochs + 1
    moved = next(place for place, one in enumerate(ids) if place > 2 and fold(one) != fold(ids[2]))
    groups = [ids[moved] if place == 2 else one for place, one in enumerate(ids)]
    cross_fit(dataset, ids[1:], undecided[1:], groups[1:], CLASSES, device="cpu", recipe=DEEP)
    assert len(epochs) >= 2 * DEEP.epochs + 1  # it is held out now where it had been taught before


def test_other_classes_are_another_lesson(drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, ids, targets = drawn
    cross_fit(dataset, ids, targets, ids, CLASSES, device="cpu", recipe=DEEP)
    epochs = count_epochs(monkeypatch)
    cross_fit(dataset, ids, targets[:, ::-1], ids, CLASSES[::-1], device="cpu", recipe=DEEP)
    assert len(epochs) == FOLDS * DEEP.epochs


def test_an_interrupted_training_goes_on_from_its_last_epoch(drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, ids, targets = drawn
    epochs = count_epochs(monkeypatch)
    import train.tail

    counted = train.tail.train_epoch

    def stopped(*words):  # type: ignore[no-untyped-def]
        if len(epochs) == 2:
            raise KeyboardInterrupt
        return counted(*words)

    monkeypatch.setattr(train.tail, "train_epoch", stopped)
    with pytest.raises(KeyboardInterrupt):
        cross_fit(dataset, ids, targets, ids, CLASSES, device="cpu", recipe=DEEP)
    monkeypatch.setattr(train.tail, "train_epoch", counted)
    went_on = cross_fit(dataset, ids, targets, ids, CLASSES, device="cpu", recipe=DEEP)
    assert len(epochs) == 2 * DEEP.epochs
    shutil.rmtree(dataset.cache / "deep")
    assert np.allclose(cross_fit(dataset, ids, targets, ids, CLASSES, device="cpu", recipe=DEEP), went_on, atol=1e-3)


def fold(sample_id: str) -> int:
    return int(position(sample_id, 0) * FOLDS)


def record_learnt(dataset, ids, targets, groups) -> list[set[str]]:  # type: ignore[no-untyped-def]
    """Return the samples that each fold's network learnt from."""
    from curate.storage.tables import read_parquet

    cross_fit(dataset, ids, targets, groups, CLASSES, device="cpu", recipe=DEEP)
    return [set(read_parquet(file)["sample_id"]) for file in (dataset.cache / "deep").glob("*/taught.parquet")]


def count_epochs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the number of samples of each epoch from now on; the training itself stays what it is."""
    import train.tail

    seen: list[int] = []
    real = train.tail.train_epoch

    def counted(tail, optimizer, activations, *rest):  # type: ignore[no-untyped-def]
        seen.append(len(activations))
        return real(tail, optimizer, activations, *rest)

    monkeypatch.setattr(train.tail, "train_epoch", counted)
    return seen
