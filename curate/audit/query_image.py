"""Resolves a sample's id or path, or the name of any image file, to an image."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from curate.images.measure import measure_content
from curate.images.samples import Scan, find_sample
from curate.images.sources import LARGEST_FILE
from curate.spec.model import Spec
from curate.storage.files import Problem


@dataclass(frozen=True)
class QueryImage:
    """The image asked about: a row as of ``Scan.samples`` and, when it comes from outside, its thumbnail."""

    name: str
    sample_id: str
    row: pd.DataFrame
    thumbnail: bytes = b""  # of a sample: in the cache
    is_file: bool = False  # named as a file, not as a sample


def find_image(scan: Scan, spec: Spec, name: str) -> QueryImage:
    """Return the sample or file that ``name`` means.

    Raises
    ------
    Problem
        When it is neither a sample nor a file, or it cannot be read as an image.
    """
    try:
        sample_id = find_sample(scan, name)
    except Problem as problem:
        return _read_image(scan, spec, name, str(problem))
    return _of_sample(scan, name, sample_id, is_file=False)


def _of_sample(scan: Scan, name: str, sample_id: str, is_file: bool) -> QueryImage:
    row = scan.samples[scan.samples["sample_id"] == sample_id]
    if not len(row) or row["reason"].iloc[0]:
        raise Problem(
            f"{name} is in the dataset, but cannot be read: {row['reason'].iloc[0] if len(row) else 'ignored'}."
        )
    return QueryImage(name, sample_id, row, is_file=is_file)


def _read_image(scan: Scan, spec: Spec, name: str, why_no_sample: str) -> QueryImage:
    """Return the image in the file ``name``; its bytes are decoded only by ``curate.images.decoder``."""
    content = _read_content(name, why_no_sample)
    sample_id = hashlib.sha256(content).hexdigest()[:20]
    if sample_id in set(scan.samples["sample_id"]):
        return _of_sample(scan, name, sample_id, is_file=True)
    measures, thumbnail = measure_content(content, spec.images)
    if measures["reason"]:
        raise Problem(f"{name}: expected an image, but {measures['reason']}.")
    row = pd.DataFrame([{"sample_id": sample_id, "path": name, **measures}]).reindex(columns=scan.samples.columns)
    return QueryImage(name, sample_id, row, thumbnail, is_file=True)


def _read_content(name: str, why_no_sample: str) -> bytes:
    file = Path(name)
    try:
        if file.is_dir():
            raise Problem(f"Expected an image, but {name} is a folder. `curate audit --against` compares folders.")
        if not file.is_file():
            hint = "addresses are not opened: save the image first" if "://" in name else "nor is there such a file"
            raise Problem(f"{why_no_sample.rstrip('.')}; {hint}.")
        if file.stat().st_size > LARGEST_FILE:
            raise Problem(f"{name}: {file.stat().st_size:,} bytes; files over {LARGEST_FILE:,} are not read.")
        return file.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name that holds a zero byte
        raise Problem(f"{name} cannot be opened: {getattr(error, 'strerror', None) or error}.") from None
