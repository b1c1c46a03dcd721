"""Predicts class probabilities: of samples (from the pixel cache), or of any image files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from curate.images.decoder import Unreadable, open_image, square_pixels
from curate.images.sources import walk_files, why_ignored
from curate.spec.model import Images, Spec
from curate.storage.cache import ContentCache
from curate.storage.engine import batched, map_batches
from curate.storage.folder import DatasetFolder
from curate.storage.progress import track
from train.models import load_network, read_predictions, read_run

CHUNK = 256  # files decoded and predicted at once


def predict_samples(
    dataset: DatasetFolder,
    model: str,
    sample_ids: Sequence[str],
    classes: Sequence[str] | None = None,
    device: str = "auto",
) -> np.ndarray:
    """Return the probabilities ``(N, K)`` of ``model`` for samples, in the order of ``sample_ids``.

    Columns are in the order of ``classes`` (default: that of the model's run record). What the model predicted before
    is read, not computed again. Samples that the model was trained on are not refused here: see
    ``versions.training_samples``.
    """
    run = read_run(dataset, model)
    columns = [f"p_{name}" for name in run["classes"]]
    known = read_predictions(dataset, model)[["sample_id", *columns]]
    # Keyed by the weights: an id can be used again after its folder was deleted.
    cache = ContentCache(dataset.cache, f"predictions-{run['weights_digest'][:16]}")
    missing = set(sample_ids) - set(known["sample_id"])
    if missing:
        found = cache.complete(
            sorted(missing), lambda absent: [_predict_rows(dataset, model, run, absent, columns, device)]
        )
        known = pd.concat([known, found])
    asked = [f"p_{name}" for name in classes or run["classes"]]
    return known.set_index("sample_id").loc[list(sample_ids), asked].to_numpy(np.float64)


def predict_images(
    dataset: DatasetFolder, spec: Spec, model: str, paths: Iterable[Path | str], device: str = "auto"
) -> pd.DataFrame:
    """Return what ``model`` sees in image files: one row a file, in the order given; a folder stands for its images.

    Returns
    -------
    Columns ``path, predicted, probability, reason`` and one ``p_<class>`` a class. A file that cannot be read has its
    reason, an empty prediction and nan probabilities.
    """
    from train.network.device import choose_device

    run = read_run(dataset, model)
    network, chosen = load_network(dataset, model), choose_device(device)
    files = list(_files(paths))
    side, classes = int(run["recipe"]["side"]), run["classes"]
    parts = [np.zeros((0, len(classes)))]
    reasons: list[str] = []
    chunks = map_batches(lambda chunk: _decode(chunk, spec.images, side), batched(files, CHUNK))
    for pixels, faults in track(chunks, None, "predict", unit="batches"):
        parts.append(_probabilities(network, pixels, chosen))
        reasons += faults
    return _as_table(files, np.concatenate(parts), reasons, classes)


def _predict_rows(
    dataset: DatasetFolder, model: str, run: dict, sample_ids: list[str], columns: list[str], device: str
) -> pd.DataFrame:
    from train.network.batches import Images as Used
    from train.network.device import choose_device
    from train.network.fit import predict_probabilities
    from train.network.pixels import read_rows

    pixels, rows = read_rows(dataset, sample_ids, int(run["recipe"]["side"]))
    network, chosen = load_network(dataset, model), choose_device(device)
    probs = predict_probabilities(network, Used(pixels, rows, np.zeros(len(rows), np.int64)), chosen)
    return pd.DataFrame({"sample_id": sample_ids}).join(pd.DataFrame(probs, columns=columns))


def _probabilities(network, pixels: np.ndarray, device) -> np.ndarray:  # type: ignore[no-untyped-def]
    from train.network.batches import Images as Used
    from train.network.fit import predict_probabilities

    rows = np.arange(len(pixels))
    return predict_probabilities(network, Used(pixels, rows, np.zeros_like(rows)), device)


def _files(paths: Iterable[Path | str]) -> Iterable[Path]:
    for path in map(Path, paths):
        if path.is_dir():
            yield from (one for one in walk_files(path) if not why_ignored(one, path))
        else:
            yield path


def _decode(files: Sequence[Path], policy: Images, side: int) -> tuple[np.ndarray, list[str]]:
    """Return the pixels ``(B, side, side, 3)`` of ``files`` and why one cannot be read; such a one is black."""
    pixels, reasons = np.zeros((len(files), side, side, 3), np.uint8), []
    for row, file in enumerate(files):
        try:
            pixels[row] = square_pixels(open_image(file.read_bytes(), policy, min_side=2 * side), side)
            reasons.append("")
        except Unreadable as error:
            reasons.append(str(error))
        except OSError as error:
            reasons.append(error.strerror or str(error))
    return pixels, reasons


def _as_table(files: list[Path], probs: np.ndarray, reasons: list[str], classes: list[str]) -> pd.DataFrame:
    readable = np.array([reason == "" for reason in reasons], bool)
    probs[~readable] = np.nan
    best = np.where(np.isnan(probs), -1, probs).argmax(1) if len(files) else np.zeros(0, np.int64)
    table = pd.DataFrame(
        {
            "path": [str(file) for file in files],
            "predicted": [classes[k] if ok else "" for k, ok in zip(best, readable, strict=True)],
            "probability": probs[np.arange(len(files)), best],
            "reason": reasons,
        }
    )
    return table.join(pd.DataFrame(probs, columns=[f"p_{name}" for name in classes]))
