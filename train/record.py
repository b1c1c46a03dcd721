"""The run record and the predictions of a finished training, as ``models/mN/`` holds them."""

from __future__ import annotations

import platform
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from curate.storage.tables import SPLITS
from train.metrics import compute_metrics

if TYPE_CHECKING:
    import torch

    from train.network.batches import Images
    from train.network.fit import Progress


class Clock:
    """Seconds of each part of a training, in order."""

    def __init__(self) -> None:
        self.last = time.perf_counter()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self.last = round(now - self.last, 2), now

    def total(self) -> float:
        return round(sum(self.laps.values()), 2)


def describe_run(
    progress: Progress, images: dict[str, Images], probs: dict[str, np.ndarray], given: dict[str, Any],
    device: torch.device, clock: Clock,
) -> dict[str, Any]:  # fmt: skip
    import torch

    from train.network.device import bfloat16_helps

    def metrics(split: str) -> dict[str, Any]:
        return compute_metrics(images[split].labels, probs[split], given["classes"], given["seed"])

    return {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "device": _device_name(device),
        "precision": "bfloat16" if bfloat16_helps(device) else "float32",
        "threads": torch.get_num_threads(),
        "versions": {name: _release(name) for name in ("specurate", "torch", "numpy", "python")},
        "epochs": progress.epochs,
        "best_epoch": progress.best_epoch,
        "history": progress.history,
        "counts": {split: len(images[split]) for split in SPLITS},
        "metrics": {split: metrics(split) for split in ("val", "test")},
        "seconds": clock.total(),
        "seconds_of": clock.laps,
    }


def tabulate_predictions(manifest: pd.DataFrame, probs: dict[str, np.ndarray], classes: list[str]) -> pd.DataFrame:
    """Return predictions of all samples of the version, sorted by sample_id; rows of split train are in-sample."""
    parts = []
    for split in SPLITS:
        rows = manifest.loc[manifest["split"] == split, ["sample_id", "split", "label"]].reset_index(drop=True)
        rows["predicted"] = np.array(classes, dtype=object)[probs[split].argmax(1)] if len(rows) else ""
        parts.append(rows.join(pd.DataFrame(probs[split], columns=[f"p_{name}" for name in classes])))
    table = pd.concat([part for part in parts if len(part)], ignore_index=True)
    return table.sort_values("sample_id", ignore_index=True)


def _device_name(device: torch.device) -> str:
    import torch

    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"{device.type} ({_processor()})"


def _processor() -> str:
    """Return the processor's name; Linux alone has it in a file."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _release(name: str) -> str:
    from importlib import metadata

    if name == "python":
        return platform.python_version()
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "source"
