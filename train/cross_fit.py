"""Soft labels to out-of-sample probabilities by k-fold fine-tuning: the deep evidence of the audit.

Which fold a sample is in depends on nothing but its near-duplicate group, so a network of an earlier audit goes on from
where it was: after an edit it learns for one more epoch, and when nothing changed it only sees the new pictures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from curate.cache import ContentCache
from curate.dataset import DatasetFolder
from curate.engine import batched
from curate.files import write_atomic
from curate.progress import track
from curate.split import position
from curate.tables import read_parquet, write_table
from train.bar import show_epochs
from train.recipes import Recipe, recipe_values

if TYPE_CHECKING:
    from torch import nn

FOLDS = 2
CHUNK = 2_000  # images looked at at once: some hundred megabytes of pixels
SAME = 0.1  # targets that moved less teach the same
RECIPE = Recipe(
    name="deep",
    network="lite0",
    side=128,
    epochs=3,
    batch=64,
    learning_rate=1e-3,
    weight_decay=0.02,
    optimizer="adamw",
    label_smoothing=0.0,  # the targets are soft already
    balance=0.0,
    smallest_crop=0.8,
    colour=0.1,
    dropout=0.2,
    frozen_blocks=8,
)


def cross_fit(
    dataset: DatasetFolder,
    sample_ids: Sequence[str],
    targets: np.ndarray,
    groups: Sequence[str],
    seed: int = 0,
    device: str = "auto",
    recipe: Recipe = RECIPE,
) -> np.ndarray:
    """Return log-probabilities ``(N, K)`` by networks that trained on neither the sample nor a copy of it.

    Interrupted, it goes on from the last whole epoch of the fold it was in.

    Parameters
    ----------
    targets
        ``(N, K)`` shares of the classes to learn, rows summing to 1; NaN for samples that only want probabilities.
    groups
        The near-duplicate group of each sample.
    """
    table = pd.DataFrame(targets.astype(np.float32), columns=[f"p{place}" for place in range(targets.shape[1])])
    table.insert(0, "sample_id", list(sample_ids))
    fold = np.array([int(position(group, seed) * FOLDS) for group in groups])
    teaches = ~np.isnan(targets[:, 0])
    logs = np.full(targets.shape, np.nan)
    for number in range(FOLDS):
        held_out = table.loc[fold == number, "sample_id"]
        learnt = table[(fold != number) & teaches]
        if len(held_out) and len(learnt):
            folder = dataset.cache / "deep" / f"{_digest(recipe_values(recipe), seed, targets.shape[1])}-{number}"
            weights = _fit_fold(dataset, learnt, set(held_out), recipe, seed + number, device, folder)
            logs[fold == number] = _predict(dataset, list(held_out), weights, recipe, targets.shape[1], device)
    return logs


def _fit_fold(
    dataset: DatasetFolder,
    learnt: pd.DataFrame,
    held_out: set[str],
    recipe: Recipe,
    seed: int,
    device: str,
    folder: Path,
) -> Path:
    """Return the file of the weights of one fold's network, trained as far as what changed asks for."""
    from safetensors.torch import save

    from train.device import choose_device
    from train.fit import fit_network

    weights, taught = folder / "network.safetensors", folder / "taught.parquet"
    before = read_parquet(taught) if taught.is_file() and weights.is_file() else None
    if before is not None and _teach_the_same(before, learnt):
        return weights
    # A network that has seen what it is now to judge must start anew.
    goes_on = before is not None and not held_out & set(before["sample_id"])
    chosen = replace(recipe, epochs=1, learning_rate=recipe.learning_rate / 2) if goes_on else recipe
    network = _network(recipe, learnt.shape[1] - 1, weights if goes_on else None, seed)
    checkpoint = folder / f"{_digest(list(learnt['sample_id']), learnt.iloc[:, 1:].round(2).to_numpy().tolist())}.part"
    images = _images(dataset, learnt, recipe)
    none = replace(images, rows=images.rows[:0], labels=images.labels[:0], shares=None)
    with show_epochs(f"deep {folder.name[-1]}", chosen.epochs) as tell:
        fit_network(network, images, none, chosen, seed, choose_device(device), checkpoint, tell)
    # The network first: what it was taught is only known once both are there.
    taught.unlink(missing_ok=True)
    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    write_atomic(weights, save(state))
    write_table(taught, learnt)
    checkpoint.unlink(missing_ok=True)
    return weights


def _teach_the_same(before: pd.DataFrame, now: pd.DataFrame) -> bool:
    if list(before["sample_id"]) != list(now["sample_id"]):
        return False
    return bool(np.abs(before.iloc[:, 1:].to_numpy() - now.iloc[:, 1:].to_numpy()).max() < SAME)


def _network(recipe: Recipe, classes: int, start: Path | None, seed: int) -> nn.Module:
    import torch
    from safetensors.torch import load_file

    from train.networks import build_network

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(recipe, classes, pretrained=start is None)
    if start is not None:
        network.load_state_dict(load_file(start))
    return network


def _images(dataset: DatasetFolder, rows: pd.DataFrame, recipe: Recipe):  # type: ignore[no-untyped-def]
    from train.batches import Images
    from train.pixels import read_rows

    pixels, places = read_rows(dataset, list(rows["sample_id"]), recipe.side)
    shares = rows.iloc[:, 1:].to_numpy()
    return Images(pixels, places, shares.argmax(axis=1) if len(rows) else np.zeros(0, np.int64), shares)


def _predict(
    dataset: DatasetFolder, sample_ids: list[str], weights: Path, recipe: Recipe, classes: int, device: str
) -> np.ndarray:
    """Return log-probabilities ``(N, K)``, the mean of those of an image and its mirror image; cached by content."""
    cache = ContentCache(dataset.cache / "deep", f"seen-{_file_digest(weights)}")
    missing = cache.missing(sample_ids)
    network = _network(recipe, classes, weights, 0) if missing else None
    for part in track(batched(missing, CHUNK), len(missing), "look"):
        logs = _look(dataset, network, part, recipe, device)
        cache.add(pd.DataFrame({"sample_id": list(part), "logs": [row.tobytes() for row in logs]}))
    known = cache.read(sample_ids).set_index("sample_id")["logs"]
    return np.stack([np.frombuffer(known[one], np.float64) for one in sample_ids])


def _look(
    dataset: DatasetFolder, network: nn.Module | None, sample_ids: Sequence[str], recipe: Recipe, device: str
) -> np.ndarray:
    from train.batches import Images
    from train.device import choose_device
    from train.fit import predict_probabilities
    from train.pixels import read_rows

    assert network is not None
    pixels, rows = read_rows(dataset, sample_ids, recipe.side)
    none = np.zeros(len(rows), np.int64)
    mirrored = np.ascontiguousarray(pixels[rows][:, :, ::-1])
    views = (Images(pixels, rows, none), Images(mirrored, np.arange(len(rows)), none))
    probs = [predict_probabilities(network, view, choose_device(device)) for view in views]
    return np.mean([np.log(np.maximum(one, 1e-9)) for one in probs], axis=0)


def _digest(*values: object) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()[:12]


def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
