"""Cuts the pixels and labels of one split into batches for the network."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from train.network.augment import to_network
from train.network.recipes import Recipe


@dataclass(frozen=True)
class Images:
    """Pixels ``(M, side, side, 3)`` uint8, which ``rows`` ``(N,)`` of them are used, and their ``labels`` ``(N,)``.

    ``soft_labels`` ``(N, K)``, rows summing to 1, are what training aims at in place of the labels, unless None.
    """

    pixels: np.ndarray
    rows: np.ndarray
    labels: np.ndarray
    soft_labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.rows)


def batch_size(recipe: Recipe, samples: int) -> int:
    """Return how many samples a step sees: fewer in small sets, which would otherwise make too few steps.

    >>> batch_size(Recipe("r", "resnet", 64, epochs=1, batch=64, learning_rate=1, weight_decay=0), 200)
    16
    """
    return int(np.clip(2 ** int(math.log2(max(samples / 12, 1))), min(8, recipe.batch), recipe.batch))


def split_batches(order: np.ndarray, size: int) -> list[np.ndarray]:
    """Cut ``order`` into nearly equal parts of at most ``size``: a last batch of one would spoil the batch norms."""
    return np.array_split(order, math.ceil(len(order) / size)) if len(order) else []


def load_targets(images: Images, batch: np.ndarray, device: torch.device) -> Tensor:
    """Return what the loss compares with: class numbers ``(B,)``, or the shares of the classes ``(B, K)`` float32."""
    if images.soft_labels is None:
        return torch.from_numpy(images.labels[batch]).to(device)
    return torch.from_numpy(images.soft_labels[batch].astype(np.float32)).to(device)


def load_batch(images: Images, batch: np.ndarray, device: torch.device) -> Tensor:
    return to_network(torch.from_numpy(images.pixels[images.rows[batch]]).to(device))
