"""Versions as they lie on disk: records, manifests, soft labels, and which is current."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from curate.storage.files import Problem, read_json
from curate.storage.folder import DatasetFolder, numbered
from curate.storage.tables import read_parquet


@dataclass(frozen=True)
class Version:
    """A built version: its record (``version.json``), its manifest, and whether this call made it."""

    record: dict[str, Any]
    manifest: pd.DataFrame
    is_new: bool

    @property
    def id(self) -> str:
        return str(self.record["id"])

    @property
    def digest(self) -> str:
        return str(self.record["digest"])


def current_version(dataset: DatasetFolder) -> str:
    """Return the id of the version that the last build gave, as ``dataset.lock`` says; '' when none was built.

    It is not always the newest: when decisions are taken back, a build gives an older version again.
    """
    known = numbered(dataset.versions, "v")
    locked = read_json(dataset.lock).get("version", {}).get("id") if dataset.lock.is_file() else ""
    return locked if locked in known else (known or [""])[-1]


def read_version(dataset: DatasetFolder, version: str) -> dict[str, Any]:
    """Return the record of a version: id, digest, parent, created, counts {split: {class: n}}, excluded {reason: n}."""
    _expect_version(dataset, version)
    record: dict[str, Any] = read_json(dataset.versions / version / "version.json")
    return record


def read_manifest(dataset: DatasetFolder, version: str) -> pd.DataFrame:
    """Return the manifest of a version, with the columns of ``tables.MANIFEST``, sorted by sample_id."""
    _expect_version(dataset, version)
    return read_parquet(dataset.versions / version / "manifest.parquet")


def read_soft_labels(dataset: DatasetFolder, version: str) -> pd.DataFrame | None:
    """Return the soft labels that a version carries: ``sample_id`` and one column a class; None when it has none."""
    _expect_version(dataset, version)
    path = dataset.versions / version / "shares.parquet"
    return read_parquet(path) if path.is_file() else None


def _expect_version(dataset: DatasetFolder, version: str) -> None:
    known = numbered(dataset.versions, "v")
    if version not in known:
        raise Problem(
            f"Expected a version of {dataset.path}, found {version!r}. "
            + (f"There are {', '.join(known)}." if known else f"There is none yet: `curate build {dataset.path}`.")
        )
