"""Finds the images that a dataset shares with another one: same file, same pixels, or near copies.

The other one is a dataset folder or any folder of images. It is only read: what is computed from it is cached in our
own ``.curate/against/``, so a second comparison costs a directory walk.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from curate.audit.evidence.evidence import Evidence
from curate.audit.shared_copies import find_shared_copies
from curate.images.samples import Scan, read_scan
from curate.images.scan import scan_dataset
from curate.images.sources import label_and_split
from curate.spec.model import Source, Spec
from curate.spec.reading import read_spec
from curate.storage.files import Problem, read_cached, read_json, write_json
from curate.storage.folder import DatasetFolder, open_folder
from curate.storage.tables import shaped, write_table
from curate.versions.read import current_version, read_manifest

AGAINST = {
    "sample_id": "str",
    "path": "str",
    "split": "str",
    "label": "str",
    "other_id": "str",
    "other_path": "str",
    "other_split": "str",
    "other_label": "str",
    "kind": "str",
    "similarity": "float64",
    "labels_differ": "bool",
}


@dataclass(frozen=True)
class Against:
    """What two sets share: ``pairs`` with the columns ``AGAINST``, ours first, and ``record``, how many there are.

    `record` holds ``name, other`` (its path), ``samples, other_samples`` (readable ones), ``shared`` (of ours),
    ``other_shared``, ``shared_splits`` {split of ours: n}, ``other_in_train`` (of the other's, whose copy is in train
    here), ``other_in_train_splits`` {split there: n}, ``kinds`` {kind: pairs}, ``labels_differ`` (pairs) and ``notes``.
    """

    pairs: pd.DataFrame
    record: dict[str, Any]


def audit_against(dataset: DatasetFolder, spec: Spec, other: Path) -> Against:
    """Return the pictures of ``dataset`` that are copies of pictures in the folder ``other``, and the reverse.

    Writes ``.curate/against/NAME.parquet`` and ``NAME.json``.

    Raises
    ------
    Problem
        When there was no scan of ``dataset`` yet, or ``other`` is no folder, is the dataset itself or holds no image.
    """
    scan = read_scan(dataset)
    name, borrowed, their_spec = _borrow(dataset, spec, other)
    theirs = scan_dataset(borrowed, their_spec)
    ours = _describe(scan, dataset)
    them = _describe_other(theirs, other)
    if not len(them):
        raise Problem(f"Expected images in {other}, but found none that can be read. Name the folder that holds them.")
    notes: list[str] = []
    evidence, embeddings = _join_evidence(dataset, borrowed, spec, scan, theirs, notes)
    pairs = _tabulate(find_shared_copies(evidence, embeddings, ours, them), ours, them, spec)
    record = _count(name, other, pairs, ours, them, notes)
    write_table(dataset.cache / "against" / f"{name}.parquet", pairs)
    write_json(dataset.cache / "against" / f"{name}.json", record)
    return Against(pairs, record)


def read_against(dataset: DatasetFolder) -> list[Against]:
    """Return what ``audit_against`` found the last time, of each other set, by name."""
    from curate.storage.tables import read_parquet

    files = sorted((dataset.cache / "against").glob("*.json")) if (dataset.cache / "against").is_dir() else []
    parts = [(read_cached(one.with_suffix(".parquet"), read_parquet), read_cached(one, read_json)) for one in files]
    return [Against(pairs, record) for pairs, record in parts if pairs is not None and record is not None]


def _borrow(dataset: DatasetFolder, spec: Spec, other: Path) -> tuple[str, DatasetFolder, Spec]:
    """Return a name for ``other``, the folder in our cache that its tables go to, and a spec that scans it."""
    if not other.is_dir():
        what = "a file" if other.exists() else "nothing"
        raise Problem(f"Expected a dataset folder or a folder of images at {other}, but {what} is there.")
    if other.resolve() == dataset.path.resolve():
        raise Problem(f"{other} is the dataset itself. Name another one; its own copies are found by `curate audit`.")
    digest = hashlib.sha256(str(other.resolve()).encode("utf-8", "surrogateescape")).hexdigest()
    name = f"{re.sub('[^A-Za-z0-9_-]+', '-', other.resolve().name).strip('-') or 'folder'}-{digest[:6]}"
    common = {"name": "other", "images": spec.images, "audit": spec.audit}
    if (other / "dataset.yaml").is_file():
        theirs = read_spec(open_folder(other))
        sources = [one.model_copy(update={"path": str((other / one.path).resolve())}) for one in theirs.sources]
        their_spec = Spec(**common, classes=theirs.classes, sources=sources)
    else:  # its folders may be called anything: labels are read from the paths, and not checked
        source = Source(path=str(other.resolve()), kind="flat")
        their_spec = Spec(**common, classes={"any": ""}, sources=[source])
    return name, DatasetFolder(dataset.cache / "against" / name), their_spec


def _describe(scan: Scan, dataset: DatasetFolder) -> pd.DataFrame:
    """Return path, split and label of each readable sample by sample_id: as in the current version, else as given.

    What a version does not hold is in no split, whatever its source states: it was dropped, or came later.
    """
    rows = scan.samples[scan.samples["reason"] == ""].set_index("sample_id").sort_index()
    table = rows[["path"]].assign(split=rows["given_split"], label=rows["given_label"])
    version = current_version(dataset)
    if version:
        built = read_manifest(dataset, version).set_index("sample_id")[["split", "label"]].reindex(table.index)
        table["split"] = built["split"].fillna("").astype("str")
        table["label"] = built["label"].fillna(table["label"]).astype("str")
    return table


def _describe_other(scan: Scan, other: Path) -> pd.DataFrame:
    if (other / "dataset.yaml").is_file():
        return _describe(scan, DatasetFolder(other))
    table = _describe(scan, DatasetFolder(other / ".no-version"))
    said = [label_and_split(tuple(path.split("/"))) for path in table["path"]]
    return table.assign(label=[label for label, _ in said], split=[split for _, split in said])


def _join_evidence(
    dataset: DatasetFolder, borrowed: DatasetFolder, spec: Spec, ours: Scan, theirs: Scan, notes: list[str]
) -> tuple[Evidence, np.ndarray | None]:
    """Return the samples of both as one evidence, and their embeddings in the order of its rows."""
    from curate.images.thumbnails import read_thumbnails
    from curate.vectors.embed import compute_embeddings
    from curate.vectors.networks import NETWORKS

    mine = set(ours.samples["sample_id"])
    samples = pd.concat([ours.samples, theirs.samples[~theirs.samples["sample_id"].isin(mine)]], ignore_index=True)

    def divide(ids: Sequence[str]) -> tuple[list[str], list[str]]:
        return [one for one in ids if one in mine], [one for one in ids if one not in mine]

    def read_both(ids: Sequence[str]) -> dict[str, bytes]:
        here, there = divide(ids)
        return {**read_thumbnails(dataset, here), **read_thumbnails(borrowed, there)}

    def embed(ids: Sequence[str]) -> np.ndarray:
        here, there = divide(ids)
        parts = [compute_embeddings(dataset, spec, here), compute_embeddings(borrowed, spec, there)]
        known = np.concatenate([part for part in parts if len(part)])
        place = {one: row for row, one in enumerate([*here, *there])}
        return known[[place[one] for one in ids]]

    evidence = Evidence(
        spec=spec, samples=samples, votes=ours.votes, embed=embed, read_thumbnails=read_both, cache=dataset.cache
    )
    if not {part.strip() for part in spec.audit.embedding.split("+")} <= set(NETWORKS):
        notes.append(
            "Saved embeddings know nothing of the other set: near copies were looked for by their hashes only."
        )
        return evidence, None
    return evidence, evidence.embeddings


def _tabulate(copies: pd.DataFrame, ours: pd.DataFrame, theirs: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    table = copies.join(ours, on="first").join(theirs.add_prefix("other_"), on="second")
    table = table.rename(columns={"first": "sample_id", "second": "other_id"})
    # The other set may call its classes otherwise: `cats` is no contradiction to `cat`.
    differ = (table["label"] != "") & (table["label"] != table["other_label"])
    table = table.assign(labels_differ=differ & table["other_label"].isin(spec.class_names))
    return shaped(table.sort_values(["path", "similarity", "other_path"], ascending=[True, False, True]), AGAINST)


def _count(
    name: str, other: Path, pairs: pd.DataFrame, ours: pd.DataFrame, theirs: pd.DataFrame, notes: Iterable[str]
) -> dict[str, Any]:
    shared = ours[ours.index.isin(pairs["sample_id"])]
    trained = theirs[theirs.index.isin(pairs.loc[pairs["split"] == "train", "other_id"])]
    return {
        "name": name,
        "other": str(other),
        "samples": len(ours),
        "other_samples": len(theirs),
        "shared": len(shared),
        "shared_splits": _count_values(shared["split"]),
        "other_shared": int(pairs["other_id"].nunique()),
        "other_in_train": len(trained),
        "other_in_train_splits": _count_values(trained["split"]),
        "kinds": _count_values(pairs["kind"]),
        "labels_differ": int(pairs["labels_differ"].sum()),
        "notes": list(notes),
    }


def _count_values(column: pd.Series) -> dict[str, int]:
    return {str(value): int(count) for value, count in column.value_counts().sort_index().items() if value}
