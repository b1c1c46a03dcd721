"""Reads the content of files: each new or changed file is read once, hashed, decoded and measured."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from curate.images.measure import measure_content
from curate.images.sources import LARGEST_FILE, FoundFile, printed
from curate.images.thumbnails import thumbnail_cache
from curate.spec.model import Images
from curate.storage.cache import ContentCache
from curate.storage.engine import batched, map_batches
from curate.storage.folder import DatasetFolder
from curate.storage.progress import track
from curate.storage.tables import MEASURES, shaped

BATCH = 32  # files a task: small enough that Ctrl-C answers at once
FLUSH = 16  # batches a shard: what a kill can cost is 512 images


def measures_cache(dataset: DatasetFolder) -> ContentCache:
    """Return the cache of what was measured of each content, keyed by sample_id: columns ``tables.MEASURES``."""
    return ContentCache(dataset.cache, "measures-v4")


def _known_files(dataset: DatasetFolder) -> ContentCache:
    return ContentCache(dataset.cache, "files-v1", key="file_key")


def read_contents(
    dataset: DatasetFolder, found: list[FoundFile], policy: Images, workers: int | None, engine: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the sample id of each file that can be opened, and of the others why not; reads only what is not known.

    That a file could not be opened is not kept: the next scan tries again.
    """
    wanted = {str(row.file): row for row in found if not row.ignored and not row.reason}
    keys = {name: _file_key(row.file, shown_path(dataset, row.file)) for name, row in wanted.items()}
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
    known = measures_cache(dataset).read()  # whole: a shard that is damaged beyond these columns is measured again now
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
        measures_cache(dataset).add(shaped(measures, MEASURES))
    ids = {keys[row.file]: row.sample_id for row in rows}
    cache.add(pd.DataFrame({"file_key": list(ids), "sample_id": list(ids.values())}))
    return ids


def shown_path(dataset: DatasetFolder, file: Path) -> str:
    """Return ``file`` as tables name it: seen from the dataset folder where it lies in it, else whole."""
    return printed(file.relative_to(dataset.path).as_posix() if file.is_relative_to(dataset.path) else str(file))
