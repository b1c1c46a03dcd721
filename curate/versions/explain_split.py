"""Explains splits: the counts of each class, why they differ from the shares, and why a sample is where it is.

Shown is what a build would give now; for an unchanged dataset that is the current version.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from curate.images.samples import read_scan
from curate.log.decisions import read_decisions
from curate.log.outcomes import fold_decisions
from curate.spec.model import Spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder, numbered
from curate.storage.tables import SPLITS
from curate.versions.groups import read_groups
from curate.versions.labels import resolve_labels
from curate.versions.places import is_pinned, place_samples
from curate.versions.read import read_manifest
from curate.versions.split import Assignment

LARGEST = 5  # groups listed


def explain_split(dataset: DatasetFolder, spec: Spec) -> dict[str, Any]:
    """Return the splits as a build would give them now, and why.

    Returns
    -------
    ``table``: a row a class with ``class, samples`` and for each split its count; ``shares``: a row a class and split
    with ``class, split, samples, share, wanted, why`` ('' where no other place of a sample would bring it nearer);
    ``pinned``: a row a pin of the spec with ``split, pin, samples``; ``moved``: ``sample_id, path, why``; ``groups``:
    the largest near-duplicate groups, ``group_id, samples, split, path``; ``locked``; and ``rules`` {rule: samples}.

    Raises
    ------
    Problem
        When there is no scan or audit yet.
    """
    rows, places = place_now(dataset, spec)
    held = rows[rows["excluded"] == ""]
    path_of = dict(zip(rows["sample_id"], rows["path"], strict=True))
    return {
        "locked": spec.split.locked,
        "table": _count(held, spec),
        "shares": [_explain_cell(held, label, split, spec) for label in spec.class_names for split in SPLITS],
        "rules": {str(rule): int(count) for rule, count in held["rule"].value_counts().items()},
        "pinned": [
            {
                "split": split,
                "pin": pin,
                "samples": sum(map(is_pinned, [pin] * len(rows), rows["sample_id"], rows["path"])),
            }
            for split, pins in spec.split.pinned.items()
            for pin in pins
        ],
        "moved": [{"sample_id": one, "path": path_of[one], "why": why} for one, why in places.moved.items()],
        "groups": _largest_groups(held),
    }


def place_now(dataset: DatasetFolder, spec: Spec) -> tuple[pd.DataFrame, Assignment]:
    """Return every readable sample with label, group, ``excluded, split, rule, by, position``; and the assignment."""
    scan = read_scan(dataset)
    rows = resolve_labels(scan, fold_decisions(read_decisions(dataset.decisions)), spec)
    rows["group_id"] = rows["sample_id"].map(read_groups(dataset, scan))
    places = place_samples(dataset, rows, spec)
    return rows.merge(places.places.drop(columns="group_id"), on="sample_id"), places


def _count(held: pd.DataFrame, spec: Spec) -> list[dict[str, Any]]:
    sizes = held.groupby(["label", "split"]).size().to_dict()
    table = []
    for label in spec.class_names:
        counts = {split: int(sizes.get((label, split), 0)) for split in SPLITS}
        table.append({"class": label, "samples": sum(counts.values()), **counts})
    return table


def _explain_cell(held: pd.DataFrame, label: str, split: str, spec: Spec) -> dict[str, Any]:
    mine = held[held["label"] == label]
    here, wanted = mine[mine["split"] == split], getattr(spec.split, split)
    off = len(here) - wanted * len(mine)
    # Train is what the others leave: it is off by as much as both.
    is_met = abs(off) <= (1.0 if split == "train" else 0.5) + 1e-9
    return {
        "class": label,
        "split": split,
        "samples": len(here),
        "share": len(here) / len(mine) if len(mine) else None,
        "wanted": wanted,
        "why": "" if is_met else _why_off(mine, here, split, off, spec),
    }


def _why_off(mine: pd.DataFrame, here: pd.DataFrame, split: str, off: float, spec: Spec) -> str:
    """Return what keeps a split of a class from its share: samples that are too many here, or held elsewhere."""
    rules = here["rule"] if off > 0 else mine.loc[mine["split"] != split, "rule"]
    if (mine["rule"] == "locked").any() and split != "val":
        return f"{len(here):,} in the locked test set" if split == "test" else "the test set is locked"
    said = [f"{int(fits.sum()):,} {words}" for words, names in CAUSES.items() if (fits := rules.isin(names)).any()]
    largest = int(mine.groupby("group_id").size().max())
    if largest > 1 and abs(off) <= largest:
        said.append(f"near copies stay together (up to {largest:,})")
    return "; ".join(said) or f"too few samples ({len(mine):,})"


CAUSES = {
    "pinned by dataset.yaml": ("pinned",),
    "given by their source": ("given",),
    "in place since an earlier build": ("before", "lock"),
    "that their class needs there": ("needed",),
    "held out of the locked test set": ("locked",),
}


def _largest_groups(held: pd.DataFrame) -> list[dict[str, Any]]:
    groups = held.sort_values("sample_id").groupby("group_id", sort=True)
    table = groups.agg(samples=("path", "size"), split=("split", "first"), path=("path", "first")).reset_index()
    table = table[table["samples"] > 1].sort_values(["samples", "group_id"], ascending=[False, True])
    return [dict(row) for row in table.head(LARGEST).to_dict("records")]


def explain_sample(dataset: DatasetFolder, spec: Spec, name: str) -> dict[str, Any]:
    """Return why one sample, named by its id, 6 or more digits of it or a path, is where it is.

    Returns
    -------
    ``sample_id, path, label, split, rule, why`` (a sentence), ``position`` (the hash of its group, 0..1), ``excluded``
    (why no version holds it, or ''), and ``copies``: its near copies with ``path, split, given_split``.

    Raises
    ------
    Problem
        When there is no such sample, or it cannot be read and so has no split.
    """
    from curate.images.samples import find_sample

    sample_id = find_sample(read_scan(dataset), name)
    rows, places = place_now(dataset, spec)
    mine = rows[rows["sample_id"] == sample_id]
    if mine.empty:
        raise Problem(
            f"{name} cannot be read as an image, so it has no split. See `curate findings --issue unreadable`."
        )
    row = mine.iloc[0]
    copies = rows[(rows["group_id"] == row["group_id"]) & (rows["sample_id"] != sample_id)]
    path_of = dict(zip(rows["sample_id"], rows["path"], strict=True))
    moved = places.moved.get(sample_id, "")
    return {
        "sample_id": sample_id,
        "path": row["path"],
        "label": row["label"],
        "split": row["split"],
        "rule": row["rule"],
        "why": _why_there(dataset, row, path_of, spec) + (f" Moved: {moved}." if moved else ""),
        "position": float(row["position"]),
        "excluded": row["excluded"],
        "copies": copies[["path", "split", "given_split"]].to_dict("records"),
    }


def _why_there(dataset: DatasetFolder, row: pd.Series, path_of: dict[str, str], spec: Spec) -> str:
    """Return the sentence on one sample: whose claim decided, or how the hash and the shares did."""
    by = row["by"]
    who = "it" if by in ("", row["sample_id"]) else f"its near copy {path_of.get(by, by)}"
    place, split = describe_position(row["position"], spec), row["split"]
    if row["rule"] == "locked":
        return (
            f"{who} is in the locked test set."
            if split == "test"
            else f"{who} is stated to be in test, but that is locked."
        )
    if row["rule"] == "pinned":
        return f"dataset.yaml pins {who} to {split}."
    if row["rule"] == "given":
        return f"The source of {who} states {split}." if who != "it" else f"Its source states {split}."
    if row["rule"] == "hash":
        return f"It is new, and its hash falls there: {place}."
    if row["rule"] == "share":
        return f"It is new, and was put there to meet the shares of its class; its hash alone: {place}."
    if row["rule"] == "needed":
        return f"It is new, and its class had none there; its hash alone: {place}."
    since = _first_version(dataset, by)
    stays = f"{who} was there in {since}" if since else f"dataset.lock has {who} there"
    return f"{stays}, and no old sample moves. The hash of its group: {place}."


def describe_position(place: float, spec: Spec) -> str:
    """Return where a hash falls, in words.

    >>> describe_position(0.1, Spec(name="a", classes={"b": ""}, sources=[{"path": "c"}]))
    '0.1000 < 0.2 (test)'
    """
    split = spec.split
    if place < split.test:
        return f"{place:.4f} < {split.test:g} (test)"
    if place < split.test + split.val:
        return f"{split.test:g} <= {place:.4f} < {split.test + split.val:g} (val)"
    return f"{place:.4f} >= {split.test + split.val:g} (train)"


def _first_version(dataset: DatasetFolder, sample_id: str) -> str:
    for version in numbered(dataset.versions, "v"):
        if (read_manifest(dataset, version)["sample_id"] == sample_id).any():
            return version
    return ""
