"""Builds the table that the App shows: one row a readable sample, one column a field.

Pure pandas: nothing here knows FiftyOne, so what a reviewer will see can be computed and tested without it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from curate.audit.findings import open_findings, read_findings
from curate.decide.keepers import find_keepers
from curate.images.samples import Scan, read_scan
from curate.log.decision import Decision
from curate.log.decisions import read_decisions
from curate.log.outcomes import fold_decisions
from curate.spec.model import Spec
from curate.spec.reading import read_spec
from curate.storage.files import read_cached
from curate.storage.folder import DatasetFolder, numbered
from curate.storage.tables import FINDINGS, empty, read_parquet, read_table
from curate.versions.places import read_exam
from curate.versions.read import current_version, read_manifest
from curate.versions.slices import find_slice

Kind = Literal["text", "texts", "number", "label"]
LABELS = ("given_label", "suggested_label", "label")
DROP, KEEP = "drop", "keep"
TAGS = (DROP, KEEP)
BEST, COPY = "best", "copy"  # of near copies: the one that stays, and the others; in this order


def collect_rows(dataset: DatasetFolder, spec: Spec | None = None) -> tuple[pd.DataFrame, dict[str, Kind]]:
    """Return the rows, sorted by sample_id, and the kind of each field.

    A label is a pair (class, confidence or None); '' and None stand for nothing. An empty scan gives no rows.
    """
    scan, spec = read_scan(dataset), spec or read_spec(dataset)
    samples = scan.samples
    samples = samples[samples["reason"] == ""].set_index("sample_id", drop=False)
    decisions = read_decisions(dataset.decisions)
    rows = pd.DataFrame(index=samples.index)
    rows["sample_id"] = samples["sample_id"]
    rows["path"] = samples["path"]
    rows["file"] = _files(dataset, samples)
    rows["image"] = list(zip(samples["width"], samples["height"], samples["bytes"], samples["format"], strict=True))
    rows["tags"] = _by_sample(_tags(decisions), rows.index, list)
    rows["given_label"] = [(label, None) for label in samples["given_label"]]
    rows["label"] = _decided_labels(samples, decisions)
    kinds: dict[str, Kind] = {"sample_id": "text", "path": "text", "given_label": "label", "label": "label"}
    parts = (
        _finding_fields(dataset, rows.index),
        _group_fields(dataset, spec, samples),
        _slice_fields(scan, spec, rows.index),
        _version_fields(dataset, rows.index),
        _prediction_fields(dataset, rows.index),
    )
    for table, its_kinds in parts:
        rows, kinds = rows.join(table), {**kinds, **its_kinds}
    return rows.sort_index(), kinds


def current_labels(dataset: DatasetFolder) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return the decided class and the tags of each sample as the log has them now."""
    samples = read_scan(dataset).samples.set_index("sample_id", drop=False)
    decisions = read_decisions(dataset.decisions)
    labels = [label for label, _ in _decided_labels(samples, decisions)]
    return dict(zip(samples.index, labels, strict=True)), _tags(decisions)


def waiting_findings(dataset: DatasetFolder) -> pd.DataFrame:
    """Return the findings that no decision has answered, worst first; no rows before the first audit."""
    return open_findings(dataset, _findings(dataset)).sort_values(["score", "issue"])


def _findings(dataset: DatasetFolder) -> pd.DataFrame:
    return read_findings(dataset) if (dataset.cache / "findings.parquet").is_file() else empty(FINDINGS)


def _files(dataset: DatasetFolder, samples: pd.DataFrame) -> list[str]:
    """The absolute path of the file that the sample's `path` names: the first of its copies."""
    locations = read_table(dataset.cache / "locations.parquet", "curate scan").drop_duplicates(["source", "path"])
    files = locations.set_index(["source", "path"])["file"]
    named = [Path(one) for one in files.reindex(pd.MultiIndex.from_frame(samples[["source", "path"]]))]
    folders = {one: (dataset.path / one).resolve() for one in {one.parent for one in named}}
    return [str(folders[one.parent] / one.name) for one in named]


def _decided_labels(samples: pd.DataFrame, decisions: list[Decision]) -> list[tuple[str, None]]:
    decided = fold_decisions(decisions).set_index("sample_id")["label"]
    labels = zip(samples["sample_id"].map(decided).astype(object).fillna(""), samples["given_label"], strict=True)
    return [(label or given, None) for label, given in labels]


def _tags(decisions: list[Decision]) -> dict[str, list[str]]:
    """The tag of each sample: `drop` when it is dropped, `keep` when a decision confirmed it as it is."""
    last = {decision.sample_id: decision.action for decision in decisions}
    dropped = fold_decisions(decisions).set_index("sample_id")["dropped"]
    kept = {sample: [KEEP] for sample, action in last.items() if action == "keep"}
    return {**kept, **{str(sample): [DROP] for sample in dropped.index[dropped]}}


