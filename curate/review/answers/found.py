"""Indexes the results of scan and audit by sample, for checking answers."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import pandas as pd

from curate.audit.findings import read_scored
from curate.decide.keepers import find_keepers
from curate.images.samples import read_scan
from curate.log.decision import CONFLICT
from curate.spec.model import Spec
from curate.spec.reading import read_spec
from curate.storage.files import read_cached
from curate.storage.folder import DatasetFolder
from curate.storage.tables import FINDINGS, empty, read_parquet
from curate.versions.places import read_exam

COPIES = "near_duplicate"
GROUPS = ("sample_id", "group_id", "keeper")


@dataclass(frozen=True)
class Evidence:
    """What scan and audit left behind, by sample: findings that are issues, groups of two and more.

    `exam` holds the samples that are in test by themselves: of copies, such a one stays. `keepers` is the copy that
    stays of each sample's group while none is gone, and copies suggest what follows from it. `audited` is whether there
    was an audit: before, nothing is asked.
    """

    spec: Spec
    path: dict[str, str]
    given: dict[str, str]
    findings: dict[str, list[Any]]
    group_of: dict[str, str]
    members: dict[str, list[str]]
    groups: pd.DataFrame
    samples: pd.DataFrame
    exam: AbstractSet[str]
    keepers: dict[str, str]
    audited: bool

    @property
    def issues(self) -> set[str]:
        return {CONFLICT, *(row.issue for rows in self.findings.values() for row in rows)}


def read_evidence(dataset: DatasetFolder) -> Evidence:
    """Return what scan and audit left behind; no findings before the first audit.

    Raises
    ------
    Problem
        When there is no scan.
    """
    spec, samples = read_spec(dataset), read_scan(dataset).samples
    audited = (dataset.cache / "findings.parquet").is_file()
    findings = read_scored(dataset) if audited else empty(FINDINGS)
    groups = read_cached(dataset.cache / "groups.parquet", read_parquet)
    groups = empty(dict.fromkeys(GROUPS, "str")) if groups is None else groups
    groups = groups[groups["group_id"].duplicated(keep=False) & (groups["group_id"] != "")]
    exam = read_exam(dataset, spec, samples)
    keepers = find_keepers(groups, samples, exam=exam)
    issues = _with_keepers(findings[findings["is_issue"]], keepers).sort_values(["score", "issue"])
    by_sample: dict[str, list[Any]] = {}
    for row in issues.itertuples(index=False):
        by_sample.setdefault(row.sample_id, []).append(row)
    return Evidence(
        spec=spec,
        path=dict(zip(samples["sample_id"], samples["path"], strict=True)),
        given=dict(zip(samples["sample_id"], samples["given_label"], strict=True)),
        findings=by_sample,
        group_of=dict(zip(groups["sample_id"], groups["group_id"], strict=True)),
        members=groups.groupby("group_id")["sample_id"].agg(list).to_dict(),
        groups=groups.set_index("sample_id", drop=False).rename_axis(None),
        samples=samples.set_index("sample_id", drop=False).rename_axis(None),
        exam=exam,
        keepers=keepers,
        audited=audited,
    )


def _with_keepers(findings: pd.DataFrame, keepers: Mapping[str, str]) -> pd.DataFrame:
    """Return ``findings`` with the audit's suggestions on copies as the policy would have them."""
    keeper = findings["sample_id"].map(keepers)
    action = (keeper == findings["sample_id"]).map({True: "keep", False: "merge"})
    is_asked = (findings["issue"] == COPIES) & keeper.notna()
    return findings.assign(suggested_action=findings["suggested_action"].mask(is_asked, action))
