"""Reads versions from disk: records, manifests, soft labels, and which is current."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from curate.storage.files import Damaged, Problem, read_json, write_json
from curate.storage.folder import DatasetFolder, numbered
from curate.storage.tables import read_parquet
from curate.storage.terminal import warn


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
    locked = (read_lock(dataset) or {}).get("version", {}).get("id", "")
    return locked if locked in known else (known or [""])[-1]


def read_lock(dataset: DatasetFolder) -> dict[str, Any] | None:
    """Return what ``dataset.lock`` says; None where there is none.

    One that is damaged, or gone while the versions are there, is written again as the last build left it.

    Raises
    ------
    Problem
        When it is damaged and there is no version to make it from.
    """
    lock, is_there = _read_whole(dataset.lock), dataset.lock.is_file()
    known = numbered(dataset.versions, "v")
    if lock is not None or not known:
        if lock is None and is_there:
            raise Problem(f"{dataset.lock}: expected what a build wrote, but it is damaged. Restore it or delete it.")
        return lock
    lock = _read_whole(_copy_of_lock(dataset)) or (_lock_of_version(dataset, known[-1]) if is_there else None)
    if lock is not None:
        warn(f"{dataset.lock} was {'damaged' if is_there else 'gone'}; it is written again from the versions.")
        write_json(dataset.lock, lock)
    return lock


def write_lock(dataset: DatasetFolder, lock: dict[str, Any]) -> None:
    """Write ``dataset.lock``, if it changed, and its copy beside the versions.

    The copy is what it is made of again: which version is current, and the place of what no version holds, are in no
    version's own record.
    """
    for path in (dataset.lock, _copy_of_lock(dataset)):
        if _read_whole(path) != lock:
            write_json(path, lock)


def _copy_of_lock(dataset: DatasetFolder) -> Path:
    return dataset.versions / dataset.lock.name


def _read_whole(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in ``path``; None where there is none, or something else."""
    try:
        value = read_json(path) if path.is_file() else None
    except Damaged:
        return None
    return value if isinstance(value, dict) else None


def _lock_of_version(dataset: DatasetFolder, version: str) -> dict[str, Any]:
    """Return a lock that holds every sample of ``version`` where it is; the next build leaves out what need not be."""
    record, manifest = read_version(dataset, version), read_manifest(dataset, version)
    digests = {name: record[f"{name}_digest"] for name in ("spec", "sources", "decisions")}
    splits = dict(zip(manifest["sample_id"], manifest["split"], strict=True))
    return {**digests, "version": {"id": version, "digest": record["digest"]}, "splits": splits}


def read_version(dataset: DatasetFolder, version: str) -> dict[str, Any]:
    """Return the record of a version: id, digest, parent, created, counts {split: {class: n}}, excluded {reason: n}."""
    _expect_version(dataset, version)
    record: dict[str, Any] = read_json(dataset.versions / version / "version.json")
    return record


def load_version(dataset: DatasetFolder, version: str) -> Version:
    """Return a version that was built before."""
    return Version(read_version(dataset, version), read_manifest(dataset, version), is_new=False)


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
