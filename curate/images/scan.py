"""Sources to samples: every file found, read once, hashed, decoded, measured, and accounted for.

Incremental on two levels: a file whose size and times did not change is not opened again, and content that was measured
before, under whatever name, is not decoded again.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd

from curate.images.measure import measure_content
from curate.images.sources import LARGEST_FILE, FoundFile, find_files, printed
from curate.images.thumbnails import thumbnail_cache
from curate.log.consensus import overlay_consensus
from curate.log.votes import by_people, read_votes
from curate.spec.model import Images, Spec
from curate.storage.cache import ContentCache
from curate.storage.engine import batched, map_batches
from curate.storage.files import Problem, read_json, write_json
from curate.storage.folder import DatasetFolder
from curate.storage.progress import track
from curate.storage.tables import LOCATIONS, MEASURES, SAMPLES, SPLITS, VOTES, empty, read_table, shaped, write_table

BATCH = 32  # files a task: small enough that Ctrl-C answers at once
FLUSH = 16  # batches a shard: what a kill can cost is 512 images
TABLES = ("samples", "locations", "votes", "metadata")
KEPT = ("files-v1", "review")  # not made of pixels; `review` tells edits in the App that were not pulled yet


@dataclass(frozen=True)
class Scan:
    """The tables of a scan; see ``storage.tables`` for their columns. ``metadata`` holds a CSV's further columns."""

    samples: pd.DataFrame
    locations: pd.DataFrame
    votes: pd.DataFrame
    metadata: pd.DataFrame

    def counts(self) -> dict[str, int]:
        """Return samples, locations (further copies), unreadable and ignored: together the files found."""
        status = self.locations["status"].value_counts()
        names = {"samples": "sample", "locations": "location", "unreadable": "unreadable", "ignored": "ignored"}
        return {name: int(status.get(value, 0)) for name, value in names.items()}


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
    ids, lost = _read_files(dataset, found, spec.images, workers, engine)
    found = [replace(row, reason=lost.get(str(row.file), row.reason)) for row in found]
    scan = _tabulate(dataset, found, ids, _measures(dataset))
    for name in TABLES:
        write_table(dataset.cache / f"{name}.parquet", getattr(scan, name))
    return join_votes(scan, read_votes(dataset.votes))


def read_scan(dataset: DatasetFolder) -> Scan:
    """Return the last scan with the votes given up to now and their consensus, which the audit makes.

    Raises
    ------
    Problem
        When there was no scan; it names the command.
    """
    scan = read_voted(dataset)
    return replace(scan, samples=overlay_consensus(dataset, scan.samples, scan.votes))


def read_voted(dataset: DatasetFolder) -> Scan:
    """Return the last scan with the votes given up to now; a label given by several is what most of them say."""
    return join_votes(read_sources(dataset), read_votes(dataset.votes))


def read_sources(dataset: DatasetFolder) -> Scan:
    """Return the last scan as its sources state it, without votes.jsonl."""
    made_by = f"curate scan {dataset.path}"
    expected = {"samples": SAMPLES, "locations": LOCATIONS, "votes": VOTES, "metadata": ()}
    files = {name: dataset.cache / f"{name}.parquet" for name in TABLES}
    return Scan(**{name: read_table(file, made_by, expected[name]) for name, file in files.items()})


def join_votes(scan: Scan, said: pd.DataFrame) -> Scan:
    """Return ``scan`` with the votes ``said`` outside its sources, where it knows the sample, and its given labels.

    What a voter said wins over what a source states of the same voter and sample.
    """
    said = said[said["sample_id"].isin(scan.samples["sample_id"])]
    if not len(said):
        return scan
    key = ["sample_id", "voter"]
    is_older = pd.MultiIndex.from_frame(scan.votes[key]).isin(pd.MultiIndex.from_frame(said[key]))
    votes = shaped(pd.concat([scan.votes[~is_older], said]).sort_values(list(VOTES)), VOTES)
    given = given_labels(votes).to_dict()  # a dict: mapping text by a table is slow
    labels = [given.get(one, "") for one in scan.samples["sample_id"]]
    return replace(scan, votes=votes, samples=shaped(scan.samples.assign(given_label=labels), SAMPLES))


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


