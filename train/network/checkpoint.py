"""Saves and restores an interrupted training: tensors and history in one safetensors file.

No pickle: what lies in a cache folder may come from anywhere.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from curate.storage.files import Damaged, read_cached, write_atomic


def write_checkpoint(
    path: Path, network: dict[str, Tensor], best: dict[str, Tensor], optimizer: torch.optim.Optimizer, progress: dict
) -> None:
    """Write where a training stands; ``progress`` is anything that JSON can hold."""
    steps = optimizer.state_dict()["state"]
    slots = {f"{row}.{name}": torch.as_tensor(value) for row, slot in steps.items() for name, value in slot.items()}
    tensors = {
        f"{part}/{name}": value.detach().cpu().contiguous()
        for part, named in (("network", network), ("best", best), ("optimizer", slots))
        for name, value in named.items()
        if value is not None
    }
    write_atomic(path, save(tensors, metadata={"progress": json.dumps(progress)}))


def read_checkpoint(path: Path) -> dict[str, Any] | None:
    """Return what was written as ``network``, ``best``, ``optimizer`` and ``progress``; None without a whole file."""
    return read_cached(path, _read_parts)


def _read_parts(path: Path) -> dict[str, Any]:
    parts: dict[str, Any] = {"network": {}, "best": {}, "optimizer": {}}
    try:
        with safe_open(path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118 - the reader is no dict
                part, _, name = key.partition("/")
                parts[part][name] = file.get_tensor(key)
            parts["progress"] = json.loads(file.metadata()["progress"])
    except SafetensorError as error:
        raise _damaged(path, error) from None
    return parts


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors in a safetensors file by name.

    Raises
    ------
    Damaged
        When it is no such file.
    """
    try:
        return load_file(path)
    except SafetensorError as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: SafetensorError) -> Damaged:
    return Damaged(f"{path}: expected tensors in the safetensors format, but {error}. Restore the file.")


def restore_optimizer(optimizer: torch.optim.Optimizer, slots: dict[str, Tensor]) -> None:
    """Put the saved slots (momentum and the like) back into an optimizer made with the same parameters."""
    state = optimizer.state_dict()
    state["state"] = {}
    for key, value in slots.items():
        row, _, name = key.partition(".")
        state["state"].setdefault(int(row), {})[name] = value
    optimizer.load_state_dict(state)
