"""Runs the main job, from sources to a report, and repeats only what changed since the last run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from curate.spec.model import Spec
from curate.storage.files import Problem, read_json, write_json
from curate.storage.folder import DatasetFolder, numbered
from curate.versions.build import build_version
from curate.versions.read import Version, current_version, read_manifest


def run_dataset(
    dataset: DatasetFolder,
    spec: Spec,
    workers: int | None = None,
    device: str = "auto",
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Scan, audit, decide, build, train, compare and report; return the summary that `curate run --json` prints.

    The first time, v1 holds the sources as given and v2 what the policy's decisions made of them; the spec's recipe is
    trained on both, and both are measured on the test split of the newer one. Later a changed dataset gives the next
    version, which is compared with the one before. What was done before and has not changed is not done again.

    Parameters
    ----------
    tell
        Called with a line for a person after each stage.
    """
    clock = Clock()
    counts, issues = _curate(dataset, spec, workers, clock, tell)
    version = _build(dataset, spec, clock, tell)
    errors = _forecast(dataset, tell)
    models, comparison, notes = _model(dataset, spec, version, device, clock, tell)
    _score_truth(dataset, spec, clock)
    write_json(dataset.reports / "seconds.json", clock.seconds)
    with clock("report"):
        from curate.reporting.report import write_report

        report = write_report(dataset, spec)
    return {
        **counts,
        "findings": issues,
        "expected_label_errors": errors,
        "version": {"id": version.id, "digest": version.digest},
        "models": models,
        "comparison": comparison,
        "report": str(report),
        "seconds": clock.seconds,
        "notes": notes,
    }


