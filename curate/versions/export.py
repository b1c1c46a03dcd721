"""Exports a version to a folder that other tools read: class folders, a CSV, or Parquet with the images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from curate.images.samples import read_scan
from curate.storage.files import Problem, making_folder, write_json
from curate.storage.folder import DatasetFolder
from curate.storage.progress import track
from curate.storage.tables import SPLITS, write_table
from curate.versions.read import read_manifest, read_soft_labels, read_version

FORMULA = ("=", "+", "-", "@", "\t", "\r")
ROWS_PER_SHARD = 2_000
SHARE = "share_"


def export_version(dataset: DatasetFolder, version: str, to: Path, form: str = "imagefolder") -> Path:
    """Write ``version`` to the new folder ``to`` and return it; source files are copied, never linked or moved.

    ``imagefolder``: ``split/class/<sample_id>.<suffix>`` and ``manifest.csv``. ``csv``: ``<split>.csv`` with the paths
    of the source files. ``parquet``: ``<split>-NNNNN.parquet`` with columns image {bytes, path}, label, sample_id.
    The last two have a column ``share_<class>`` for each class if the version carries soft labels.

    Raises
    ------
    Problem
        When ``to`` exists and is not empty, the format is unknown, or a source file changed since the scan (``csv``
        opens no file and notices only that one is gone).
    """
    if form not in FORMATS:
        raise Problem(f"Expected a format ({', '.join(FORMATS)}), found {form!r}.")
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise Problem(f"Expected a new or empty folder to export to, but {to} holds something. Name another one.")
    record = read_version(dataset, version)
    rows = _with_soft_labels(with_files(dataset, read_manifest(dataset, version)), read_soft_labels(dataset, version))
    with making_folder(to) as making:
        FORMATS[form](rows, making)
        write_json(making / "version.json", record)
        if to.exists():
            to.rmdir()
    return to


def with_files(dataset: DatasetFolder, manifest: pd.DataFrame) -> pd.DataFrame:
    """Return ``manifest`` with a column ``file``: where each sample's bytes lie now, wherever they were before."""
    held = read_scan(dataset).locations.query("status in ('sample', 'location')").drop_duplicates("sample_id")
    files = dict(zip(held["sample_id"], held["file"], strict=True))
    missing = [row.path for row in manifest.itertuples() if row.sample_id not in files]
    if missing:
        raise Problem(
            f"{len(missing)} samples of the version are in no source any more ({', '.join(missing[:3])}). "
            "Bring the files back and run `curate scan`."
        )
    return manifest.assign(file=[str(dataset.path / files[one]) for one in manifest["sample_id"]])


def _with_soft_labels(rows: pd.DataFrame, soft_labels: pd.DataFrame | None) -> pd.DataFrame:
    """Return ``rows`` with a column ``share_<class>`` for each class, if the version carries soft labels."""
    if soft_labels is None:
        return rows
    named = soft_labels.rename(columns={name: f"{SHARE}{name}" for name in soft_labels.columns if name != "sample_id"})
    return rows.merge(named, on="sample_id", how="left")


def _share_columns(rows: pd.DataFrame) -> list[str]:
    return [name for name in rows.columns if name.startswith(SHARE)]


def safe_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Return ``table`` with an apostrophe before text that a spreadsheet would run as a formula.

    References
    ----------
    OWASP, CSV Injection.
    """
    has_text = [name for name in table.columns if any(isinstance(cell, str) for cell in table[name])]
    return table.assign(**{name: table[name].map(_safe_cell) for name in has_text})


def _safe_cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _write_imagefolder(rows: pd.DataFrame, to: Path) -> None:
    places = [f"{row.split}/{row.label}/{row.sample_id}{Path(row.file).suffix.lower()}" for row in rows.itertuples()]
    for row, place in track(zip(rows.itertuples(), places, strict=True), len(rows), "export"):
        target = to / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(_read(row.file, row.sample_id))
    listed = rows.assign(file=places)[["file", "label", "split", "sample_id", "path"]]
    safe_cells(listed).to_csv(to / "manifest.csv", index=False)


def _write_csv(rows: pd.DataFrame, to: Path) -> None:
    for split in SPLITS:
        chosen = rows[rows["split"] == split]
        absolute = chosen.assign(path=[str(Path(file).resolve()) for file in chosen["file"]])
        safe_cells(absolute[["path", "label", "sample_id", *_share_columns(rows)]]).to_csv(
            to / f"{split}.csv", index=False
        )


def _write_parquet(rows: pd.DataFrame, to: Path) -> None:
    shards = [
        (split, start, chosen.iloc[start : start + ROWS_PER_SHARD])
        for split, chosen in rows.groupby("split", sort=True)
        for start in range(0, len(chosen), ROWS_PER_SHARD)
    ]
    for split, start, shard in track(shards, len(shards), "export", unit="shards"):
        images = [
            {"bytes": _read(row.file, row.sample_id), "path": f"{row.sample_id}{Path(row.file).suffix.lower()}"}
            for row in shard.itertuples()
        ]
        table = shard[["label", "sample_id", *_share_columns(rows)]].reset_index(drop=True)
        table.insert(0, "image", images)
        write_table(to / f"{split}-{start // ROWS_PER_SHARD:05d}.parquet", table)


def _read(file: str, sample_id: str) -> bytes:
    try:
        content = Path(file).read_bytes()
    except OSError as error:
        raise Problem(
            f"Expected to read {file}, but {error.strerror}. Run `curate scan` to see what changed."
        ) from None
    if hashlib.sha256(content).hexdigest()[:20] != sample_id:
        raise Problem(
            f"Expected {file} to be the sample {sample_id}, but it has changed since the scan. "
            "Bring the old file back, or run `curate scan` and build a new version."
        )
    return content


FORMATS: dict[str, Callable[[pd.DataFrame, Path], None]] = {
    "imagefolder": _write_imagefolder,
    "csv": _write_csv,
    "parquet": _write_parquet,
}
