"""Finds leaked test samples: those with a copy in training data or in another dataset.

Each source of leaks is told apart: the splits as given, a version whose copies only a later audit found, and each other
set that was compared (``curate audit --against``).
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from curate.audit.against import read_against
from curate.audit.findings import read_findings
from curate.images.samples import read_scan
from curate.storage.files import read_cached
from curate.storage.folder import DatasetFolder
from curate.storage.tables import read_parquet
from curate.versions.read import read_manifest

GIVEN = "were given to train or val"


@dataclass(frozen=True)
class Leak:
    """Test samples with copies somewhere: ``where`` ends the sentence "12 test images have copies that ..."."""

    where: str
    sample_ids: frozenset[str]


def find_leaks(dataset: DatasetFolder, version: str) -> list[Leak]:
    """Return the leaks of the test split of ``version``, by source; sources without any are left out."""
    manifest = read_manifest(dataset, version)
    test = set(manifest.loc[manifest["split"] == "test", "sample_id"])
    leaks = [
        Leak(GIVEN, frozenset(test & given_leaks(dataset))),
        Leak(f"are in train or val of {version}", frozenset(test & version_leaks(dataset, manifest))),
        *(
            Leak(f"are in {one.record['other']}", frozenset(test & set(one.pairs["sample_id"])))
            for one in read_against(dataset)
        ),
    ]
    return [leak for leak in leaks if leak.sample_ids]


def given_leaks(dataset: DatasetFolder) -> set[str]:
    """Return the samples given to test whose copies were given to train or val, as the last audit found."""
    path = dataset.cache / "findings.parquet"
    if not path.is_file():
        return set()
    findings = read_findings(dataset)
    found = findings[(findings["issue"] == "leakage") & findings["is_issue"]]
    samples = read_scan(dataset).samples
    given = set(samples.loc[samples["given_split"] == "test", "sample_id"])
    return given & set(found["sample_id"])


def version_leaks(dataset: DatasetFolder, manifest: pd.DataFrame) -> set[str]:
    """Return a version's test samples with near copies in its train or val, which an audit found after the build."""
    groups = read_cached(dataset.cache / "groups.parquet", read_parquet)
    if groups is None:
        return set()
    group = groups.set_index("sample_id")["group_id"]
    rows = manifest.assign(group_id=manifest["sample_id"].map(group)).dropna(subset=["group_id"])
    seen = set(rows.loc[rows["split"] != "test", "group_id"])
    return set(rows.loc[(rows["split"] == "test") & rows["group_id"].isin(seen), "sample_id"])