class Clock:
    """Seconds by stage: ``with clock("scan"): ...`` adds to ``clock.seconds["scan"]``."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = round(self.seconds.get(stage, 0.0) + time.perf_counter() - start, 3)


def _curate(
    dataset: DatasetFolder, spec: Spec, workers: int | None, clock: Clock, tell: Callable[[str], None]
) -> tuple[dict[str, int], dict[str, int]]:
    from curate.images.scan import scan_dataset

    with clock("scan"):
        scan = scan_dataset(dataset, spec, workers)
    counts = scan.counts()
    tell(scan.accounting())
    with clock("audit"):
        from curate.audit.audit import audit_dataset, read_notes
        from train.cross_fit import deep_evidence

        table = audit_dataset(dataset, spec, deep_evidence(dataset, spec))
    for note in read_notes(dataset):
        tell(note)
    issues = {str(name): int(count) for name, count in table.groupby("issue")["is_issue"].sum().items()}
    tell("findings: " + (", ".join(f"{count:,} {name}" for name, count in issues.items() if count) or "none"))
    return counts, issues


def _forecast(dataset: DatasetFolder, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """Tell how many of the label errors that the policy left open are expected to be real."""
    from curate.audit.findings import open_findings
    from curate.audit.ledger import expected_errors, yield_sentence
    from curate.log.decisions import read_decisions

    rows = expected_errors(open_findings(dataset), read_decisions(dataset.decisions)).to_dict("records")
    if rows:
        tell(yield_sentence(rows))
    return rows


def _build(dataset: DatasetFolder, spec: Spec, clock: Clock, tell: Callable[[str], None]) -> Version:
    with clock("build"):
        if not current_version(dataset):
            first = build_version(dataset, spec, use_decisions=False)
            tell(f"{first.id} {first.digest[:12]}: {len(first.manifest):,} samples, the sources as given")
        from curate.decide.policy import apply_policy

        made = apply_policy(dataset, spec)
        version = build_version(dataset, spec)
    if made:
        tell(f"{len(made):,} decisions by the policy")
    left_out = ", ".join(f"{count:,} {why}" for why, count in version.record["excluded"].items())
    tell(
        f"{version.id} {version.digest[:12]}: {len(version.manifest):,} samples"
        + (f" (left out: {left_out})" if left_out else "")
        + ("" if version.is_new else ", up to date")
    )
    return version


def _model(
    dataset: DatasetFolder, spec: Spec, version: Version, device: str, clock: Clock, tell: Callable[[str], None]
) -> tuple[dict[str, Any], dict[str, Any] | None, list[str]]:
    """Train the current version and the one before, and compare them; a dataset too small for that gives a note."""
    before = [one for one in numbered(dataset.versions, "v") if one == version.record["parent"]]
    models: dict[str, Any] = {}
    notes = []
    for one in [*before, version.id]:
        try:
            models.update(_train(dataset, spec, one, device, clock, tell))
        except Problem as problem:  # the version before may have had no labels yet: that stops no later one
            notes.append(f"models left out: {problem}")
    comparison = None
    if len(models) == 2:
        try:
            comparison = _compare(dataset, spec, list(models), clock)
        except Problem as problem:
            notes.append(f"no comparison: {problem}")
    elif models:
        notes.append("one version, one model: nothing to compare yet")
    for line in [comparison["verdict"]] if comparison else notes:
        tell(line)
    return models, comparison, notes


def _train(
    dataset: DatasetFolder, spec: Spec, version: str, device: str, clock: Clock, tell: Callable[[str], None]
) -> dict[str, Any]:
    with clock("train"):
        from train.training import train_version

        run = train_version(dataset, spec, version, device=device)
    accuracy = run["metrics"]["test"]["accuracy"]["value"]
    tell(f"{run['id']}: {run['recipe']['name']} on {version}, test accuracy {accuracy:.3f}")
    return {run["id"]: {"recipe": run["recipe"]["name"], "version": version, "metrics": run["metrics"]}}


def _compare(dataset: DatasetFolder, spec: Spec, models: list[str], clock: Clock) -> dict[str, Any]:
    with clock("compare"):
        from train.compare import compare_models

        comparison = compare_models(dataset, spec, *models)
        write_json(dataset.reports / "comparison.json", comparison)
    return comparison


def _score_truth(dataset: DatasetFolder, spec: Spec, clock: Clock) -> None:
    """Where the planted truth is known (`curate demo`), write what was found of it and how right the models are."""
    if not spec.truth:
        return
    with clock("score"):
        from curate.audit.findings import read_findings
        from curate.demo.folder import read_truth
        from curate.demo.score import score_demo
        from curate.images.samples import read_scan

        truth, locations = read_truth(dataset.path / spec.truth), read_scan(dataset).locations
        rows = score_demo(truth, read_findings(dataset), locations).to_dict("records")
        right = truth[truth["true_label"] != ""].merge(locations[["path", "sample_id"]], on="path")
        labels = dict(zip(right["sample_id"], right["true_label"], strict=True))
        accuracy = {model: _accuracy(dataset, model, labels) for model in numbered(dataset.models, "m")}
        wrong = {one: _wrong_labels(dataset, one, labels) for one in numbered(dataset.versions, "v")}
    score = {"rows": rows, "model_accuracy": accuracy, "wrong_labels": wrong}
    write_json(dataset.reports / "demo_score.json", score)


def _accuracy(dataset: DatasetFolder, model: str, labels: dict[str, str]) -> float | None:
    """Return the share of a model's test predictions that are the planted truth."""
    from curate.storage.tables import read_parquet

    predictions = read_parquet(dataset.models / model / "predictions.parquet").query("split == 'test'")
    truth = predictions["sample_id"].map(labels)
    known = truth.notna()
    return float((predictions["predicted"][known] == truth[known]).mean()) if known.any() else None


def _wrong_labels(dataset: DatasetFolder, version: str, labels: dict[str, str]) -> dict[str, int]:
    """Return how many labels of a version are not the planted truth, by split."""
    manifest = read_manifest(dataset, version)
    truth = manifest["sample_id"].map(labels)
    wrong = manifest[truth.notna() & (truth != manifest["label"])]
    return {str(split): int(count) for split, count in wrong["split"].value_counts().items()}


def read_score(dataset: DatasetFolder) -> dict[str, Any] | None:
    """Return what the last run found of the planted truth, None where there is none."""
    path = dataset.reports / "demo_score.json"
    return read_json(path) if path.is_file() else None
