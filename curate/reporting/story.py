"""Collects everything a report tells from tables and JSON on disk; ``reports.html`` lists its parts.

Only reads, picks and counts. What a stage did not make yet is None.
"""

from __future__ import annotations

import platform
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib import metadata
from typing import Any

from curate.images.samples import Scan, read_scan
from curate.log.decision import Decision
from curate.log.decisions import read_decisions
from curate.reporting.issues import collect_issues, collect_patterns
from curate.spec.model import Spec
from curate.storage.files import read_json
from curate.storage.folder import DatasetFolder, numbered
from curate.storage.tables import SPLITS
from curate.versions.read import current_version, read_manifest, read_version
from train.leaks import collect_leaks, leak_sentence

FLIPS = 12  # pictures a kind
LATEST = 12  # decisions
UNREADABLE = 200  # files listed
STAGES = ("scan", "audit", "decide", "build", "train", "compare", "score", "report")
PACKAGES = ("torch", "cleanlab", "numpy", "pandas", "pillow")


def collect_story(dataset: DatasetFolder, spec: Spec) -> dict[str, Any]:
    """Return the story of ``dataset`` as far as it has gone."""
    scan = read_scan(dataset) if (dataset.cache / "metadata.parquet").is_file() else None
    decisions = read_decisions(dataset.decisions)
    models = collect_models(dataset)
    return {
        "dataset": _dataset(dataset, spec),
        "files": _files(scan),
        "unreadable": _unreadable(scan),
        "issues": collect_issues(dataset, scan, decisions),
        "patterns": collect_patterns(dataset, scan),
        "decisions": collect_decisions(decisions, scan),
        "version": collect_version(dataset),
        "models": models,
        "comparison": collect_comparison(dataset),
        "leaks": [{**row, "sentence": leak_sentence(row)} for row in collect_leaks(dataset)],
        "planted_truth": _optional(dataset, "demo_score.json"),
        "made": _made(dataset, spec, models),
    }


def shown_samples(story: Mapping[str, Any]) -> list[str]:
    """Return the ids of all samples that the story shows a picture of, sorted."""
    issues = story["issues"] or []
    cards = [card for row in issues for card in row["gallery"]]
    cards += [member for row in issues for group in row["groups"] for member in group["members"]]
    cards += [card for row in story.get("patterns") or [] for card in row["gallery"]]
    cards += story["comparison"]["flips"] if story["comparison"] else []
    return sorted({str(card["sample_id"]) for card in cards})


def _optional(dataset: DatasetFolder, name: str) -> Any:
    path = dataset.reports / name
    return read_json(path) if path.is_file() else None


def _dataset(dataset: DatasetFolder, spec: Spec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "folder": shlex.quote(str(dataset.path)),
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "classes": dict(spec.classes),
        "specurate": metadata.version("specurate"),
        "drawn": spec.truth is not None,
    }


def _files(scan: Scan | None) -> dict[str, int] | None:
    if scan is None:
        return None
    counts = scan.counts()
    return {**counts, "found": sum(counts.values())}


def _unreadable(scan: Scan | None) -> list[dict[str, str]]:
    if scan is None:
        return []
    rows = scan.locations[scan.locations["status"] == "unreadable"]
    return [{"path": str(row.path), "reason": str(row.reason)} for row in rows.head(UNREADABLE).itertuples()]


def collect_decisions(decisions: Sequence[Decision], scan: Scan | None) -> dict[str, Any] | None:
    """Return the counts of the log and its latest entries, newest first; None when it is empty."""
    if not decisions:
        return None
    fields = {"action": "action", "actor": "actor", "tool": "tool", "issue": "finding"}
    paths = {} if scan is None else dict(zip(scan.samples["sample_id"], scan.samples["path"], strict=True))
    latest = [
        {**one.model_dump(exclude={"id", "finding"}), "issue": one.finding, "path": paths.get(one.sample_id, "")}
        for one in reversed(decisions[-LATEST:])
    ]
    by = {
        key: dict(Counter(str(getattr(one, field)) for one in decisions).most_common()) for key, field in fields.items()
    }
    return {"total": len(decisions), "by": by, "latest": latest}


def collect_version(dataset: DatasetFolder) -> dict[str, Any] | None:
    """Return the current version's record and what changed since its parent; None before a build."""
    version = current_version(dataset)
    if not version:
        return None
    record = read_version(dataset, version)
    keys = ("id", "digest", "parent", "created", "samples", "excluded")
    counts = {split: record["counts"][split] for split in SPLITS}
    changes = _changes(dataset, version, record["parent"])
    return {**{key: record[key] for key in keys}, "counts": counts, "changes": changes}


