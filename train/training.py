"""Trains a version with a recipe and a seed: ``train_version`` is all that the command line calls.

An identical training is not repeated, and one that was interrupted goes on from its last whole epoch.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from curate.spec.model import Spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder
from curate.storage.tables import SPLITS
from curate.versions.digest import soft_labels_digest
from curate.versions.read import read_manifest, read_soft_labels, read_version
from train.bar import show_epochs
from train.evaluate import encode_labels
from train.models import find_run, load_network, read_run, write_model
from train.network.recipes import Recipe, read_recipe, recipe_values
from train.record import Clock, describe_run, tabulate_predictions

if TYPE_CHECKING:
    from torch import nn

    from train.network.batches import Images


def train_version(
    dataset: DatasetFolder,
    spec: Spec,
    version: str,
    recipe: str | Recipe | None = None,
    seed: int | None = None,
    device: str = "auto",
    init: str | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Train on ``version`` and return the run record of the model, as written to ``models/mN/run.json``.

    Parameters
    ----------
    spec
        With ``train: labels: shares`` the network learns the version's vote shares, if it carries any; it is measured
        on the labels all the same.
    recipe, seed
        As in the spec's ``train:`` when not given.
    init
        A model whose weights to start from, in place of random or ImageNet ones.
    force
        Train even if there is a model of the same version, recipe and seed; else that one's record is returned.

    Raises
    ------
    Problem
        When the version cannot be trained on: fewer than two classes, one without training samples, no test samples.
    """
    chosen = recipe if isinstance(recipe, Recipe) else read_recipe(recipe or spec.train.recipe)
    seed = spec.train.seed if seed is None else seed
    record, manifest = read_version(dataset, version), read_manifest(dataset, version)
    check_trainable(manifest, spec.class_names, version)
    soft_labels = read_soft_labels(dataset, version) if spec.train.labels == "shares" else None
    given = _describe_given(dataset, record, manifest, soft_labels, chosen, spec.class_names, seed, init)
    known = None if force else find_run(dataset, given["identity"])
    return known or _train(dataset, manifest, soft_labels, chosen, given, device)


def _describe_given(
    dataset: DatasetFolder, record: dict[str, Any], manifest: pd.DataFrame, soft_labels: pd.DataFrame | None,
    recipe: Recipe, classes: list[str], seed: int, init: str | None,
) -> dict[str, Any]:  # fmt: skip
    """Return what the run record says before training begins; ``identity`` is equal for two trainings of the same."""
    parts = [record["digest"], classes, recipe_values(recipe), seed, _start_digest(dataset, init, classes)]
    if soft_labels is not None:
        parts.append(soft_labels_digest(soft_labels))
    return {
        "version": record["id"],
        "version_digest": record["digest"],
        "labels_digest": compute_labels_digest(manifest),
        "identity": _digest(parts),
        "recipe": recipe_values(recipe),
        "labels": "hard" if soft_labels is None else "shares",
        "seed": seed,
        "init": init,
        "classes": classes,
    }


def check_trainable(manifest: pd.DataFrame, classes: list[str], version: str) -> None:
    """Raise a ``Problem`` unless the version has two classes, each with training samples, and a test split."""
    if len(classes) < 2:
        raise Problem(f"Training needs at least two classes, but dataset.yaml has only {classes[0]!r}. Add another.")
    train = set(manifest.loc[manifest["split"] == "train", "label"])
    absent = [name for name in classes if name not in train]
    if absent:
        raise Problem(
            f"Expected training samples of every class, but {version} has none of {', '.join(absent)}. Add images of "
            f"{'it' if len(absent) == 1 else 'them'}, or take the class out of dataset.yaml, and build again."
        )
    if not (manifest["split"] == "test").any():
        raise Problem(
            f"Expected test samples in {version}, but its test split is empty: the model could not be measured. "
            f"Raise split.test in dataset.yaml or add images, and build again."
        )


def compute_labels_digest(manifest: pd.DataFrame) -> str:
    """Return the SHA-256 of ``sample_id, label, split`` by sample_id: equal when two versions teach the same."""
    rows = manifest.sort_values("sample_id")[["sample_id", "label", "split"]].itertuples(index=False)
    return hashlib.sha256("\n".join("\t".join(row) for row in rows).encode()).hexdigest()


def _train(
    dataset: DatasetFolder, manifest: pd.DataFrame, soft_labels: pd.DataFrame | None, recipe: Recipe,
    given: dict[str, Any], device: str,
) -> dict[str, Any]:  # fmt: skip
    from train.network.device import choose_device
    from train.network.fit import fit_network, predict_probabilities

    chosen, clock = choose_device(device), Clock()
    images = _split_images(dataset, manifest, soft_labels, recipe, given)
    network = _start_network(dataset, recipe, given)
    clock.lap("pixels")
    checkpoint = dataset.cache / "training" / f"{given['identity'][:20]}-{chosen.type}.safetensors"
    with show_epochs(f"{given['version']} {recipe.name}", recipe.epochs) as tell:
        progress = fit_network(network, images["train"], images["val"], recipe, given["seed"], chosen, checkpoint, tell)
    clock.lap("fit")
    probs = {split: predict_probabilities(network, images[split], chosen) for split in SPLITS}
    clock.lap("predict")
    run = given | describe_run(progress, images, probs, given, chosen, clock)
    run = write_model(dataset, network.state_dict(), run, tabulate_predictions(manifest, probs, given["classes"]))
    checkpoint.unlink(missing_ok=True)
    return run


def _split_images(
    dataset: DatasetFolder,
    manifest: pd.DataFrame,
    soft_labels: pd.DataFrame | None,
    recipe: Recipe,
    given: dict[str, Any],
) -> dict[str, Images]:
    from train.network.batches import Images
    from train.network.pixels import read_rows

    pixels, rows = read_rows(dataset, list(manifest["sample_id"]), recipe.side)
    labels = encode_labels(manifest, given["classes"], given["version"])
    splits = {split: (manifest["split"] == split).to_numpy() for split in SPLITS}
    images = {split: Images(pixels, rows[used], labels[used]) for split, used in splits.items()}
    if soft_labels is not None:
        table = (
            soft_labels.set_index("sample_id").loc[manifest["sample_id"], given["classes"]].to_numpy(dtype=np.float64)
        )
        images["train"] = replace(images["train"], soft_labels=table[splits["train"]])
    return images


def _start_network(dataset: DatasetFolder, recipe: Recipe, given: dict[str, Any]) -> nn.Module:
    """Return the network at its start: random weights drawn from the seed, ImageNet's, or those of a model."""
    import torch

    from train.network.networks import build_network

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(given["seed"])
        network = build_network(recipe, len(given["classes"]), pretrained=given["init"] is None)
    if given["init"]:
        weights = load_network(dataset, given["init"]).state_dict()
        mine = {name: value.shape for name, value in network.state_dict().items()}
        if mine != {name: value.shape for name, value in weights.items()}:
            raise Problem(f"{given['init']} is another network than the recipe {recipe.name} makes. Use its recipe.")
        network.load_state_dict(weights)
    return network


def _start_digest(dataset: DatasetFolder, init: str | None, classes: list[str]) -> str:
    if init is None:
        return ""
    start = read_run(dataset, init)
    if start["classes"] != classes:
        raise Problem(
            f"Expected {init} to know the classes {', '.join(classes)}, but it knows {', '.join(start['classes'])}. "
            f"Start from another model, or from none."
        )
    return str(start["weights_digest"])


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
