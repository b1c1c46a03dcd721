"""Finds the samples that a model was trained on; it is never tested on these, nor on near copies of them."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from curate.storage.files import read_json
from curate.storage.folder import DatasetFolder
from curate.versions.read import read_manifest


def read_training_samples(dataset: DatasetFolder, model: str) -> set[str]:
    """Return the samples that shaped ``model``, or the one it started from: trained on, or asked when to stop.

    Raises
    ------
    Problem
        When the model, or one that it started from, is not there.
    """
    run = read_json(dataset.models / model / "run.json")
    rows = read_manifest(dataset, run["version"])
    seen = set(rows.loc[rows["split"].isin(["train", "val"]), "sample_id"])
    return seen | (read_training_samples(dataset, run["init"]) if run.get("init") else set())


def is_copy_of(manifest: pd.DataFrame, samples: Collection[str]) -> pd.Series:
    """Return which rows are among ``samples`` or near copies of one: a later copy can join two groups."""
    groups = manifest.loc[manifest["sample_id"].isin(samples), "group_id"]
    return manifest["group_id"].isin(groups)
