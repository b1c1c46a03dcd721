"""Reads the samples that labels can be learnt from, and those that lack one."""

from __future__ import annotations

import pandas as pd

from curate.images.samples import Scan, read_scan
from curate.log.decision import UNTAUGHT
from curate.log.decisions import read_decisions
from curate.log.outcomes import fold_decisions
from curate.spec.model import Spec
from curate.storage.folder import DatasetFolder
from curate.versions.groups import read_groups
from curate.versions.labels import resolve_labels
from curate.versions.places import place_samples


def unlabelled_samples(dataset: DatasetFolder, spec: Spec) -> list[str]:
    """Return the ids of the samples that `curate label` would propose a label for: readable, not left out, no label."""
    rows = gather_pool(dataset, spec, read_scan(dataset))
    return list(rows.loc[rows["is_unlabelled"], "sample_id"])


def gather_pool(dataset: DatasetFolder, spec: Spec, scan: Scan) -> pd.DataFrame:
    """Return a row for each sample that is labelled or lacks a label; see ``propose.Proposals`` for the columns."""
    decisions = read_decisions(dataset.decisions)
    now = resolve_labels(scan, fold_decisions(decisions), spec)
    by_people = resolve_labels(scan, fold_decisions([one for one in decisions if one.tool not in UNTAUGHT]), spec)
    taught = now["sample_id"].map(by_people.set_index("sample_id")["label"])
    now["group_id"] = now["sample_id"].map(read_groups(dataset, scan))
    now["split"] = now["sample_id"].map(place_samples(dataset, now, spec).split).fillna("")
    now["is_unlabelled"] = now["excluded"] == "unlabelled"
    # A label that only a policy or an acceptance in bulk made is right now, but nothing to learn from.
    now["label"] = now["label"].where((now["label"] == taught) & (now["excluded"] == ""), "")
    wanted = now["is_unlabelled"] | (now["excluded"] == "")
    columns = ["sample_id", "path", "label", "is_unlabelled", "group_id", "split"]
    return now.loc[wanted, columns].sort_values("sample_id", ignore_index=True)


def missing_classes(rows: pd.DataFrame, spec: Spec) -> list[str]:
    """Return the classes that no label can be learnt of, in the order of the spec."""
    known = set(rows["label"])
    return [name for name in spec.classes if name not in known]


def tell_missing(missing: list[str], spec: Spec) -> str:
    """Return the sentence that says which classes have no label yet, and what to do."""
    have = len(spec.classes) - len(missing)
    named = ", ".join(f"`{name}`" for name in missing[:5]) + (" ..." if len(missing) > 5 else "")
    effect = "Nothing can be learnt yet" if have < 2 else "No sample can be proposed as one of the others"
    return (
        f"{have} of {len(spec.classes)} classes have a label. {effect}: label at least one each of {named} by hand, "
        f"as in `curate decide PATH relabel {missing[0]}`, or in `curate review`."
    )
