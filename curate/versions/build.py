"""Builds an immutable version from sources and decisions: a manifest with a digest, never a copy of images.

The digest covers sample ids, labels, splits and the meaning of the spec, and the shares of the votes where the spec
wants them; not paths, times, or the machine. Building twice gives the same digest and no second version.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pandas as pd

from curate.images.samples import Scan, read_scan
from curate.log.decisions import decisions_digest, read_decisions
from curate.log.outcomes import fold_decisions
from curate.spec.digest import spec_digest
from curate.spec.model import Spec
from curate.storage.files import making_folder, write_json
from curate.storage.folder import DatasetFolder, next_id, numbered
from curate.storage.tables import MANIFEST, SPLITS, shaped, write_table
from curate.versions.digest import sources_digest, version_digest
from curate.versions.groups import read_groups
from curate.versions.labels import resolve_labels
from curate.versions.places import place_samples
from curate.versions.read import Version, current_version, read_manifest, read_version, write_lock
from curate.versions.soft_labels import compute_soft_labels
from curate.versions.split import Assignment


def build_version(dataset: DatasetFolder, spec: Spec, use_decisions: bool = True) -> Version:
    """Return the version that sources and decisions amount to now, written to ``versions/vN`` if it is new.

    Parameters
    ----------
    use_decisions
        False builds the sources as given: what the first version of a dataset is compared with.

    Raises
    ------
    Problem
        When there was no scan and audit yet, or a decision names an unknown class.
    """
    scan = read_scan(dataset)
    decisions = read_decisions(dataset.decisions) if use_decisions else []
    rows = resolve_labels(scan, fold_decisions(decisions), spec)
    rows["group_id"] = rows["sample_id"].map(read_groups(dataset, scan))
    places = place_samples(dataset, rows, spec)
    rows["split"] = rows["sample_id"].map(places.split)
    manifest = shaped(rows[rows["excluded"] == ""].sort_values("sample_id"), MANIFEST)
    soft_labels = _soft_labels(scan, manifest, decisions, spec)
    digest = version_digest(manifest, spec, soft_labels)
    known = _find_version(dataset, digest)
    record = _record(scan, rows, manifest, places, spec, digest, decisions)
    record = known or _write_version(dataset, manifest, soft_labels, record)
    _write_lock(dataset, record, places, spec, decisions)
    return Version(record, read_manifest(dataset, record["id"]) if known else manifest, is_new=not known)


def _soft_labels(scan: Scan, manifest: pd.DataFrame, decisions: list, spec: Spec) -> pd.DataFrame | None:
    """Return the soft labels of the version's samples, None where the spec wants labels alone."""
    if spec.train.labels != "shares":
        return None
    folded = fold_decisions(decisions).query("label != ''")
    decided = dict(zip(folded["sample_id"], folded["label"], strict=True))
    labels = dict(zip(manifest["sample_id"], manifest["label"], strict=True))
    return compute_soft_labels(scan.votes, labels, decided, spec.class_names)


def _find_version(dataset: DatasetFolder, digest: str) -> dict[str, Any] | None:
    records = (read_version(dataset, version) for version in reversed(numbered(dataset.versions, "v")))
    return next((record for record in records if record["digest"] == digest), None)


def _record(
    scan: Scan, rows: pd.DataFrame, manifest: pd.DataFrame, places: Assignment, spec: Spec, digest: str, decisions: list
) -> dict[str, Any]:
    sizes = manifest.groupby(["split", "label"]).size().to_dict()
    counts = {split: {name: int(sizes.get((split, name), 0)) for name in spec.classes} for split in SPLITS}
    excluded = rows.loc[rows["excluded"] != "", "excluded"].value_counts().sort_index()
    return {
        "digest": digest,
        "spec_digest": spec_digest(spec),
        "sources_digest": sources_digest(scan),
        "decisions_digest": decisions_digest(decisions),
        "decisions": len(decisions),
        "classes": spec.class_names,
        "samples": len(manifest),
        "counts": counts,
        "excluded": {str(reason): int(count) for reason, count in excluded.items()},
        "moved": places.moved,
    }


def _write_version(
    dataset: DatasetFolder, manifest: pd.DataFrame, soft_labels: pd.DataFrame | None, record: dict[str, Any]
) -> dict[str, Any]:
    """Make the folder under a temporary name and rename it: a version is there whole or not at all."""
    parent, version = current_version(dataset), next_id(dataset.versions, "v")
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    record = {"id": version, "parent": parent, "created": created, **record}
    with making_folder(dataset.versions / version) as making:
        write_table(making / "manifest.parquet", manifest)
        if soft_labels is not None:
            write_table(making / "shares.parquet", soft_labels)
        write_json(making / "version.json", record)
    return record


def _write_lock(
    dataset: DatasetFolder, record: dict[str, Any], places: Assignment, spec: Spec, decisions: list
) -> None:
    lock: dict[str, Any] = {
        "spec": spec_digest(spec),
        "sources": record["sources_digest"],
        "decisions": decisions_digest(decisions),
        "version": {"id": record["id"], "digest": record["digest"]},
        "splits": places.pins,
    }
    if spec.split.locked:
        lock["locked"] = True
    write_lock(dataset, lock)
