"""A version, a recipe and a seed to a model: ``train_version`` is all that the command line calls.

An identical training is not repeated, and one that was interrupted goes on from its last whole epoch.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from curate.build import read_manifest, read_version
from curate.dataset import DatasetFolder
from curate.files import Problem
from curate.spec import Spec
from curate.tables import SPLITS
from train.evaluate import encode_labels
from train.metrics import compute_metrics
from train.models import find_run, load_network, read_run, write_model
from train.recipes import Recipe, read_recipe, recipe_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import nn

    from train.fit import Images, Progress, Tell


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
    recipe, seed
        As in the spec's ``train:`` when not given.
    init
        A model whose weights to start from, in place of random or ImageNet ones.
    force
        Train even if there is a model of the same version, recipe and seed; else that one's record is returned.

    Raises
    ------
    Problem
        When the version cannot be trained on: fewer than two classes, a class without training samples, no test samples.
    """
    chosen = recipe if isinstance(recipe, Recipe) else read_recipe(recipe or spec.train.recipe)
    seed = spec.train.seed if seed is None else seed
    record, manifest = read_version(dataset, version), read_manifest(dataset, version)
    classes = spec.class_names
    check_trainable(manifest, classes, version)
    identity = _digest([record["digest"], classes, recipe_values(chosen), seed, _start_digest(dataset, init, classes)])
    known = None if force else find_run(dataset, identity)
    if known:
        return known
    given = {
        "version": version,
        "version_digest": record["digest"],
        "labels_digest": compute_labels_digest(manifest),
        "identity": identity,
        "recipe": recipe_values(chosen),
        "seed": seed,
        "init": init,
        "classes": classes,
    }
    return _train(dataset, manifest, chosen, given, device)


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
    """Return the SHA-256 of ``sample_id, label, split`` in order of sample_id: equal when a version teaches the same."""
    rows = manifest.sort_values("sample_id")[["sample_id", "label", "split"]].itertuples(index=False)
    return hashlib.sha256("\n".join("\t".join(row) for row in rows).encode()).hexdigest()


def _train(
    dataset: DatasetFolder, manifest: pd.DataFrame, recipe: Recipe, given: dict[str, Any], device: str
) -> dict[str, Any]:
    from train.device import choose_device
    from train.fit import fit_network, predict_probabilities

    chosen, clock = choose_device(device), _Clock()
    images = _split_images(dataset, manifest, recipe, given)
    network = _start_network(dataset, recipe, given)
    clock.lap("pixels")
    checkpoint = dataset.cache / "training" / f"{given['identity'][:20]}-{chosen.type}.safetensors"
    with show_epochs(f"{given['version']} {recipe.name}", recipe.epochs) as tell:
        progress = fit_network(
            network, images["train"], images["val"], recipe, given["seed"], chosen, checkpoint, tell
        )
    clock.lap("fit")
    probs = {split: predict_probabilities(network, images[split], chosen) for split in SPLITS}
    clock.lap("predict")
    run = given | _describe(progress, images, probs, given, chosen, clock)
    run = write_model(dataset, network.state_dict(), run, _tabulate(manifest, probs, given["classes"]))
    checkpoint.unlink(missing_ok=True)
    return run


def _split_images(
    dataset: DatasetFolder, manifest: pd.DataFrame, recipe: Recipe, given: dict[str, Any]
) -> dict[str, Images]:
    from train.fit import Images
    from train.pixels import read_rows

    pixels, rows = read_rows(dataset, list(manifest["sample_id"]), recipe.side)
    labels = encode_labels(manifest, given["classes"], given["version"])
    splits = {split: (manifest["split"] == split).to_numpy() for split in SPLITS}
    return {split: Images(pixels, rows[used], labels[used]) for split, used in splits.items()}


def _start_network(dataset: DatasetFolder, recipe: Recipe, given: dict[str, Any]) -> nn.Module:
    """Return the network at its start: random weights drawn from the seed, ImageNet's, or those of a model."""
    import torch

    from train.networks import build_network

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


def _describe(
    progress: Progress, images: dict[str, Images], probs: dict[str, np.ndarray], given: dict[str, Any],
    device: torch.device, clock: _Clock,
) -> dict[str, Any]:  # fmt: skip
    import torch

    from train.device import bfloat16_helps

    def metrics(split: str) -> dict[str, Any]:
        return compute_metrics(images[split].labels, probs[split], given["classes"], given["seed"])

    return {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "device": _device_name(device),
        "precision": "bfloat16" if bfloat16_helps(device) else "float32",
        "threads": torch.get_num_threads(),
        "versions": {name: _release(name) for name in ("specurate", "torch", "numpy", "python")},
        "epochs": progress.epochs,
        "best_epoch": progress.best_epoch,
        "history": progress.history,
        "counts": {split: len(images[split]) for split in SPLITS},
        "metrics": {split: metrics(split) for split in ("val", "test")},
        "seconds": clock.total(),
        "seconds_of": clock.laps,
    }


def _tabulate(manifest: pd.DataFrame, probs: dict[str, np.ndarray], classes: list[str]) -> pd.DataFrame:
    """Return predictions of all samples of the version, sorted by sample_id; rows of split train are in-sample."""
    parts = []
    for split in SPLITS:
        rows = manifest.loc[manifest["split"] == split, ["sample_id", "split", "label"]].reset_index(drop=True)
        rows["predicted"] = np.array(classes, dtype=object)[probs[split].argmax(1)] if len(rows) else ""
        parts.append(rows.join(pd.DataFrame(probs[split], columns=[f"p_{name}" for name in classes])))
    table = pd.concat([part for part in parts if len(part)], ignore_index=True)
    return table.sort_values("sample_id", ignore_index=True)


@contextmanager
def show_epochs(label: str, epochs: int) -> Iterator[Tell]:
    """Yield what ``fit_network`` calls after each epoch: a bar on stderr, silent when stderr is not a terminal."""
    import sys

    if not sys.stderr.isatty():
        yield lambda progress: None
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description:<12}"),
        bars.BarColumn(),
        bars.TextColumn("epoch {task.completed:.0f}/{task.total:.0f}"),
        bars.TextColumn("{task.fields[note]}"),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=epochs, note="")
        yield lambda progress: bar.update(task, completed=progress.epochs, note=_describe_epoch(progress))


def _describe_epoch(progress: Progress) -> str:
    last = progress.history[-1]
    accuracy = f"  val accuracy {last['val_accuracy']:.3f}" if "val_accuracy" in last else ""
    return f"loss {last['train_loss']:.3f}{accuracy}"


class _Clock:
    """Seconds of each part of a training, in order."""

    def __init__(self) -> None:
        self.last = time.perf_counter()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self.last = round(now - self.last, 2), now

    def total(self) -> float:
        return round(sum(self.laps.values()), 2)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _device_name(device: torch.device) -> str:
    import torch

    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"{device.type} ({_processor()})"


def _processor() -> str:
    """Return the processor's name; Linux alone has it in a file."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _release(name: str) -> str:
    from importlib import metadata

    if name == "python":
        return platform.python_version()
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "source"
