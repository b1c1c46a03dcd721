"""Checks a version against the rules of the spec: what must hold, what was found, and whether it holds."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import pandas as pd

from curate.audit.audit import DETECTORS
from curate.audit.findings import open_findings
from curate.images.samples import read_scan
from curate.log.decision import CONFLICT
from curate.spec.model import Check, Spec
from curate.storage.files import Problem, read_cached
from curate.storage.folder import DatasetFolder
from curate.storage.tables import read_parquet
from curate.versions.read import current_version, read_manifest


@dataclass(frozen=True)
class Rule:
    """One rule of ``check:`` and how the version meets it."""

    rule: str
    ok: bool
    expected: str
    found: str

    def row(self) -> dict[str, object]:
        return asdict(self)


def check_dataset(dataset: DatasetFolder, spec: Spec) -> list[Rule]:
    """Return each rule of the spec's ``check:`` with how the current version meets it.

    Raises
    ------
    Problem
        When no version was built yet, or ``max_undecided`` names an issue that there is not.
    """
    version = current_version(dataset)
    if not version:
        raise Problem(f"There is no version to check yet. Run `curate build {dataset.path}` first.")
    known = sorted({*DETECTORS, CONFLICT})
    unknown = [issue for issue in spec.check.max_undecided if issue not in known]
    if unknown:  # a rule with a slip of the pen would always hold
        raise Problem(
            f"{dataset.spec}: check.max_undecided: expected issues ({', '.join(known)}), found {', '.join(unknown)}."
        )
    unreadable = read_scan(dataset).counts()["unreadable"]
    counts = open_findings(dataset)["issue"].value_counts().to_dict()
    manifest = with_groups_now(dataset, read_manifest(dataset, version))
    return check_manifest(manifest, spec.class_names, spec.check, unreadable, counts)


def with_groups_now(dataset: DatasetFolder, manifest: pd.DataFrame) -> pd.DataFrame:
    """Return ``manifest`` with the groups of the last audit: it may know copies that the build did not know of yet."""
    groups = read_cached(dataset.cache / "groups.parquet", read_parquet)
    if groups is None:
        return manifest
    now = manifest["sample_id"].map(groups.set_index("sample_id")["group_id"])
    return manifest.assign(group_id=now.where(now.notna(), manifest["group_id"]))


def check_manifest(
    manifest: pd.DataFrame, classes: list[str], rules: Check, unreadable: int, undecided: dict[str, int]
) -> list[Rule]:
    """Return how a manifest meets ``rules``; a rule that is None is left out."""
    size = manifest["label"].value_counts().reindex(classes, fill_value=0)
    tested = manifest.loc[manifest["split"] == "test", "label"].value_counts().reindex(classes, fill_value=0)
    results = []
    if rules.min_per_class is not None:
        results.append(_at_least("min_per_class", size, rules.min_per_class))
    if rules.min_test_per_class is not None:
        results.append(_at_least("min_test_per_class", tested, rules.min_test_per_class))
    if rules.max_imbalance is not None:
        ratio = size.max() / size.min() if size.min() else float("inf")
        results.append(
            Rule("max_imbalance", bool(ratio <= rules.max_imbalance), f"<= {rules.max_imbalance:g}", f"{ratio:.2f}")
        )
    if rules.max_unreadable is not None:
        limit = rules.max_unreadable
        results.append(Rule("max_unreadable", unreadable <= limit, f"<= {limit}", str(unreadable)))
    for issue, limit in rules.max_undecided.items():
        found = undecided.get(issue, 0)
        results.append(Rule(f"max_undecided.{issue}", found <= limit, f"<= {limit}", str(found)))
    if rules.no_leakage:
        leaks = int((manifest.groupby("group_id")["split"].nunique() > 1).sum())
        results.append(Rule("no_leakage", leaks == 0, "no group of near copies in two splits", f"{leaks} groups"))
    return results


def _at_least(name: str, counts: pd.Series, limit: int) -> Rule:
    found = ", ".join(f"{label} {count}" for label, count in counts.items())
    return Rule(name, bool((counts >= limit).all()), f">= {limit}", found)
