"""Computes out-of-sample probabilities by k-fold fine-tuning: the evidence of ``audit --deep``.

The first blocks of EfficientNet-Lite0 stay as they are, so what they make of a picture is computed once a content; only
the rest is trained. Which fold a sample is in depends on nothing but its near-duplicate group, so a network of an
earlier audit goes on from where it was: after an edit it learns for one more epoch, and when nothing changed it only
sees the new pictures.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from curate.audit.evidence.evidence import CrossFit
from curate.spec.model import Spec
from curate.storage.cache import ContentCache
from curate.storage.engine import batched
from curate.storage.files import read_cached, read_json, write_atomic, write_json
from curate.storage.folder import DatasetFolder
from curate.storage.progress import track
from curate.storage.tables import read_parquet, write_table
from curate.versions.claims import position

if TYPE_CHECKING:
    import torch

    from train.tail import Tail

FOLDS = 2
CHUNK = 2_000  # samples judged at once
SAME = 0.1  # targets that moved less teach the same


@dataclass(frozen=True)
class Recipe:
    """The hyper-parameters of a fold's training; chosen on the `random_label2` of CIFAR-10N's cats and dogs."""

    side: int = 128  # pixels
    frozen_blocks: int = 8
    epochs: int = 3
    batch: int = 64
    learning_rate: float = 1e-3  # peak of a one-cycle schedule; five times as much for the last layer
    weight_decay: float = 0.02
    dropout: float = 0.2
    drop_connect: float = 0.2


def cross_fit(
    dataset: DatasetFolder,
    sample_ids: Sequence[str],
    targets: np.ndarray,
    groups: Sequence[str],
    classes: Sequence[str],
    seed: int = 0,
    device: str = "auto",
    recipe: Recipe | None = None,
) -> np.ndarray:
    """Return log-probabilities ``(N, K)`` by networks that trained on neither the sample nor a copy of it.

    Interrupted, it goes on from the last whole epoch of the fold it was in. Takes some 40 KB of memory a sample.

    Parameters
    ----------
    targets
        ``(N, K)`` shares of the classes to learn, rows summing to 1; NaN for samples that only want probabilities.
    groups
        The near-duplicate group of each sample.
    classes
        The names of the K classes: a network goes on only with the same ones.
    """
    from train.network.device import choose_device
    from train.tail import read_activations

    recipe, chosen = recipe or Recipe(), choose_device(device)
    activations = read_activations(dataset, sample_ids, recipe.side, recipe.frozen_blocks, chosen)
    fold = np.array([int(position(group, seed) * FOLDS) for group in groups])
    ids, teaches = np.array(sample_ids, dtype=object), ~np.isnan(targets[:, 0])
    logs = np.full(targets.shape, np.nan)
    for number in range(FOLDS):
        held_out, learnt = np.flatnonzero(fold == number), np.flatnonzero((fold != number) & teaches)
        if len(held_out) and len(learnt):
            folder = dataset.cache / "deep" / f"{_digest(recipe, seed, list(classes))}-{number}"
            lesson = Lesson(list(ids[learnt]), targets[learnt].astype(np.float32), activations[learnt])
            tail = _fit_fold(lesson, set(ids) - set(ids[held_out]), recipe, seed + number, chosen, folder)
            logs[held_out] = _judge(folder, tail, list(ids[held_out]), activations[held_out], chosen)
    return logs


@dataclass(frozen=True)
class Lesson:
    """What a fold's network learns from: sample ids, targets ``(M, K)`` and activations ``(M, 2, C, H, W)``."""

    ids: list[str]
    targets: np.ndarray
    activations: torch.Tensor

    def table(self) -> pd.DataFrame:
        columns = [f"p{place}" for place in range(self.targets.shape[1])]
        table = pd.DataFrame(self.targets, columns=columns)
        table.insert(0, "sample_id", self.ids)
        return table


