"""Evaluates a model on those samples of a version's split that it has not seen in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from curate.spec.model import Spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder
from curate.storage.tables import SPLITS
from curate.versions.read import read_manifest, read_version
from curate.versions.training_samples import is_copy_of, read_training_samples
from train.metrics import compute_metrics
from train.models import read_run
from train.predict import predict_samples


def evaluate_model(
    dataset: DatasetFolder,
    spec: Spec,
    model: str,
    version: str | None = None,
    split: str = "test",
    device: str = "auto",
) -> dict[str, Any]:
    """Return the metrics of ``model`` on a split of ``version`` (default: the one it was trained on), with its labels.

    Samples that the model was trained on, or that chose its best epoch, and near copies of them that have come into
    the test split since, are left out and counted in ``left_out``; unless the split asked for is one of these two of
    its own version.

    Raises
    ------
    Problem
        When model, version or split are not there, no unseen sample is left, or the model does not know its class.
    """
    if split not in SPLITS:
        raise Problem(f"Expected the split to be one of {', '.join(SPLITS)}, but found {split!r}. Name one of them.")
    run = read_run(dataset, model)
    chosen = version or run["version"]
    rows, left_out = _choose_samples(dataset, run, chosen, split)
    classes = order_classes(spec, run["classes"])
    labels = encode_labels(rows, classes, chosen, model)
    probs = predict_samples(dataset, model, list(rows["sample_id"]), classes, device)
    return {
        "model": model,
        "version": chosen,
        "version_digest": read_version(dataset, chosen)["digest"],
        "split": split,
        "left_out": left_out,
        "classes": classes,
        **compute_metrics(labels, probs, classes, run["seed"]),
    }


def _choose_samples(dataset: DatasetFolder, run: dict[str, Any], version: str, split: str) -> tuple[pd.DataFrame, int]:
    """Return the samples to evaluate a model on, and how many were left out; none is where its own were asked for."""
    is_own = version == run["version"] and split != "test"
    rows, left_out = read_unseen(dataset, version, split, () if is_own else (run["id"],))
    if rows.empty:
        raise Problem(
            f"Expected samples of split {split} in {version} that {run['id']} has not seen, but "
            + (f"all {left_out} shaped it." if left_out else "there are none.")
            + " Name another version or split."
        )
    return rows, left_out


def read_unseen(dataset: DatasetFolder, version: str, split: str, models: Sequence[str]) -> tuple[pd.DataFrame, int]:
    """Return the samples of a split on which none of ``models`` was trained, nor on a near copy; and how many it was.

    The rows have the columns of ``tables.MANIFEST``, sorted by sample_id.
    """
    manifest = read_manifest(dataset, version)
    truth = manifest[manifest["split"] == split]
    trained_on = set().union(*(read_training_samples(dataset, model) for model in models))
    rows = truth[~is_copy_of(manifest, trained_on)[truth.index]].reset_index(drop=True)
    return rows, len(truth) - len(rows)


def order_classes(spec: Spec, classes: list[str]) -> list[str]:
    """Return a model's ``classes`` in the order of the spec; those that the spec no longer has come last."""
    return [name for name in spec.class_names if name in classes] + [
        name for name in classes if name not in spec.class_names
    ]


def encode_labels(rows: pd.DataFrame, classes: list[str], version: str, model: str = "") -> np.ndarray:
    """Return the labels of ``rows`` as places in ``classes``.

    Raises
    ------
    Problem
        When a label is not one of the classes.
    """
    codes = pd.Index(classes).get_indexer(pd.Index(rows["label"]))
    if (codes < 0).any():
        strange = rows["label"][codes < 0]
        who = f"{model}, which knows {', '.join(classes)}," if model else f"the classes {', '.join(classes)}"
        raise Problem(
            f"Expected labels of {version} to fit {who} but {len(strange)} samples are {strange.iloc[0]!r}. "
            f"Build a version and train on it anew."
        )
    return codes.astype(np.int64)
