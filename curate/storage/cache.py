"""Caches rows of finished work, keyed by content, as Parquet shards in ``.curate/``.

A shard is written whole after each batch, so an interrupted run keeps every finished batch and the next run does only
what is missing. Deleting the folder costs time, never truth; a damaged shard is taken for one that was deleted.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from curate.storage.engine import batched
from curate.storage.files import read_or_remove
from curate.storage.tables import read_parquet, write_table

SHARDS_BEFORE_MERGE = 16
MERGED_AT_ONCE = 64  # of thumbnails: some 500 MB
ROWS_PER_GROUP = 256


class ContentCache:
    """Rows with a unique ``key`` column under ``folder/name``; ``name`` carries the function's version and parameters.

    >>> import tempfile
    >>> cache = ContentCache(Path(tempfile.mkdtemp()), "double-v1", key="sample_id")
    >>> cache.add(pd.DataFrame({"sample_id": ["a"], "twice": [2]}))
    >>> cache.missing(["a", "b"])
    ['b']
    """

    def __init__(self, folder: Path, name: str, key: str = "sample_id") -> None:
        self.folder = folder / name
        self.key = key

    def keys(self) -> set[str]:
        """Return the keys of all rows, reading only that column."""
        tables = self._each_shard(partial(read_parquet, columns=[self.key]))
        return {key for table in tables for key in table[self.key]}

    def missing(self, keys: Sequence[str]) -> list[str]:
        """Return the ``keys`` without a row, each once, in their order."""
        known = self.keys()
        return [key for key in dict.fromkeys(keys) if key not in known]

    def complete(self, keys: Sequence[str], make: Callable[[list[str]], Iterable[pd.DataFrame]]) -> pd.DataFrame:
        """Return a row for each of ``keys``, sorted; ``make`` is asked for those without one, and what it yields kept.

        They are read whole before it is known which are missing: a shard can be damaged beyond its keys.
        """
        tables = [self.read(keys)]
        known = set(tables[0][self.key])
        if missing := [key for key in dict.fromkeys(keys) if key not in known]:
            for rows in make(missing):
                self.add(rows)
                tables.append(rows)
        filled = [table for table in tables if len(table)]
        rows = pd.concat(filled, ignore_index=True) if filled else tables[0]
        return rows.sort_values(self.key, ignore_index=True)

    def add(self, rows: pd.DataFrame) -> None:
        """Keep ``rows``; on disk when this returns."""
        if len(rows):
            path = self.folder / f"{os.getpid()}-{secrets.token_hex(8)}.parquet"
            # Sorted small row groups: a read of some keys skips the groups that cannot hold them.
            write_table(path, rows.sort_values(self.key), rows_per_group=ROWS_PER_GROUP)

    def read(self, keys: Sequence[str] | None = None, columns: list[str] | None = None) -> pd.DataFrame:
        """Return the rows of ``keys`` (all when None), sorted by key; keys without a row are left out."""
        self._merge()
        if keys is not None and not len(keys):
            return pd.DataFrame(columns=columns or [self.key])
        wanted = [(self.key, "in", set(keys))] if keys is not None and len(keys) < 10_000 else None
        tables = self._each_shard(partial(read_parquet, columns=columns, filters=wanted))
        if not tables:
            return pd.DataFrame(columns=columns or [self.key])
        rows = pd.concat(tables, ignore_index=True).drop_duplicates(self.key)
        if keys is not None:
            rows = rows[rows[self.key].isin(set(keys))]
        return rows.sort_values(self.key, ignore_index=True)

    def _shards(self) -> list[Path]:
        return sorted(self.folder.glob("*.parquet")) if self.folder.is_dir() else []

    def _each_shard(self, read: Callable[[Path], pd.DataFrame]) -> list[pd.DataFrame]:
        while True:
            try:
                found = [read_or_remove(shard, read) for shard in self._shards()]
                return [rows for rows in found if rows is not None]
            except FileNotFoundError:  # another process has joined shards meanwhile: look again
                continue

    def _merge(self) -> None:
        """Join many small shards into one: opening files is what a read of a grown cache would spend its time on."""
        with contextlib.suppress(FileNotFoundError):  # another process joins them just now
            shards = [shard for shard in self._shards() if shard.stat().st_size < 32_000_000]
            if len(shards) < SHARDS_BEFORE_MERGE:
                return
            for part in batched(shards, MERGED_AT_ONCE):
                tables = [read_or_remove(shard, read_parquet) for shard in part]
                if any(table is not None for table in tables):  # pandas passes over None
                    self.add(pd.concat(tables, ignore_index=True).drop_duplicates(self.key))
                for shard in part:
                    shard.unlink(missing_ok=True)
