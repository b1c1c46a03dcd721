"""What other programs rely on; a change here is a change of the contract and needs a line in the changelog."""

import csv
import io
import json
import time

import pandas as pd
import pytest

from tests.conftest import copy_of, curate, curate_alone

pytestmark = pytest.mark.slow

FINDINGS_HEADER = "sample_id,path,issue,score,is_issue,group_id,suggested_action,suggested_label,evidence,kind"
SUMMARY = {
    "samples",
    "locations",
    "unreadable",
    "ignored",
    "findings",
    "version",
    "models",
    "comparison",
    "report",
    "seconds",
}


def test_run_prints_one_json_object(demo_run):
    summary = demo_run.summary
    assert summary.keys() >= SUMMARY
    truth = pd.read_csv(demo_run.dataset.path / "truth.csv", keep_default_na=False)
    files = sum(1 for path in (demo_run.dataset.path / "images").rglob("*") if path.is_file())
    assert sum(summary[name] for name in ("samples", "locations", "unreadable", "ignored")) == files == len(truth) + 1
    assert summary["unreadable"] == (truth["fault"] == "unreadable").sum()
    assert summary["version"].keys() == {"id", "digest"} and summary["version"]["id"] == "v2"
    assert all(isinstance(count, int) for count in summary["findings"].values())
    assert [model["version"] for model in summary["models"].values()] == ["v1", "v2"]
    assert all(model.keys() == {"recipe", "version", "metrics"} for model in summary["models"].values())
    assert summary["comparison"]["verdict"]
    assert {"scan", "audit", "build", "train", "compare", "report"} <= summary["seconds"].keys()


def test_findings_csv(demo_run):
    path = demo_run.dataset.path
    every = curate("findings", path, "--all", "--format", "csv").stdout
    assert every.splitlines()[0] == FINDINGS_HEADER
    rows = list(csv.DictReader(io.StringIO(every)))
    issues = list(csv.DictReader(io.StringIO(curate("findings", path, "--format", "csv").stdout)))
    assert issues == [row for row in rows if row["is_issue"] == "True"] and len(issues) < len(rows)
    assert all(0 <= float(row["score"]) <= 1 for row in rows)
    assert {row["path"] for row in rows} <= {
        file.relative_to(path / "images").as_posix() for file in (path / "images").rglob("*")
    }
    scored = {row["issue"] for row in rows}
    assert scored >= {
        "label_error",
        "label_conflict",
        "near_duplicate",
        "outlier",
        "unreadable",
        "dark",
        "light",
        "blurry",
        "low_information",
        "odd_size",
        "odd_aspect_ratio",
        "grayscale",
    }


def test_manifest(demo_run):
    manifest = pd.read_parquet(demo_run.dataset.path / "versions" / "v2" / "manifest.parquet")
    assert list(manifest) == ["sample_id", "path", "label", "split", "group_id", "decided_by"]
    assert manifest["sample_id"].is_monotonic_increasing and manifest["sample_id"].is_unique
    assert set(manifest["split"]) == {"train", "val", "test"} and set(manifest["label"]) == {"cat", "dog"}


def test_a_second_run_does_nothing_again(demo_run, tmp_path):
    dataset = copy_of(demo_run, tmp_path / "copy")
    cached = lambda: sorted(path for path in dataset.cache.rglob("*.parquet") if path.parent != dataset.cache)  # noqa: E731
    curate("run", dataset.path)  # the copies have other times: they are read once more, and nothing else is done
    before, log = cached(), dataset.decisions.read_bytes()
    again = json.loads(curate("run", dataset.path, "--json").stdout)
    assert again["version"] == demo_run.summary["version"]
    assert again["models"] == demo_run.summary["models"] and again["findings"] == demo_run.summary["findings"]
    assert cached() == before and dataset.decisions.read_bytes() == log
    assert again["comparison"] == demo_run.summary["comparison"]


def test_json_on_every_command(demo_run, tmp_path):
    dataset = copy_of(demo_run, tmp_path / "copy")
    path = dataset.path
    image = next((path / "images" / "cat").glob("*.jpg"))
    commands = [
        ("scan", path),
        ("audit", path),
        ("findings", path),
        ("detectors", path),
        ("votes", path),
        ("annotators", path),
        ("slices", path),
        ("label", path),
        ("decide", path),
        ("build", path),
        ("split", path),
        ("report", path),
        ("export", path, "v1", "--to", tmp_path / "out"),
        ("train", path, "v1"),
        ("evaluate", path, "m1"),
        ("compare", path, "m1", "m2"),
        ("predict", path, "m1", image),
        ("check", path),
        ("demo", tmp_path / "drawn", "--samples", "40"),
        ("init", tmp_path / "new", "--from", path / "images"),
    ]
    for words in commands:
        assert json.loads(curate(*words, "--json").stdout) is not None, words


def test_help_is_quick_and_names_the_commands():
    started = time.perf_counter()
    said = curate_alone("--help").stdout
    assert time.perf_counter() - started < 5  # what is promised (0.3 s) is measured in the benchmarks
    for name in (
        "demo init run review report doctor scan audit findings votes annotators detectors decide label slices "
        "build split check export train evaluate compare predict"
    ).split():
        assert f" {name} " in said
