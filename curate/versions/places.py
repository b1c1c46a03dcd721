"""Determines the split that each sample already has or claims: pins, history and the locked test set."""

from __future__ import annotations

import fnmatch

import pandas as pd

from curate.log.decisions import read_decisions
from curate.spec.model import Spec
from curate.storage.folder import DatasetFolder, numbered
from curate.storage.tables import read_parquet
from curate.versions.claims import STRICTEST, History, claim_places
from curate.versions.read import current_version, read_lock
from curate.versions.split import Assignment, assign_splits
from curate.versions.stratify import ANY, HASHED, NEVER


def place_samples(dataset: DatasetFolder, rows: pd.DataFrame, spec: Spec) -> Assignment:
    """Return the split of every readable sample; those that an earlier version holds stay where they were.

    Parameters
    ----------
    rows
        What ``resolve_labels`` returns, with ``group_id``.
    """
    readable = rows[rows["reason"] == ""].assign(label=lambda one: one["label"].where(one["excluded"] == "", ""))
    made_by = {one.id: one.tool for one in read_decisions(dataset.decisions) if one.action == "relabel"}
    readable["may_test"] = [MAY_TEST.get(made_by.get(one, ""), ANY) for one in readable["decided_by"]]
    readable["pinned"] = pinned_splits(readable, spec)
    return assign_splits(readable, spec.split, read_history(dataset, spec, set(readable["sample_id"])))


def read_exam(dataset: DatasetFolder, spec: Spec, samples: pd.DataFrame) -> set[str]:
    """Return those of ``samples`` that are in test by themselves and not by a copy: of copies, such a one stays."""
    readable = samples[samples["reason"] == ""]
    readable = readable.assign(pinned=pinned_splits(readable, spec))
    claims = claim_places(readable, spec.split, read_history(dataset, spec, set(readable["sample_id"])))
    return {sample_id for sample_id, claim in claims.items() if claim.split == "test"}


# A policy looks away from what lies in test, so what it relabelled stays out. Proposals are accepted outside of test
# unless a person asks for more, and the place of what has no label yet is that of the hash.
MAY_TEST = {"policy": NEVER, "label": HASHED}


def pinned_splits(rows: pd.DataFrame, spec: Spec) -> list[str]:
    """Return the split that the spec's ``split: pinned:`` states for each row, '' for none; of several the strictest.

    A pin is a sample id (or 6 or more digits of its start), a path, or a pattern of paths.
    """
    pins = [(split, pin) for split in STRICTEST for pin in spec.split.pinned.get(split, [])]  # type: ignore[call-overload]
    pairs = zip(rows["sample_id"], rows["path"], strict=True)
    return [next((split for split, pin in pins if is_pinned(pin, *pair)), "") for pair in pairs]


def is_pinned(pin: str, sample_id: str, path: str) -> bool:
    """Return whether ``pin`` means a sample.

    >>> is_pinned("exam/*", "0" * 20, "exam/1.jpg"), is_pinned("000000", "0" * 20, "a.jpg")
    (True, True)
    """
    return fnmatch.fnmatchcase(path, pin) or (len(pin) >= 6 and sample_id.startswith(pin))


def read_history(dataset: DatasetFolder, spec: Spec, sample_ids: set[str]) -> History:
    """Return where ``sample_ids`` were: in the current version, else in the latest that held them, and in the lock."""
    lock = read_lock(dataset)
    pins = None if lock is None else lock.get("splits", {})
    current = current_version(dataset)
    if not current:
        exam = {one for one, where in (pins or {}).items() if where == "test"}
        return History(None, pins, exam if spec.split.locked and lock and lock.get("locked") else None)
    old: dict[str, str] = {}
    for version in dict.fromkeys([current, *reversed(numbered(dataset.versions, "v"))]):
        path = dataset.versions / version / "manifest.parquet"
        rows = read_parquet(path, columns=["sample_id", "split"])
        old = dict(zip(rows["sample_id"], rows["split"], strict=True)) | old
        if sample_ids <= old.keys():
            break
    exam = {one for one, where in ((pins or {}) | old).items() if where == "test"}
    return History(old, pins, exam if spec.split.locked and exam else None)