def _changes(dataset: DatasetFolder, version: str, parent: str) -> dict[str, Any] | None:
    if not parent:
        return None
    both = read_manifest(dataset, parent).merge(
        read_manifest(dataset, version), on="sample_id", how="outer", suffixes=("_old", "_new"), indicator=True
    )
    sides = both["_merge"].value_counts()
    stayed = both[both["_merge"] == "both"]
    relabelled = stayed[stayed["label_old"] != stayed["label_new"]]
    kinds = Counter(zip(relabelled["label_old"], relabelled["label_new"], strict=True)).most_common()
    return {
        "added": int(sides["right_only"]),
        "dropped": int(sides["left_only"]),
        "relabelled": len(relabelled),
        "moved": int((stayed["split_old"] != stayed["split_new"]).sum()),
        "relabels": [{"before": before, "after": after, "count": count} for (before, after), count in kinds],
    }


def collect_models(dataset: DatasetFolder) -> list[dict[str, Any]]:
    """Return what each trained model is and how it did on its test split."""
    runs = [dataset.models / model / "run.json" for model in numbered(dataset.models, "m")]
    return [_model(read_json(run)) for run in runs if run.is_file()]


def _model(run: Mapping[str, Any]) -> dict[str, Any]:
    recipe = run.get("recipe")
    return {
        **{key: run.get(key) for key in ("id", "version", "seed", "epochs", "seconds", "device")},
        "recipe": recipe.get("name", "") if isinstance(recipe, Mapping) else str(recipe),
        "test": _accuracy((run.get("metrics") or {}).get("test")),
        "versions": run.get("versions") or {},
    }


def _accuracy(metrics: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not metrics or not metrics.get("n"):
        return None
    accuracy = metrics["accuracy"]
    known = accuracy if isinstance(accuracy, Mapping) else {"value": accuracy, "low": None, "high": None}
    return {"n": metrics["n"], "accuracy": known["value"], "low": known["low"], "high": known["high"]}


def collect_comparison(dataset: DatasetFolder) -> dict[str, Any] | None:
    """Return the last comparison with the first flips of each kind; None before one was made."""
    comparison = _optional(dataset, "comparison.json")
    if comparison is None:
        return None
    kinds = ("fixed", "broken", "changed")
    flips = [[flip for flip in comparison["flips"] if flip["kind"] == kind][:FLIPS] for kind in kinds]
    return {**comparison, "flips": [flip for some in flips for flip in some]}


def _made(dataset: DatasetFolder, spec: Spec, models: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "seconds": _in_order(_optional(dataset, "seconds.json") or {}, STAGES),
        "versions": {**_installed(), **{str(k): str(v) for k, v in (models[-1]["versions"] if models else {}).items()}},
        "settings": _settings(spec),
        "commands": [{"command": command, "purpose": purpose} for command, purpose in _commands(dataset)],
    }


def _in_order(values: Mapping[str, Any], order: Sequence[str]) -> dict[str, Any]:
    """Return ``values`` with the keys of ``order`` first: JSON on disk is sorted by name."""
    return {key: values[key] for key in [*order, *values] if key in values}


def _installed() -> dict[str, str]:
    found = {"specurate": metadata.version("specurate"), "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _settings(spec: Spec) -> dict[str, str]:
    label_error = spec.policy.label_error
    return {
        "split": f"{spec.split.train:g} train, {spec.split.val:g} val, {spec.split.test:g} test",
        "embedding": spec.audit.embedding,
        "audit": f"{spec.audit.folds} folds, {spec.audit.neighbours} neighbours",
        "label errors": label_error
        if isinstance(label_error, str)
        else f"accepted below score {label_error.accept_below:g}",
        "near duplicates": spec.policy.near_duplicates.replace("_", " "),
        "recipe": f"{spec.train.recipe}, seed {spec.train.seed}",
    }


def _commands(dataset: DatasetFolder) -> list[tuple[str, str]]:
    folder = shlex.quote(str(dataset.path))
    version = current_version(dataset) or "v1"
    return [
        (f"curate review {folder}", "look at the suspects in the FiftyOne App, correct labels there"),
        (f"curate review {folder} --pull", "bring what was changed in the App back as decisions"),
        (f"curate run {folder}", "build, train and compare the next version"),
        (f"curate findings {folder} --all --format csv", "every score of every sample as a table"),
        (f"curate export {folder} {version} --to FOLDER --format imagefolder", "hand the version on as class folders"),
    ]
