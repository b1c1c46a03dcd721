"""What was last pushed, so that an edit made in the App can be told from what was there before.

A token stands in the snapshot and in the FiftyOne dataset. It is taken away while a push writes: a push that was cut
off, another database, or a deleted cache are then noticed, instead of every difference passing for an edit.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pandas as pd

from curate.dataset import DatasetFolder
from curate.files import read_json, write_json
from curate.tables import empty, read_parquet, write_table

SNAPSHOT = {
    "fiftyone_id": "str",
    "sample_id": "str",
    "label": "str",
    "drop": "bool",
    "keep": "bool",
    "digest": "str",
}
INFO = "specurate"  # our key in the info of the FiftyOne dataset


def review_name(dataset: DatasetFolder, name: str | None = None) -> str:
    """Return the name in FiftyOne: stable, readable, and different for two folders of the same name.

    >>> review_name(DatasetFolder(Path("/data/My Pets")))
    'specurate-my-pets-7332a110'
    """
    folder = dataset.path.resolve()
    if name:
        return name
    readable = re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-") or "dataset"
    return f"specurate-{readable}-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"


def read_snapshot(dataset: DatasetFolder, view: Any) -> pd.DataFrame | None:
    """Return the snapshot of the FiftyOne dataset ``view``; None when it is not the one that was pushed last."""
    pushed = view.info.get(INFO) or {}
    table, about = _paths(dataset, view.name)
    if not table.is_file() or not about.is_file() or not pushed.get("token"):
        return None
    return read_parquet(table) if read_json(about)["token"] == pushed["token"] else None


def write_snapshot(dataset: DatasetFolder, view: Any, snapshot: pd.DataFrame, token: str) -> None:
    """Keep ``snapshot``, then mark the FiftyOne dataset with ``token``: from here on a difference is an edit."""
    table, about = _paths(dataset, view.name)
    write_table(table, snapshot)
    write_json(about, {"token": token})
    mark(view, token=token)


def mark(view: Any, **facts: Any) -> None:
    """Set keys of ours in the info of the FiftyOne dataset."""
    view.info = {**view.info, INFO: {**(view.info.get(INFO) or {}), **facts}}
    view.save()


def no_snapshot() -> pd.DataFrame:
    """Return a snapshot of nothing."""
    return empty(SNAPSHOT)


def _paths(dataset: DatasetFolder, name: str) -> tuple[Path, Path]:
    folder = dataset.cache / "review"
    return folder / f"{name}.parquet", folder / f"{name}.json"
