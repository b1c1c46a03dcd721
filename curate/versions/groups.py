"""Reads the groups of near copies that the last audit found."""

from __future__ import annotations

import pandas as pd

from curate.images.samples import Scan
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder
from curate.storage.tables import read_table


def read_groups(dataset: DatasetFolder, scan: Scan) -> pd.Series:
    """Return the near-duplicate group of each readable sample, indexed by sample_id.

    Raises
    ------
    Problem
        When the audit has not seen all samples yet: a split without groups could leak.
    """
    table = read_group_table(dataset)
    groups = table.set_index("sample_id")["group_id"]
    readable = scan.samples.loc[scan.samples["reason"] == "", "sample_id"]
    unseen = int((~readable.isin(groups.index)).sum())
    if unseen:
        raise Problem(f"{unseen} samples are newer than the last audit. Run `curate audit {dataset.path}` first.")
    return groups


def read_group_table(dataset: DatasetFolder) -> pd.DataFrame:
    """Return one row a readable sample: ``sample_id, group_id, kind, keeper``, as the last audit left it."""
    return read_table(dataset.cache / "groups.parquet", f"curate audit {dataset.path}")
