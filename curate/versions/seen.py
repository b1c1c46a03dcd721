"""What a model has seen while it was trained: it is never examined on that, nor on a near copy of it."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from curate.storage.files import read_json
from curate.storage.folder import DatasetFolder
from curate.versions.read import read_manifest


def seen_samples(dataset: DatasetFolder, model: str) -> set[str]:
    """Return the samples that shaped ``model``, or the one it started from: trained on, or asked when to stop.

    Raises
    ------
    Problem
        When the model, or one that it started from, is not there.
    """
    run = read_json(dataset.models / model / "run.json")
    rows = read_manifest(dataset, run["version"])
    seen = set(rows.loc[rows["split"].isin(["train", "val"]), "sample_id"])
    return seen | (seen_samples(dataset, run["init"]) if run.get("init") else set())


def is_seen(manifest: pd.DataFrame, seen: Collection[str]) -> pd.Series:
    """Return which rows are among the ``seen`` samples or near copies of one: a later copy can join two groups."""
    groups = manifest.loc[manifest["sample_id"].isin(seen), "group_id"]
    return manifest["group_id"].isin(groups)
