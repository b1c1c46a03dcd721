"""What a person sees of tables, and a program of JSON."""

import json
import os
import subprocess
import sys

import pytest

from curate.audit.patterns import write_patterns
from curate.commands.show import print_entries, print_json, print_table
from curate.decide.by_hand import decide_sample
from curate.spec.reading import read_spec
from curate.storage.folder import open_folder
from curate.storage.tables import FINDINGS_CSV, PATTERN_MEMBERS, PATTERNS, empty
from tests.conftest import ROOT, curate, train_quickly, write_findings, write_shapes

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def test_findings_are_the_worst_of_all_issues_and_say_what_is_open(grouped):
    dataset, _, scan = grouped
    one, two = scan.samples["sample_id"][:2]
    dark = {"sample_id": one, "issue": "dark", "score": 0.3, "path": "a.jpg", "suggested_action": "drop"}
    write_findings(dataset, dark, {"sample_id": two, "issue": "outlier", "score": 0.1, "path": "b.jpg"})
    (worst,) = json.loads(curate("findings", dataset.path, "--limit", "1", "--json").stdout)
    assert worst["issue"] == "outlier"
    curate("decide", dataset.path, "--accept", "dark")
    table = curate("findings", dataset.path).stdout
    assert "2 findings, 1 open" in table and table.index("b.jpg") < table.index("a.jpg")


def test_no_finding_is_said(grouped):
    dataset, _, scan = grouped
    write_findings(dataset, {"sample_id": scan.samples["sample_id"][0], "issue": "light", "is_issue": False})
    assert curate("findings", dataset.path, "--issue", "light").stdout == "0 findings, 0 open\n"


def test_an_issue_without_rows_is_none_found_and_not_unknown(grouped):
    assert curate("findings", grouped[0].path, "--issue", "label_conflict").stdout == "0 findings, 0 open\n"
    assert "label_conflict" in curate("findings", grouped[0].path, "--issue", "labels", code=2).stderr


def test_findings_of_no_sample_are_a_sentence(grouped):
    dataset, _, _ = grouped
    assert "no sample to score" in curate("findings", dataset.path).stdout
    assert curate("findings", dataset.path, "--format", "csv").stdout == ",".join(FINDINGS_CSV) + "\n"
    assert json.loads(curate("findings", dataset.path, "--json").stdout) == []


@pytest.mark.parametrize(
    "words", [("scan",), ("findings", "--format", "csv"), ("patterns", "--json"), ("--help",), ("schema",)]
)
def test_a_reader_who_leaves_early_is_no_failure(grouped, words):
    """Whatever writes: rich, a library, or the last flush of a short answer."""
    dataset, _, scan = grouped
    write_findings(dataset, *({"sample_id": one, "issue": "dark"} for one in scan.samples["sample_id"]))
    write_patterns(dataset, empty(PATTERNS), empty(PATTERN_MEMBERS))
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "curate.commands.main", *words]
    try:
        done = subprocess.run(command, cwd=dataset.path, stdout=writer, stderr=subprocess.PIPE, env=ENVIRONMENT)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_json_has_no_nan(capsys):
    print_json([{"probability": float("nan"), "n": 1}])
    assert json.loads(capsys.readouterr().out, parse_constant=str) == [{"probability": None, "n": 1}]


def test_a_table_without_rows_is_its_title(capsys):
    print_table([], "Findings")
    assert capsys.readouterr().out == "Findings\n"


@pytest.mark.slow
def test_a_first_version_without_labels_stops_no_later_one(tmp_path):
    """A flat folder begins with an empty version; once labels were decided, the next one is trained."""
    images = write_shapes(tmp_path / "images", 12)
    for file in [*images.glob("*/*")]:
        file.rename(images / f"{file.parent.name}-{file.name}")
    for label in ("disc", "square"):
        (images / label).rmdir()
    curate("init", tmp_path / "set", "--from", images, "--classes", "disc,square")
    train_quickly(tmp_path / "set")
    first = json.loads(curate("run", tmp_path / "set", "--json").stdout)
    assert first["models"] == {} and "none of disc, square" in first["notes"][0]
    dataset = open_folder(tmp_path / "set")
    for file in sorted(images.glob("*")):
        decide_sample(dataset, read_spec(dataset), file.name, "relabel", file.name.split("-")[0])
    then = json.loads(curate("run", tmp_path / "set", "--json").stdout)
    assert [model["version"] for model in then["models"].values()] == ["v2"] and then["comparison"] is None


def test_evidence_stands_below_its_row_and_fits_the_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    rows = [{"score": 0.5, "path": "猫.jpg", "why": "one two " * 12}, {"score": 0.25, "path": "b\x1b.jpg", "why": ""}]
    print_entries(rows, "2 findings", below="why")
    title, head, first, *below, second = capsys.readouterr().out.splitlines()
    assert (title, head, first) == ("2 findings", "score  path", "0.500  猫.jpg")
    assert len(below) == 2 and all(line.startswith("    one") and len(line) <= 60 for line in below)
    assert second == "0.250  b\\x1b.jpg"
