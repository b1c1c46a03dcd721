"""Chooses the device of a training, and whether bfloat16 helps there."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from curate.storage.files import Problem

if TYPE_CHECKING:
    import torch


def choose_device(name: str = "auto") -> torch.device:
    """Return the device called ``name``; ``auto`` is the first of CUDA, MPS and CPU that is there.

    Raises
    ------
    Problem
        When the device is not there.
    """
    import torch

    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in present.items() if there))
    kind = name.split(":")[0]
    if not present.get(kind, False):
        there = ", ".join(kind for kind, there in present.items() if there)
        raise Problem(f"Expected the device to be auto or one of {there}, but found {name!r}. Name one of them.")
    return torch.device(name)


def bfloat16_helps(device: torch.device) -> bool:
    """Return whether ``device`` multiplies bfloat16 in hardware: elsewhere it is emulated, slower than float32."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    # torch has no public question for this; a release without these two simply trains in float32.
    questions = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return device.type == "cpu" and any(getattr(torch.cpu, name, lambda: False)() for name in questions)


def mixed_precision(device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Return the context to compute in: bfloat16 where it helps, else nothing special."""
    import torch

    if not bfloat16_helps(device):
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