def _fit_fold(lesson: Lesson, allowed: set[str], recipe: Recipe, seed: int, device: torch.device, folder: Path) -> Tail:
    """Return one fold's network, trained as far as what changed asks for; it may have seen the ``allowed`` alone."""
    from safetensors.torch import save

    from train.network.checkpoint import read_tensors
    from train.tail import Tail

    weights, taught, ever = folder / "network.safetensors", folder / "taught.parquet", folder / "ever.json"
    learnt, known = read_cached(weights, read_tensors), read_cached(taught, read_parquet)
    before = set(read_cached(ever, read_json) or ())
    tail = Tail(recipe.frozen_blocks, lesson.targets.shape[1], recipe.dropout, recipe.drop_connect)
    goes_on = False
    # A network that has seen what it is now to judge, or what is gone and may be a copy of it, must start anew.
    if learnt is not None and known is not None and before and before <= allowed:
        goes_on = True
        tail.load_state_dict(learnt)
        if _teach_the_same(known, lesson.table()):
            return tail.to(device)
    chosen = replace(recipe, epochs=1, learning_rate=recipe.learning_rate / 2) if goes_on else recipe
    checkpoint = folder / f"{_digest(lesson.ids, lesson.targets.round(2).tolist(), goes_on)}.part"
    train_tail(tail, lesson, chosen, seed, device, checkpoint)
    # The network first: what it was taught is only known once all three are there.
    taught.unlink(missing_ok=True)
    write_json(ever, sorted({*lesson.ids, *before} if goes_on else lesson.ids))
    write_atomic(weights, save({name: value.detach().cpu().contiguous() for name, value in tail.state_dict().items()}))
    write_table(taught, lesson.table())
    return tail


def _teach_the_same(before: pd.DataFrame, now: pd.DataFrame) -> bool:
    if list(before["sample_id"]) != list(now["sample_id"]):
        return False
    return bool(np.abs(before.iloc[:, 1:].to_numpy() - now.iloc[:, 1:].to_numpy()).max() < SAME)


def train_tail(tail: Tail, lesson: Lesson, recipe: Recipe, seed: int, device: torch.device, checkpoint: Path) -> None:
    """Train ``tail`` in place; with a ``checkpoint`` of an interrupted training, from its last whole epoch on."""
    import torch

    from train.network.checkpoint import read_checkpoint, restore_optimizer, write_checkpoint
    from train.network.schedule import one_cycle
    from train.tail import train_epoch

    tail.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    body = [value for name, value in tail.named_parameters() if not name.startswith("head")]
    groups: list[dict[str, Any]] = [{"params": body}, {"params": tail.head.parameters()}]
    optimizer = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)
    saved, done = read_checkpoint(checkpoint), 0
    if saved:
        tail.load_state_dict(saved["network"])
        restore_optimizer(optimizer, saved["optimizer"])
        done = saved["progress"]["epochs"]
    steps = max(1, len(lesson.ids) // recipe.batch)
    targets = torch.from_numpy(lesson.targets)
    with torch.random.fork_rng(devices=[]):
        epochs = track(range(done, recipe.epochs), recipe.epochs - done, "deep", unit="epochs")
        for epoch in epochs:
            at = [(epoch + step / steps) / recipe.epochs for step in range(steps)]
            rates = [recipe.learning_rate * one_cycle(share, 0.2) for share in at]
            train_epoch(tail, optimizer, lesson.activations, targets, recipe.batch, seed * 1_000 + epoch, rates)
            write_checkpoint(checkpoint, tail.state_dict(), {}, optimizer, {"epochs": epoch + 1})
    checkpoint.unlink(missing_ok=True)


def _judge(
    folder: Path, tail: Tail, sample_ids: list[str], activations: torch.Tensor, device: torch.device
) -> np.ndarray:
    """Return log-probabilities ``(N, K)`` of the held-out samples; cached by content and network."""
    from train.tail import predict_logs

    digest = hashlib.sha256()
    for value in tail.state_dict().values():
        digest.update(value.detach().cpu().float().numpy().tobytes())
    cache = ContentCache(folder, f"judged-{digest.hexdigest()[:16]}")
    for old in folder.glob("judged-*"):
        if old != cache.folder:
            shutil.rmtree(old, ignore_errors=True)
    place = {one: row for row, one in enumerate(sample_ids)}

    def judged(missing: list[str]) -> Iterator[pd.DataFrame]:
        for part in batched(missing, CHUNK):
            logs = predict_logs(tail, activations[[place[one] for one in part]], device)
            yield pd.DataFrame({"sample_id": list(part), "logs": [row.tobytes() for row in logs]})

    known = cache.complete(sample_ids, judged).set_index("sample_id")["logs"]
    return np.stack([np.frombuffer(known[one], np.float64) for one in sample_ids])


def _digest(*values: object) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()[:12]


def deep_evidence(dataset: DatasetFolder, spec: Spec) -> CrossFit | None:
    """Return what trains networks for the audit where the spec asks for it; None where it does not."""
    if spec.audit.label_errors != "deep":
        return None
    from functools import partial

    return partial(cross_fit, dataset)
