"""The columns of the four tables and their paths on disk.

``samples`` one row a content, ``locations`` one row a file found, ``votes`` one row a label from a source,
``findings`` one row a sample and issue. All are plain pandas tables; on disk they are Parquet, written atomically.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow

from curate.storage.files import Damaged, Problem, read_cached, replacing

# What the scan measures of one content; `reason` is why it cannot be read ('' when it can). The numbers from
# brightness on are explained in ``curate.images.measure.measure_quality`` and ``curate.images.appearance``.
MEASURES = {
    "sample_id": "str",
    "bytes": "int64",
    "reason": "str",
    "format": "str",
    "mode": "str",
    "width": "int64",
    "height": "int64",
    "frames": "int64",
    "orientation": "int64",
    "pixel_hash": "str",
    "phash": "uint64",
    "phash_mirrored": "uint64",
    "brightness": "float64",
    "brightness_p99": "float64",
    "brightness_p05": "float64",
    "contrast": "float64",
    "entropy": "float64",
    "colourfulness": "float64",
    "tint_spread": "float64",
    "edge_width": "float64",
    "visible": "float64",
    "uneven": "float64",
    "few_levels": "float64",
    "border_top": "float64",
    "border_bottom": "float64",
    "border_left": "float64",
    "border_right": "float64",
}
SAMPLES = {**MEASURES, "path": "str", "source": "str", "given_label": "str", "given_split": "str", "locations": "int64"}
# One row a file found; `status` is sample | location (a further copy) | unreadable | ignored, `file` opens it.
LOCATIONS = {
    "path": "str",
    "file": "str",
    "source": "str",
    "label": "str",
    "split": "str",
    "sample_id": "str",
    "status": "str",
    "reason": "str",
}
# `share` is how sure the voter was, 0..1 (1 for a person who just said it); `time` is '' for what a source states.
VOTES = {"sample_id": "str", "label": "str", "voter": "str", "path": "str", "share": "float64", "time": "str"}
PROPOSERS = ("model:", "prototype:", "rule:")  # voters that are no people: their votes are never taken as given
FINDINGS = {
    "sample_id": "str",
    "path": "str",
    "issue": "str",
    "score": "float64",
    "is_issue": "bool",
    "group_id": "str",
    "suggested_action": "str",
    "suggested_label": "str",
    "evidence": "str",
    "kind": "str",
    "detector": "str",
}
# Faults of the dataset as a whole, see ``curate.audit.patterns``; `label` is '' for all classes.
PATTERNS = {
    "issue": "str",
    "name": "str",
    "label": "str",
    "samples": "int64",
    "score": "float64",
    "is_issue": "bool",
    "suggested_action": "str",
    "evidence": "str",
}
PATTERN_MEMBERS = {"name": "str", "sample_id": "str"}
MANIFEST = {
    "sample_id": "str",
    "path": "str",
    "label": "str",
    "split": "str",
    "group_id": "str",
    "decided_by": "str",
}
# The columns of `curate findings --format csv`: a stable contract.
FINDINGS_CSV = [name for name in FINDINGS if name != "detector"]
SPLITS = ("train", "val", "test")


def empty(columns: dict[str, str]) -> pd.DataFrame:
    """Return a table with no rows and the given columns and types."""
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in columns.items()})


def shaped(table: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    """Return ``table`` with exactly ``columns``, in that order and of those types; text columns hold '' for nothing."""
    texts = {name: table[name].astype(object).fillna("") for name, kind in columns.items() if kind == "str"}
    return table.assign(**texts)[list(columns)].astype(columns).reset_index(drop=True)


def write_table(path: Path, table: pd.DataFrame, rows_per_group: int = 100_000) -> Path:
    """Write ``table`` as Parquet, whole or not at all."""
    with replacing(path) as temporary:
        # Checksums tell damage in the values from values: without them some bytes less are a table as good as any.
        table.to_parquet(temporary, index=False, row_group_size=rows_per_group, write_page_checksum=True)
    return path


def read_table(path: Path, made_by: str, columns: Iterable[str] = ()) -> pd.DataFrame:
    """Return the Parquet table at ``path`` in the cache; a damaged one is removed as one that is missing.

    Raises
    ------
    Problem
        When the file is missing, or lacks one of ``columns`` as those of older versions do; the sentence names the
        command (``made_by``) that makes it.
    """
    table = read_cached(path, read_parquet)
    if table is None:
        raise Problem(f"Expected the table {path}, but it is not there yet. Run `{made_by}` first.")
    if lacking := [name for name in columns if name not in table.columns]:
        raise Problem(f"{path} is of another version of specurate: it has no column {lacking[0]!r}. Run `{made_by}`.")
    return table


def read_parquet(path: Path, **options: Any) -> pd.DataFrame:
    """Return the Parquet file at ``path``; a folder named ``a=b`` above it adds no column, as it would by default.

    Raises
    ------
    Damaged
        When it is no Parquet file, or its values are not those that were written.
    """
    try:
        return pd.read_parquet(path, partitioning=None, page_checksum_verification=True, **options)
    except (OSError, pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError) as error:
        if isinstance(error, FileNotFoundError) or getattr(error, "errno", None):
            raise  # the file system's word, not one about what is in the file
        raise Damaged(
            f"{path}: expected a Parquet table, but {str(error).splitlines()[0].rstrip('.')}. Restore the file; "
            "if it lies under .curate/, delete it and run the command that makes it again."
        ) from None