def _finding_fields(dataset: DatasetFolder, index: pd.Index) -> tuple[pd.DataFrame, dict[str, Kind]]:
    findings = _findings(dataset)
    issues = findings[findings["is_issue"]].sort_values(["score", "issue"])
    undecided = waiting_findings(dataset)
    suggested = issues[issues["suggested_label"] != ""].groupby("sample_id")["suggested_label"].first()
    table = pd.DataFrame(index=index)
    table["suggested_label"] = [(label, None) for label in _by_sample(suggested.to_dict(), index, str)]
    table["issues"] = _by_sample(issues.groupby("sample_id")["issue"].agg(list).to_dict(), index, list)
    table["open_issues"] = _by_sample(undecided.groupby("sample_id")["issue"].agg(list).to_dict(), index, list)
    told = issues["issue"] + ": " + issues["evidence"]
    table["evidence"] = _by_sample(told.groupby(issues["sample_id"]).agg("; ".join).to_dict(), index, str)
    kinds: dict[str, Kind] = {"suggested_label": "label", "issues": "texts", "open_issues": "texts"}
    kinds["evidence"] = "text"
    for issue in sorted(set(issues["issue"])):
        scores = findings[findings["issue"] == issue].drop_duplicates("sample_id").set_index("sample_id")["score"]
        table[score_field(issue)] = scores.reindex(index)
        kinds[score_field(issue)] = "number"
    return table, kinds


def score_field(issue: str) -> str:
    """Return the name of the field that holds the score of ``issue``: 0..1, low is bad."""
    return f"{issue}_score"


def _group_fields(dataset: DatasetFolder, spec: Spec, samples: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Kind]]:
    """The near-duplicate group of each sample that has copies, and whether it is the one that stays; else ''."""
    table = pd.DataFrame({"group_id": "", "copy_role": ""}, index=samples.index)
    kinds: dict[str, Kind] = {"group_id": "text", "copy_role": "text"}
    groups = read_cached(dataset.cache / "groups.parquet", read_parquet)
    if groups is None:
        groups = empty(dict.fromkeys(("sample_id", "group_id", "keeper"), "str"))
    groups = groups[groups["sample_id"].isin(samples.index) & (groups["group_id"] != "")]
    groups = groups[groups["group_id"].duplicated(keep=False)]
    if len(groups):
        keepers = find_keepers(groups, samples.reset_index(drop=True), exam=read_exam(dataset, spec, samples))
        roles = [BEST if keepers.get(one) == one else COPY for one in groups["sample_id"]]
        table.loc[groups["sample_id"], "group_id"] = groups["group_id"].to_numpy()
        table.loc[groups["sample_id"], "copy_role"] = roles
    return table, kinds


def _slice_fields(scan: Scan, spec: Spec, index: pd.Index) -> tuple[pd.DataFrame, dict[str, Kind]]:
    """The names of the spec's slices that each sample is in; no field where the spec has none."""
    if not spec.slices:
        return pd.DataFrame(index=index), {}
    parts = {name: find_slice(scan, part, name) for name, part in spec.slices.items()}
    inside = [[name for name, rows in parts.items() if rows[place]] for place in range(len(scan.samples))]
    names = dict(zip(scan.samples["sample_id"], inside, strict=True))
    return pd.DataFrame({"slices": [names[one] for one in index]}, index=index), {"slices": "texts"}


def _version_fields(dataset: DatasetFolder, index: pd.Index) -> tuple[pd.DataFrame, dict[str, Kind]]:
    """The split of each sample in the current version; '' for those it leaves out."""
    version = current_version(dataset)
    table = pd.DataFrame(index=index)
    splits: dict[str, str] = {}
    if version:
        manifest = read_manifest(dataset, version)
        splits = dict(zip(manifest["sample_id"], manifest["split"], strict=True))
    table["split"] = _by_sample(splits, index, str)
    return table, {"split": "text"}


def _prediction_fields(dataset: DatasetFolder, index: pd.Index) -> tuple[pd.DataFrame, dict[str, Kind]]:
    """One label field a model: what it predicts and how sure it is."""
    table = pd.DataFrame(index=index)
    kinds: dict[str, Kind] = {}
    for model in numbered(dataset.models, "m"):
        path = dataset.models / model / "predictions.parquet"
        if not path.is_file():
            continue
        predictions = read_parquet(path).drop_duplicates("sample_id")
        sure = predictions.filter(regex=r"^p_").max(axis="columns").astype(float)
        labels = dict(zip(predictions["sample_id"], zip(predictions["predicted"], sure, strict=True), strict=True))
        table[model] = [labels.get(sample, ("", None)) for sample in index]
        kinds[model] = "label"
    return table, kinds


def _by_sample(values: dict[Any, Any], index: pd.Index, nothing: Callable[[], Any]) -> list[Any]:
    return [values[sample] if sample in values else nothing() for sample in index]
