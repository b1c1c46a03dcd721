"""Scans the sources: finds every file, reads it once, hashes, decodes and measures it, and accounts for it.

Incremental on two levels: a file whose size and times did not change is not opened again, and content that was measured
before, under whatever name, is not decoded again.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace

import pandas as pd

from curate.images.contents import measures_cache, read_contents, shown_path
from curate.images.measure import measure_content
from curate.images.samples import TABLES, Scan, given_labels, join_votes
from curate.images.sources import FoundFile, find_files
from curate.log.votes import read_votes
from curate.spec.model import Images, Spec
from curate.storage.cache import ContentCache
from curate.storage.files import Problem, read_cached, read_json, write_json
from curate.storage.folder import DatasetFolder
from curate.storage.tables import LOCATIONS, MEASURES, SAMPLES, SPLITS, VOTES, empty, shaped, write_table

KEPT = ("files-v1", "review")  # not made of pixels; `review` tells edits in the App that were not pulled yet


def scan_dataset(dataset: DatasetFolder, spec: Spec, workers: int | None = None, engine: str = "threads") -> Scan:
    """Read what is new in the spec's sources and return the scan, also written under ``.curate/``.

    Parameters
    ----------
    workers, engine
        How the reading is spread (see ``curate.storage.engine``); they never change the result.

    Raises
    ------
    Problem
        When a source is missing or malformed, or a label of a source or of votes.jsonl is no class of the spec.
    """
    _check_voted_labels(dataset, spec)
    found = find_files(dataset, spec)
    _forget_other_policy(dataset, spec.images)
    ids, lost = read_contents(dataset, found, spec.images, workers, engine)
    found = [replace(row, reason=lost.get(str(row.file), row.reason)) for row in found]
    scan = _tabulate(dataset, found, ids, measures_cache(dataset))
    for name in TABLES:
        write_table(dataset.cache / f"{name}.parquet", getattr(scan, name))
    return join_votes(scan, read_votes(dataset.votes))


def _check_voted_labels(dataset: DatasetFolder, spec: Spec) -> None:
    votes = read_votes(dataset.votes)
    wrong = votes[~votes["label"].isin(spec.class_names)]
    if len(wrong):
        names = ", ".join(map(repr, sorted(set(wrong["label"]))[:5]))
        raise Problem(
            f"{dataset.votes}: expected labels among {', '.join(spec.classes)}, but {len(wrong)} votes have another "
            f"({names}) by {', '.join(sorted(set(wrong['voter']))[:3])}. Add the class to dataset.yaml, or take the "
            f"votes back with `curate votes {dataset.path} --withdraw VOTER` and import them anew with `--map`."
        )


def _forget_other_policy(dataset: DatasetFolder, policy: Images) -> None:
    """Drop what was made of the pixels when the ``images:`` policy changed: all of it is the cache's to make again."""
    stored = dataset.cache / "images.json"
    if read_cached(stored, read_json) == policy.model_dump():
        return
    for child in dataset.cache.iterdir() if dataset.cache.is_dir() else ():
        if child.is_dir() and child.name not in KEPT:
            shutil.rmtree(child)
    write_json(stored, policy.model_dump())


def id_without_content(name: str) -> str:
    """Return the id that stands for a file whose bytes cannot be read."""
    return hashlib.sha256(b"no content:" + name.encode("utf-8", "surrogateescape")).hexdigest()[:20]


def _tabulate(dataset: DatasetFolder, found: list[FoundFile], ids: dict[str, str], cache: ContentCache) -> Scan:
    located = _locations(dataset, found, ids, cache)
    measures = shaped(cache.read(sorted(set(ids.values()))), MEASURES) if ids else empty(MEASURES)
    gone = located[(located["status"] == "unreadable") & ~located["sample_id"].isin(measures["sample_id"])]
    lost = [{**_missing_measures(), "sample_id": row.sample_id, "reason": row.reason} for row in gone.itertuples()]
    if lost:
        measures = pd.concat([measures, shaped(pd.DataFrame(lost), MEASURES)], ignore_index=True)
    votes = _votes(found, located)
    return Scan(_samples(measures, located, votes), shaped(located, LOCATIONS), votes, _metadata(found, located))


def _missing_measures() -> dict[str, object]:
    return measure_content(b"", Images())[0]


def _locations(
    dataset: DatasetFolder, found: list[FoundFile], ids: dict[str, str], cache: ContentCache
) -> pd.DataFrame:
    """Return one row a file: a CSV that names a file for each of three annotators still names one file."""
    known = cache.read(columns=["sample_id", "reason"])
    reasons = dict(zip(known["sample_id"], known["reason"], strict=True)) if len(known) else {}
    rows, first = [], set()
    for row in {(one.source, one.path): one for one in reversed(found)}.values():
        sample_id = ids.get(str(row.file), "") if not row.ignored else ""
        if not row.ignored and not sample_id:
            sample_id = id_without_content(shown_path(dataset, row.file))
        reason = row.ignored or row.reason or reasons.get(sample_id, "")
        rows.append((row.source, row.path, row.file, row.label, row.split, sample_id, bool(row.ignored), reason))
    table = []
    for source, path, file, label, split, sample_id, ignored, reason in sorted(rows, key=lambda one: one[:2]):
        status = "ignored" if ignored else "unreadable" if reason else "location" if sample_id in first else "sample"
        first.add(sample_id)
        table.append((path, shown_path(dataset, file), source, label, split, sample_id, status, reason))
    return pd.DataFrame(table, columns=list(LOCATIONS))


def _votes(found: list[FoundFile], located: pd.DataFrame) -> pd.DataFrame:
    ids = {(row.source, row.path): row.sample_id for row in located.itertuples()}
    rows = [
        (ids[row.source, row.path], row.label, row.voter, row.path, 1.0, "")
        for row in found
        if row.label and not row.ignored
    ]
    votes = pd.DataFrame(rows, columns=list(VOTES)).sort_values(list(VOTES))
    return shaped(votes, VOTES)


def _samples(measures: pd.DataFrame, located: pd.DataFrame, votes: pd.DataFrame) -> pd.DataFrame:
    held = located[located["status"] != "ignored"]
    held = held.assign(rank=held["split"].map({name: place for place, name in enumerate(("", *SPLITS))}))
    files = held.groupby("sample_id").agg(
        path=("path", "first"),
        source=("source", "first"),
        locations=("path", "size"),
        rank=("rank", "max"),
    )
    # Of the splits that the copies of one content came with, the one that must not be trained on.
    files["given_split"] = files["rank"].map(dict(enumerate(("", *SPLITS))))
    samples = measures.merge(files.reset_index(), on="sample_id")
    samples["given_label"] = samples["sample_id"].map(given_labels(votes))
    return shaped(samples.sort_values("sample_id"), SAMPLES)


def _metadata(found: list[FoundFile], located: pd.DataFrame) -> pd.DataFrame:
    ids = {(row.source, row.path): row.sample_id for row in located.itertuples()}
    rows = [
        {**dict(row.metadata), "sample_id": ids[row.source, row.path], "path": row.path}
        for row in found
        if row.metadata
    ]
    return pd.DataFrame(rows or None, columns=None if rows else ["sample_id", "path"]).drop_duplicates()
