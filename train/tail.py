"""The last blocks of EfficientNet-Lite0 as a network of their own, and the features that earlier blocks compute."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from curate.images.thumbnails import read_pixels
from curate.storage.cache import ContentCache
from curate.storage.engine import batched
from curate.storage.folder import DatasetFolder
from curate.storage.progress import track
from curate.vectors.networks import fold_batch_norms
from train.network.device import mixed_precision
from train.network.networks import load_lite0_body

BATCH = 64
FLUSH = 8  # batches a shard of the cache


class Tail(nn.Module):
    """The blocks from ``first`` on and a new last layer: activations ``(B, C, H, W)`` in, logits ``(B, K)`` out.

    Unlike in a training for good its batch norms follow the data: many small sets look like ImageNet's photos little.
    """

    def __init__(self, first: int, classes: int, dropout: float, drop_connect: float) -> None:
        super().__init__()
        body = load_lite0_body()
        self.first, self.depth, self.drop_connect = first, len(body._blocks), drop_connect
        self.blocks = nn.ModuleList(body._blocks[first:])
        self.conv, self.norm, self.swish = body._conv_head, body._bn1, body._swish
        self.norms = [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in self.norms:
            norm.momentum = 0.1
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(1280, classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        for place, block in enumerate(self.blocks, self.first):
            x = block(x, drop_connect_rate=self.drop_connect * place / self.depth if self.training else 0.0)
        x = self.swish(self.norm(self.conv(x))).float().mean((2, 3))
        return self.head(self.dropout(x))


def read_activations(
    dataset: DatasetFolder, sample_ids: Sequence[str], side: int, blocks: int, device: torch.device
) -> Tensor:
    """Return ``(N, 2, C, H, W)`` bfloat16: what the first ``blocks`` blocks make of each picture and its mirror image.

    Computed once a content; half the bits are more than enough for what follows.
    """
    cache = ContentCache(dataset.cache, f"activations-lite0-{side}-{blocks}-v1")
    rows = cache.complete(sample_ids, lambda missing: _run_front(dataset, missing, side, blocks, device))
    if not len(rows):
        return torch.zeros((0, 2, 1, 1, 1), dtype=torch.bfloat16)
    place = {sample_id: row for row, sample_id in enumerate(rows["sample_id"])}
    shape = tuple(rows["shape"].iloc[0])
    halves = np.stack([np.frombuffer(rows["halves"].iloc[place[one]], np.int16) for one in sample_ids])
    return torch.from_numpy(halves).view(torch.bfloat16).reshape(len(halves), *shape)


def _run_front(
    dataset: DatasetFolder, missing: list[str], side: int, blocks: int, device: torch.device
) -> Iterator[pd.DataFrame]:
    body = load_lite0_body().eval()
    fold_batch_norms(body)
    body = body.to(device=device, memory_format=torch.channels_last)
    rows: list[pd.DataFrame] = []
    for part in track(batched(missing, BATCH), len(missing), "pictures"):
        pixels = torch.from_numpy(read_pixels(dataset, part, side, whole=True)).to(device).permute(0, 3, 1, 2)
        views = [_front(body, view, blocks, device) for view in (pixels, pixels.flip(3))]
        both = torch.stack(views, dim=1).to(torch.bfloat16).cpu().contiguous()
        halves = both.view(torch.int16).flatten(1).numpy()
        table = {"sample_id": list(part), "halves": [row.tobytes() for row in halves]}
        rows.append(pd.DataFrame({**table, "shape": [list(both.shape[1:])] * len(part)}))
        if len(rows) == FLUSH:
            yield pd.concat(rows)
            rows = []
    if rows:
        yield pd.concat(rows)


def _front(body: Any, pixels: Tensor, blocks: int, device: torch.device) -> Tensor:
    x = ((pixels.float() - 127.0) / 128.0).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode(), mixed_precision(device):
        x = body._swish(body._bn0(body._conv_stem(x)))
        for block in body._blocks[:blocks]:
            x = block(x)
    return x


def predict_logs(tail: Tail, activations: Tensor, device: torch.device) -> np.ndarray:
    """Return log-probabilities ``(N, K)`` float64 of activations ``(N, 2, C, H, W)``: the mean over the two views."""
    tail.eval()
    logs = []
    for start in range(0, len(activations), 2 * BATCH):
        batch = activations[start : start + 2 * BATCH].to(device)
        with torch.inference_mode(), mixed_precision(device):
            views = [tail(_laid_out(batch[:, view])) for view in (0, 1)]
        logits = (views[0].float() + views[1].float()) / 2
        logs.append(logits.cpu().double().log_softmax(1).numpy())
    return np.concatenate(logs)


def train_epoch(
    tail: Tail,
    optimizer: torch.optim.Optimizer,
    activations: Tensor,
    targets: Tensor,
    batch: int,
    seed: int,
    rates: list[float],
) -> float:
    """Run one epoch over a random view of each sample and return its mean loss; ``rates`` has one a step."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # dropout
    device = next(tail.parameters()).device
    tail.train()
    order, views = (
        torch.randperm(len(activations), generator=generator),
        torch.randint(0, 2, (len(activations),), generator=generator),
    )
    total = 0.0
    for rows, rate in zip(torch.tensor_split(order, len(rates)), rates, strict=True):
        for group, times in zip(optimizer.param_groups, (1.0, 5.0), strict=True):
            group["lr"] = rate * times
        with mixed_precision(device):
            logits = tail(_laid_out(activations[rows, views[rows]].to(device)))
        loss = functional.cross_entropy(logits.float(), targets[rows].to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(rows)
    return total / len(activations)


def _laid_out(x: Tensor) -> Tensor:
    # Activations are kept in half the bits; where those do not help, the network's weights have all of them.
    x = x if torch.is_autocast_enabled(x.device.type) else x.float()
    return x.contiguous(memory_format=torch.channels_last)
