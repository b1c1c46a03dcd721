"""The loop: it learns, repeats itself, goes on where it was interrupted, and stops when nothing gets better."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from curate.storage.files import Damaged, Problem
from tests.train.conftest import TINY, draw_samples, write_dataset
from train.network.augment import augment, to_network
from train.network.batches import Images, batch_size, split_batches
from train.network.checkpoint import read_tensors
from train.network.fit import Progress, class_weights, fit_network, predict_probabilities
from train.network.networks import build_network
from train.network.pixels import read_rows
from train.network.recipes import RECIPES, Recipe

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Images]:
    rows = draw_samples(30)
    dataset = write_dataset(tmp_path_factory.mktemp("fit"), rows)
    pixels, places = read_rows(dataset, list(rows["sample_id"]), TINY.side)
    labels = (rows["label"] == "square").to_numpy().astype(np.int64)
    splits = {split: (rows["split"] == split).to_numpy() for split in ("train", "val", "test")}
    return {split: Images(pixels, places[used], labels[used]) for split, used in splits.items()}


def fit(images: dict[str, Images], recipe: Recipe = TINY, seed: int = 0, **options: object) -> tuple[dict, Progress]:
    torch.manual_seed(seed)
    network = build_network(recipe, 2)
    progress = fit_network(network, images["train"], images["val"], recipe, seed, CPU, **options)  # type: ignore[arg-type]
    return network.state_dict(), progress


def same(first: dict, second: dict) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_same_seed_same_weights_and_another_seed_others(images: dict[str, Images]) -> None:
    short = replace(TINY, epochs=2)
    first = fit(images, short)[0]
    torch.rand(3)  # whatever else draws numbers must not matter
    assert same(first, fit(images, short)[0])
    assert not same(first, fit(images, short, seed=1)[0])


def test_the_caller_keeps_its_random_state(images: dict[str, Images]) -> None:
    torch.manual_seed(7)
    network = build_network(TINY, 2)
    before = torch.get_rng_state()
    fit_network(network, images["train"], images["val"], replace(TINY, epochs=1), 0, CPU)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_interrupted_training_ends_with_the_same_weights(
    images: dict[str, Images], tmp_path: Path, optimizer: str
) -> None:
    recipe = replace(TINY, epochs=4, optimizer=optimizer, dropout=0.2)

    def stop_after_two(progress: Progress) -> None:
        if progress.epochs == 2:
            raise KeyboardInterrupt

    checkpoint = tmp_path / "run.safetensors"
    with pytest.raises(KeyboardInterrupt):
        fit(images, recipe, checkpoint=checkpoint, tell=stop_after_two)
    told: list[int] = []
    weights, progress = fit(images, recipe, checkpoint=checkpoint, tell=lambda one: told.append(one.epochs))
    whole, expected = fit(images, recipe)
    assert told == [3, 4]
    assert same(weights, whole) and progress == expected


@pytest.mark.parametrize("content", [b"", b"\x10" * 400, bytes(range(256))])
def test_a_damaged_checkpoint_is_as_none(images: dict[str, Images], tmp_path: Path, content: bytes) -> None:
    checkpoint = tmp_path / "run.safetensors"
    checkpoint.write_bytes(content)
    weights, _ = fit(images, TINY, checkpoint=checkpoint)
    assert same(weights, fit(images, TINY)[0])
    with pytest.raises(Damaged, match=r"run\.safetensors.*Restore"):
        checkpoint.write_bytes(content)
        read_tensors(checkpoint)


def test_best_epoch_is_the_one_of_lowest_val_loss_and_its_weights_stay(images: dict[str, Images]) -> None:
    # A learning rate far too high: later epochs are worse than some earlier one.
    recipe = replace(TINY, epochs=6, learning_rate=0.3, patience=2)
    torch.manual_seed(0)
    network = build_network(recipe, 2)
    progress = fit_network(network, images["train"], images["val"], recipe, 0, CPU)
    losses = {row["epoch"]: row["val_loss"] for row in progress.history}
    assert progress.best_epoch == min(losses, key=lambda epoch: losses[epoch])
    val = images["val"]
    probs = predict_probabilities(network, val, CPU)
    loss = -np.log(np.maximum(probs[np.arange(len(val)), val.labels], 1e-12)).mean()
    assert loss == pytest.approx(losses[progress.best_epoch], abs=1e-4)
    assert progress.epochs - progress.best_epoch <= 2


def test_without_val_all_epochs_run_and_the_last_stays(images: dict[str, Images]) -> None:
    none = replace(images["val"], rows=np.zeros(0, np.int64), labels=np.zeros(0, np.int64))
    _, progress = fit({**images, "val": none}, replace(TINY, epochs=3, patience=1))
    assert (progress.epochs, progress.best_epoch) == (3, 3)
    assert "val_loss" not in progress.history[0]


def test_training_that_diverges_is_a_problem_in_words(images: dict[str, Images]) -> None:
    with pytest.raises(Problem, match="diverged"):
        fit(images, replace(TINY, epochs=3, learning_rate=1e30, optimizer="sgd"))


def test_class_weights_even_out_a_rare_class() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    even = class_weights(labels, 2, 1.0).numpy()
    assert even[1] / even[0] == pytest.approx(9) and even[labels].mean() == pytest.approx(1)
    assert class_weights(labels, 2, 0.0).tolist() == [1, 1]


def test_class_weights_count_votes_where_there_are_shares() -> None:
    labels = np.array([0] * 9 + [1])
    assert torch.equal(class_weights(labels, 2, 0.5, np.eye(2)[labels]), class_weights(labels, 2, 0.5))
    doubted = np.where(labels[:, None] == 1, [0.0, 1.0], [0.6, 0.4])  # 5.4 against 4.6: nearly even
    few, many = class_weights(labels, 2, 1.0, doubted)
    assert float(many / few) == pytest.approx(5.4 / 4.6)


@pytest.mark.parametrize("head_steps", [0, 20])
def test_shares_that_are_sure_teach_what_the_labels_teach(images: dict[str, Images], head_steps: int) -> None:
    recipe = replace(TINY, epochs=2, label_smoothing=0.1, head_steps=head_steps)
    train = images["train"]
    sure = replace(train, soft_labels=np.eye(2)[train.labels])
    hard, soft = fit(images, recipe)[0], fit({**images, "train": sure}, recipe)[0]
    assert all(torch.allclose(hard[name].float(), soft[name].float(), atol=1e-4) for name in hard)


def test_batches_never_end_in_a_batch_of_one() -> None:
    assert [len(batch) for batch in split_batches(np.arange(33), 16)] == [11, 11, 11]
    assert split_batches(np.arange(0), 16) == []
    assert batch_size(RECIPES["small"], 3) == 8 and batch_size(RECIPES["small"], 10_000) == RECIPES["small"].batch


def test_views_stay_in_range_and_differ() -> None:
    pixels = torch.randint(0, 256, (8, 32, 32, 3), dtype=torch.uint8)
    recipe = replace(TINY, rotation=10, erase=0.25)
    views = augment(to_network(pixels), recipe, torch.Generator().manual_seed(0))
    assert views.shape == (8, 3, 32, 32) and views.min() >= 0 and views.max() <= 255
    assert not torch.equal(views, to_network(pixels))


def test_a_recipe_without_chance_changes_nothing() -> None:
    still = replace(TINY, flip=False, smallest_crop=1.0, colour=0.0, stretch=1.0)
    pixels = torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8)
    views = augment(to_network(pixels), still, torch.Generator().manual_seed(0))
    assert torch.allclose(views, to_network(pixels), atol=1e-2)


def test_half_of_the_views_are_mirrored() -> None:
    left_light = torch.zeros(200, 32, 32, 3, dtype=torch.uint8)
    left_light[:, :, :16] = 255
    plain = replace(TINY, smallest_crop=1.0, colour=0.0, stretch=1.0)
    views = augment(to_network(left_light), plain, torch.Generator().manual_seed(0))
    mirrored = (views[:, 0, 16, 24] > 128).float().mean()
    assert 0.35 < mirrored < 0.65


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_build_networks_for_any_number_of_classes(name: str) -> None:
    network = build_network(RECIPES[name], 5, pretrained=False).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 5)


def test_lite0_trains_only_what_is_not_frozen(images: dict[str, Images]) -> None:
    recipe = replace(RECIPES["lite0"], side=32, epochs=1, head_steps=20, batch=16)
    torch.manual_seed(0)
    network = build_network(recipe, 2)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    progress = fit_network(network, images["train"], images["val"], replace(recipe, patience=0), 0, CPU)
    assert [row["epoch"] for row in progress.history] == [0, 1]
    torch.rand(5)
    again = build_network(recipe, 2)
    assert fit_network(again, images["train"], images["val"], replace(recipe, patience=0), 0, CPU) == progress
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert {"head.weight", "head.bias"} <= changed
    frozen = {f"body._blocks.{block}." for block in range(recipe.frozen_blocks)} | {"body._conv_stem", "body._bn0"}
    assert not [name for name in changed if name.startswith(tuple(frozen)) or "running" in name]
