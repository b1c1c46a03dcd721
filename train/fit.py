"""Pixels and labels to trained weights: one seeded loop for every recipe.

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

from train.augment import augment, to_network
from train.checkpoint import read_checkpoint, restore_optimizer, write_checkpoint
from train.device import mixed_precision
from train.recipes import Recipe

EVALUATION_BATCH = 128


@dataclass(frozen=True)
class Images:
    """Pixels ``(M, side, side, 3)`` uint8 of which ``rows`` ``(N,)`` are used, with their ``labels`` ``(N,)`` 0..K-1."""

    pixels: np.ndarray
    rows: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)


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
        network.to(device, memory_format=torch.channels_last)
        optimizer = _optimizer(network, recipe)
        weights = class_weights(train.labels, _classes(network), recipe.balance).to(device)
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


def class_weights(labels: np.ndarray, classes: int, balance: float) -> Tensor:
    """Return the loss weight of each class ``(K,)``: (1 / its samples) ** ``balance``, with mean 1 over the samples.

    >>> class_weights(np.array([0, 0, 0, 0, 1]), 2, 1.0).tolist()
    [0.625, 2.5]
    """
    counts = np.bincount(labels, minlength=classes)
    weights = np.maximum(counts, 1) ** -balance
    return torch.tensor(weights / np.average(weights, weights=counts), dtype=torch.float32)


def predict_probabilities(network: nn.Module, images: Images, device: torch.device) -> np.ndarray:
    """Return the softmax probabilities ``(N, K)`` float64 of ``images``, in their order."""
    network.eval()
    parts = [np.zeros((0, _classes(network)))]
    with torch.inference_mode(), _seeded(device):
        for batch in _split(np.arange(len(images)), EVALUATION_BATCH):
            with mixed_precision(device):
                logits = network(_load(images, batch, device))
            # float64 on the CPU: the rows must add up to 1 and MPS has no float64.
            parts.append(logits.float().cpu().double().softmax(1).numpy())
    return np.concatenate(parts)


def fit_head(
    network: nn.Module, train: Images, weights: Tensor, recipe: Recipe, seed: int, device: torch.device
) -> float:
    """Train the last layer alone and return its last loss, on features computed once of each image and its mirror.

    It makes the start of a fine-tuning sane: with a random last layer the first steps would wreck the features below.
    """
    features = _features(network, train, device, mirrored=recipe.flip)
    labels = torch.from_numpy(train.labels).to(device).repeat(len(features) // len(train))
    head = network.get_submodule("head")
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(head.parameters(), lr=3e-3, weight_decay=recipe.weight_decay)
    size = min(len(features), 256)
    for step in range(recipe.head_steps):
        optimizer.param_groups[0]["lr"] = 3e-3 * one_cycle(step / recipe.head_steps, recipe.warmup)
        rows = torch.randint(len(features), (size,), generator=generator).to(device)
        logits = head(functional.dropout(features[rows], recipe.dropout))
        loss = functional.cross_entropy(logits, labels[rows], weights, label_smoothing=recipe.label_smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def one_cycle(done: float, warmup: float) -> float:
    """Return the learning rate as a share of its peak when ``done`` (0..1) of the steps are made: up, then down.

    >>> [round(one_cycle(done, 0.5), 2) for done in (0, 0.5, 0.75, 1)]
    [0.04, 1.0, 0.5, 0.0]
    """
    if done < warmup:
        return 0.04 + 0.96 * done / warmup
    return (1 + math.cos(math.pi * (done - warmup) / (1 - warmup))) / 2


def batch_size(recipe: Recipe, samples: int) -> int:
    """Return how many samples a step sees: fewer in small sets, which would otherwise make too few steps.

    >>> batch_size(Recipe("r", "resnet", 64, epochs=1, batch=64, learning_rate=1, weight_decay=0), 200)
    16
    """
    return int(np.clip(2 ** int(math.log2(max(samples / 12, 1))), min(8, recipe.batch), recipe.batch))


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
    batches = _split(order, size)
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
    views = augment(_load(train, batch, weights.device), recipe, generator)
    labels = torch.from_numpy(train.labels[batch]).to(weights.device)
    with mixed_precision(weights.device):
        logits = network(views)
    # The mean over the batch, not over its weights: a batch of one rare class must not count like a full one.
    losses = functional.cross_entropy(
        logits.float(), labels, weights, reduction="none", label_smoothing=recipe.label_smoothing
    )
    return losses.mean()


def _measure(network: nn.Module, val: Images, device: torch.device, epoch: int, loss: float, progress: Progress) -> None:
    """Add the finished epoch to ``progress``; with val samples the best epoch is the one of the lowest val loss."""
    row: dict[str, float] = {"epoch": epoch, "train_loss": round(float(loss), 5)}
    if len(val):
        probs = predict_probabilities(network, val, device)
        val_loss = float(-np.log(np.maximum(probs[np.arange(len(val)), val.labels], 1e-12)).mean())
        row |= {"val_loss": round(val_loss, 5), "val_accuracy": float((probs.argmax(1) == val.labels).mean())}
    progress.history.append(row)
    if not len(val) or val_loss < progress.best_loss or not math.isfinite(progress.best_loss):
        progress.best_epoch, progress.best_loss = epoch, val_loss if len(val) else 0.0


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


def _features(network: nn.Module, images: Images, device: torch.device, mirrored: bool) -> Tensor:
    """Return ``(N, D)`` float32 features of the images, and below them ``(N, D)`` of their mirror images if asked."""
    network.eval()
    parts: list[list[Tensor]] = [[], []]
    with torch.no_grad(), mixed_precision(device):
        for batch in _split(np.arange(len(images)), EVALUATION_BATCH):
            pixels = _load(images, batch, device)
            for views, part in zip((pixels, pixels.flip(3)) if mirrored else (pixels,), parts, strict=False):
                part.append(network.features(views).float())  # type: ignore[operator]
    return torch.cat(parts[0] + parts[1])


def _load(images: Images, batch: np.ndarray, device: torch.device) -> Tensor:
    return to_network(torch.from_numpy(images.pixels[images.rows[batch]]).to(device))


def _split(order: np.ndarray, size: int) -> list[np.ndarray]:
    """Cut ``order`` into nearly equal parts of at most ``size``: a last batch of one would spoil the batch norms."""
    return np.array_split(order, math.ceil(len(order) / size)) if len(order) else []


def _classes(network: nn.Module) -> int:
    return int(network.get_submodule("head").out_features)  # type: ignore[arg-type]
