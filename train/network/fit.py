"""Trains weights on pixels and labels: one seeded loop for every recipe.

Each epoch draws its order, views and dropout from (seed, epoch) alone, so a training that was interrupted and goes on
ends with the same weights as one that was not.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from curate.storage.files import Problem
from train.network.augment import augment
from train.network.batches import Images, batch_size, load_batch, load_targets, split_batches
from train.network.checkpoint import read_checkpoint, restore_optimizer, write_checkpoint
from train.network.device import mixed_precision
from train.network.head import EVALUATION_BATCH, fit_head
from train.network.recipes import Recipe
from train.network.schedule import one_cycle


@dataclass
class Progress:
    """Where a training stands: the measures of each finished epoch, and which of them was best."""

    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best_loss: float = math.inf

    @property
    def epochs(self) -> int:
        """How many epochs are finished; the row of epoch 0 is the last layer trained alone."""
        return int(self.history[-1]["epoch"]) if self.history else 0


Tell = Callable[[Progress], None]


def fit_network(
    network: nn.Module,
    train: Images,
    val: Images,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    checkpoint: Path | None = None,
    tell: Tell = lambda progress: None,
) -> Progress:
    """Train ``network`` in place and leave it with the weights of the epoch whose val loss was lowest.

    Without val samples all epochs are run and the last weights stay.

    Parameters
    ----------
    checkpoint
        Where to keep the state of each epoch; when it exists, the training goes on from there.
    tell
        Called after each epoch.
    """
    with _seeded(device):
        network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = _optimizer(network, recipe)
        weights = class_weights(train.labels, _classes(network), recipe.balance, train.soft_labels).to(device)
        progress, best = _resume(network, optimizer, checkpoint)
        while not progress.history or (progress.epochs < recipe.epochs and not _is_stale(progress, recipe)):
            if recipe.head_steps and not progress.history:
                epoch, loss = 0, fit_head(network, train, weights, recipe, seed, device)
            else:
                epoch = progress.epochs + 1
                loss = _train_epoch(network, optimizer, train, weights, recipe, seed, epoch)
            _measure(network, val, device, epoch, loss, progress)
            if progress.best_epoch == epoch:
                best = {name: value.detach().clone() for name, value in network.state_dict().items()}
            if checkpoint:
                write_checkpoint(checkpoint, network.state_dict(), best, optimizer, asdict(progress))
            tell(progress)
        network.load_state_dict(best)
    return progress


def class_weights(labels: np.ndarray, classes: int, balance: float, soft_labels: np.ndarray | None = None) -> Tensor:
    """Return the loss weight of each class ``(K,)``: (1 / its samples) ** ``balance``, with mean 1 over the samples.

    With ``soft_labels`` ``(N, K)`` a class has as many samples as its shares sum to: a class that hardly any label
    names but many votes do is not rare, and weighed as if it were, its few votes would outvote all others.

    >>> class_weights(np.array([0, 0, 0, 0, 1]), 2, 1.0).tolist()
    [0.625, 2.5]
    """
    counts = np.bincount(labels, minlength=classes) if soft_labels is None else soft_labels.sum(axis=0)
    weights = np.maximum(counts, 1) ** -balance
    return torch.tensor(weights / np.average(weights, weights=counts), dtype=torch.float32)


def predict_probabilities(network: nn.Module, images: Images, device: torch.device) -> np.ndarray:
    """Return the softmax probabilities ``(N, K)`` float64 of ``images``, in their order."""
    network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.eval()
    parts = [np.zeros((0, _classes(network)))]
    with torch.inference_mode(), _seeded(device):
        for batch in split_batches(np.arange(len(images)), EVALUATION_BATCH):
            with mixed_precision(device):
                logits = network(load_batch(images, batch, device))
            # float64 on the CPU: the rows must add up to 1 and MPS has no float64.
            parts.append(logits.float().cpu().double().softmax(1).numpy())
    return np.concatenate(parts)


@contextlib.contextmanager
def _seeded(device: torch.device) -> Iterator[None]:
    """Give the caller's random state back afterwards, and use only convolutions that repeat themselves."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.backends.cudnn.flags(deterministic=True, benchmark=False):
        yield


def _resume(
    network: nn.Module, optimizer: torch.optim.Optimizer, checkpoint: Path | None
) -> tuple[Progress, dict[str, Tensor]]:
    saved = read_checkpoint(checkpoint) if checkpoint else None
    if saved is None:
        return Progress(), {}
    network.load_state_dict(saved["network"])
    restore_optimizer(optimizer, saved["optimizer"])
    return Progress(**saved["progress"]), saved["best"]


def _train_epoch(
    network: nn.Module, optimizer: torch.optim.Optimizer, train: Images, weights: Tensor, recipe: Recipe, seed: int,
    epoch: int,
) -> float:  # fmt: skip
    """Run one epoch and return its mean loss."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    torch.manual_seed(seed * 1_000_003 + epoch)  # dropout
    network.train()
    order = torch.randperm(len(train), generator=generator).numpy()
    size = batch_size(recipe, len(train))
    smaller = size / recipe.batch  # smaller batches want smaller steps
    batches = split_batches(order, size)
    total = torch.zeros((), device=weights.device)
    for step, batch in enumerate(batches):
        done = (epoch - 1 + step / len(batches)) / recipe.epochs
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * smaller * one_cycle(done, recipe.warmup)
        loss = _loss(network, train, batch, weights, recipe, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(batch)
    return float(total) / len(train)


def _loss(
    network: nn.Module, train: Images, batch: np.ndarray, weights: Tensor, recipe: Recipe, generator: torch.Generator
) -> Tensor:
    views = augment(load_batch(train, batch, weights.device), recipe, generator)
    targets = load_targets(train, batch, weights.device)
    with mixed_precision(weights.device):
        logits = network(views)
    # The mean over the batch, not over its weights: a batch of one rare class must not count like a full one.
    losses = functional.cross_entropy(
        logits.float(), targets, weights, reduction="none", label_smoothing=recipe.label_smoothing
    )
    return losses.mean()


def _measure(
    network: nn.Module, val: Images, device: torch.device, epoch: int, loss: float, progress: Progress
) -> None:
    """Add the finished epoch to ``progress``; with val samples the best epoch is the one of the lowest val loss."""
    row: dict[str, float] = {"epoch": epoch, "train_loss": round(float(loss), 5)}
    if len(val):
        probs = predict_probabilities(network, val, device)
        val_loss = float(-np.log(np.maximum(probs[np.arange(len(val)), val.labels], 1e-12)).mean())
        row |= {"val_loss": round(val_loss, 5), "val_accuracy": float((probs.argmax(1) == val.labels).mean())}
    if not all(map(math.isfinite, row.values())):
        raise Problem(f"The training diverged: the loss of epoch {epoch} is not a number. Use another recipe or seed.")
    progress.history.append(row)
    if not len(val) or row["val_loss"] < progress.best_loss:
        progress.best_epoch, progress.best_loss = epoch, row.get("val_loss", 0.0)


def _is_stale(progress: Progress, recipe: Recipe) -> bool:
    return bool(recipe.patience) and progress.epochs - progress.best_epoch >= recipe.patience


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [  # norms and biases are not pulled to zero
        {"params": [one for one in trained if one.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [one for one in trained if one.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate)
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9, nesterov=True)


def _classes(network: nn.Module) -> int:
    return int(network.get_submodule("head").out_features)  # type: ignore[arg-type]
