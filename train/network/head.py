"""Trains the last layer of a network before the rest: the start of a fine-tuning."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from train.network.batches import Images, load_batch, load_targets, split_batches
from train.network.device import mixed_precision
from train.network.recipes import Recipe
from train.network.schedule import one_cycle

EVALUATION_BATCH = 128
PEAK = 3e-3  # learning rate


def fit_head(
    network: nn.Module, train: Images, weights: Tensor, recipe: Recipe, seed: int, device: torch.device
) -> float:
    """Train the last layer alone and return its last loss, on features computed once of each image and its mirror.

    It makes the start of a fine-tuning sane: with a random last layer the first steps would wreck the features below.
    """
    torch.manual_seed(seed)  # dropout
    features = compute_features(network, train, device, mirrored=recipe.flip)
    targets = load_targets(train, np.arange(len(train)), device)
    targets = torch.cat([targets] * (len(features) // len(train)))
    head = network.get_submodule("head")
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(head.parameters(), lr=PEAK, weight_decay=recipe.weight_decay)
    size = min(len(features), 256)
    for step in range(recipe.head_steps):
        optimizer.param_groups[0]["lr"] = PEAK * one_cycle(step / recipe.head_steps, recipe.warmup)
        rows = torch.randint(len(features), (size,), generator=generator).to(device)
        logits = head(functional.dropout(features[rows], recipe.dropout))
        loss = functional.cross_entropy(logits, targets[rows], weights, label_smoothing=recipe.label_smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def compute_features(network: nn.Module, images: Images, device: torch.device, mirrored: bool) -> Tensor:
    """Return ``(N, D)`` float32 features of the images, and below them ``(N, D)`` of their mirror images if asked."""
    network.eval()
    parts: list[list[Tensor]] = [[], []]
    with torch.no_grad(), mixed_precision(device):
        for batch in split_batches(np.arange(len(images)), EVALUATION_BATCH):
            pixels = load_batch(images, batch, device)
            for views, part in zip((pixels, pixels.flip(3)) if mirrored else (pixels,), parts, strict=False):
                part.append(network.features(views).float())  # type: ignore[operator]
    return torch.cat(parts[0] + parts[1])