def _measures(dataset: DatasetFolder) -> ContentCache:
    return ContentCache(dataset.cache, "measures-v4")


def _known_files(dataset: DatasetFolder) -> ContentCache:
    return ContentCache(dataset.cache, "files-v1", key="file_key")


def _forget_other_policy(dataset: DatasetFolder, policy: Images) -> None:
    """Drop what was made of the pixels when the ``images:`` policy changed: all of it is the cache's to make again."""
    stored = dataset.cache / "images.json"
    if stored.is_file() and read_json(stored) == policy.model_dump():
        return
    for child in dataset.cache.iterdir() if dataset.cache.is_dir() else ():
        if child.is_dir() and child.name not in KEPT:
            shutil.rmtree(child)
    write_json(stored, policy.model_dump())


def _read_files(
    dataset: DatasetFolder, found: list[FoundFile], policy: Images, workers: int | None, engine: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the sample id of each file that can be opened, and of the others why not; reads only what is not known.

    That a file could not be opened is not kept: the next scan tries again.
    """
    wanted = {str(row.file): row for row in found if not row.ignored and not row.reason}
    keys = {name: _file_key(row.file, _shown(dataset, row.file)) for name, row in wanted.items()}
    cache = _known_files(dataset)
    known = cache.read()
    ids = dict(zip(known["file_key"], known["sample_id"], strict=True)) if len(known) else {}
    pictured = thumbnail_cache(dataset).keys()
    measured, lost = _measured(dataset, pictured), {}
    ids = {key: sample_id for key, sample_id in ids.items() if sample_id in measured}
    todo = [name for name in wanted if keys[name] not in ids]
    task = partial(_read_batch, policy=policy, measured=frozenset(measured))
    results = map_batches(task, batched(todo, BATCH), workers, engine)
    with contextlib.closing(results):
        for rows in _in_shards(track(results, len(todo), "scan"), FLUSH):
            lost.update({row.file: row.lost for row in rows if row.lost})
            ids.update(_keep(dataset, cache, [row for row in rows if not row.lost], keys, pictured))
    return {name: ids[keys[name]] for name in wanted if keys[name] in ids}, lost


def _measured(dataset: DatasetFolder, pictured: set[str]) -> set[str]:
    """Return the contents that need no second decoding: unreadable, or with the thumbnail that later stages want."""
    known = _measures(dataset).read(columns=["sample_id", "reason"])
    if not len(known):
        return set()
    return set(known.loc[known["reason"] != "", "sample_id"]) | (pictured & set(known["sample_id"]))


def _file_key(file: Path, name: str) -> str:
    """Name, size and times: when they are as before, so is the content (as git and make assume).

    ``name`` is seen from the dataset, so that it does not matter from where the command is run.
    """
    try:
        state = file.stat()
    except OSError:
        return f"{name}|gone"
    return f"{name}|{state.st_size}|{state.st_mtime_ns}|{state.st_ctime_ns}"


@dataclass(frozen=True)
class _Read:
    file: str
    sample_id: str
    measures: dict[str, object] | None = None
    thumbnail: bytes = b""
    lost: str = ""  # why there is no content


def _read_batch(files: list[str], policy: Images, measured: frozenset[str]) -> list[_Read]:
    return [_read_file(Path(file), policy, measured) for file in files]


def _read_file(file: Path, policy: Images, measured: frozenset[str]) -> _Read:
    """Read ``file`` once: its hash is its identity, and the same bytes are decoded unless that was done before."""
    try:
        size = file.stat().st_size
        if size > LARGEST_FILE:
            return _Read(str(file), "", lost=f"{size:,} bytes; files over {LARGEST_FILE:,} are not read")
        content = file.read_bytes()
    except OSError as error:
        return _Read(str(file), "", lost=f"cannot be opened: {error.strerror}")
    sample_id = hashlib.sha256(content).hexdigest()[:20]
    if sample_id in measured:
        return _Read(str(file), sample_id)
    measures, thumbnail = measure_content(content, policy)
    return _Read(str(file), sample_id, measures, thumbnail)


def id_without_content(name: str) -> str:
    """Return the id that stands for a file whose bytes cannot be read."""
    return hashlib.sha256(b"no content:" + name.encode("utf-8", "surrogateescape")).hexdigest()[:20]


def _in_shards(results: Iterator[list[_Read]], size: int) -> Iterator[list[_Read]]:
    """Join ``size`` batches; what is read when the run is interrupted is still handed on."""
    rows: list[_Read] = []
    try:
        for count, batch in enumerate(results, 1):
            rows.extend(batch)
            if count % size == 0:
                yield rows
                rows = []
    except KeyboardInterrupt:
        if rows:
            yield rows
        raise
    if rows:
        yield rows


def _keep(
    dataset: DatasetFolder, cache: ContentCache, rows: list[_Read], keys: dict[str, str], pictured: set[str]
) -> dict[str, str]:
    """Write one shard of each cache. The files come last: a known file always has its measures and thumbnail.

    ``pictured`` are the contents with a thumbnail already: after an upgrade they are only measured again.
    """
    new = {row.sample_id: row for row in rows if row.measures is not None}
    thumbnails = [
        {"sample_id": row.sample_id, "image": row.thumbnail}
        for row in new.values()
        if row.thumbnail and row.sample_id not in pictured
    ]
    thumbnail_cache(dataset).add(pd.DataFrame(thumbnails))
    measures = pd.DataFrame([{"sample_id": row.sample_id, **(row.measures or {})} for row in new.values()])
    if len(measures):
        _measures(dataset).add(shaped(measures, MEASURES))
    ids = {keys[row.file]: row.sample_id for row in rows}
    cache.add(pd.DataFrame({"file_key": list(ids), "sample_id": list(ids.values())}))
    return ids


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
            sample_id = id_without_content(_shown(dataset, row.file))
        reason = row.ignored or row.reason or reasons.get(sample_id, "")
        rows.append((row.source, row.path, row.file, row.label, row.split, sample_id, bool(row.ignored), reason))
    table = []
    for source, path, file, label, split, sample_id, ignored, reason in sorted(rows, key=lambda one: one[:2]):
        status = "ignored" if ignored else "unreadable" if reason else "location" if sample_id in first else "sample"
        first.add(sample_id)
        table.append((path, _shown(dataset, file), source, label, split, sample_id, status, reason))
    return pd.DataFrame(table, columns=list(LOCATIONS))


def _shown(dataset: DatasetFolder, file: Path) -> str:
    return printed(file.relative_to(dataset.path).as_posix() if file.is_relative_to(dataset.path) else str(file))


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


def given_labels(votes: pd.DataFrame) -> pd.Series:
    """Return the label most people gave each sample, indexed by sample_id; '' where the votes tie.

    Each voter counts once for each label it gave, however many copies of the file there are. Models, prototypes and
    rules do not count: what they say is a proposal.
    """
    votes = by_people(votes)
    if not len(votes):
        return pd.Series(dtype="str")
    counts = votes.drop_duplicates(["sample_id", "label", "voter"]).groupby(["sample_id", "label"]).size()
    top = counts[counts == counts.groupby("sample_id").transform("max")].reset_index()
    top["label"] = top["label"].where(~top["sample_id"].duplicated(keep=False), "")
    return top.drop_duplicates("sample_id").set_index("sample_id")["label"]


def _metadata(found: list[FoundFile], located: pd.DataFrame) -> pd.DataFrame:
    ids = {(row.source, row.path): row.sample_id for row in located.itertuples()}
    rows = [
        {**dict(row.metadata), "sample_id": ids[row.source, row.path], "path": row.path}
        for row in found
        if row.metadata
    ]
    return pd.DataFrame(rows or None, columns=None if rows else ["sample_id", "path"]).drop_duplicates()
