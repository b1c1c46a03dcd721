"""What people and machines get wrong: each is a sentence, never a traceback, and nothing is lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from curate.storage.folder import open_folder
from tests.conftest import ROOT, curate, draw_shape, train_quickly, write_shapes


def test_no_dataset_here(tmp_path):
    assert "curate init" in curate("run", cwd=tmp_path, code=2).stderr
    assert "nothing is there" in curate("run", tmp_path / "none", code=2).stderr
    (tmp_path / "file").write_text("x")
    assert "is a file" in curate("scan", tmp_path / "file", code=2).stderr


def test_an_empty_folder_and_a_missing_one(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "found none" in curate("init", tmp_path / "set", "--from", tmp_path / "empty", code=2).stderr
    assert "nothing is there" in curate("init", tmp_path / "set", "--from", tmp_path / "none", code=2).stderr


@pytest.mark.slow
def test_a_source_that_was_emptied(tmp_path):
    images = write_shapes(tmp_path / "images", 1)
    curate("init", tmp_path / "set", "--from", images)
    shutil.rmtree(images)
    assert "not there" in curate("run", tmp_path / "set", code=2).stderr
    images.mkdir()
    summary = json.loads(curate("run", tmp_path / "set", "--json").stdout)
    assert summary["samples"] == 0 and "models left out" in summary["notes"][0]


@pytest.mark.slow
@pytest.mark.parametrize("counts", [{"disc": 1}, {"disc": 5}, {"disc": 12, "square": 3}, {"disc": 1, "square": 1}])
def test_very_small_datasets_run_to_a_report(tmp_path, counts):
    for label, count in counts.items():
        write_shapes(tmp_path / "images", count, (label,))
    curate("init", tmp_path / "set", "--from", tmp_path / "images")
    train_quickly(tmp_path / "set")
    summary = json.loads(curate("run", tmp_path / "set", "--json").stdout)
    assert summary["samples"] == sum(counts.values())
    assert Path(summary["report"]).stat().st_size > 1000
    assert len(summary["models"]) >= 1 or "models left out" in summary["notes"][0]


def test_a_bad_spec_names_file_line_and_key(tmp_path):
    curate("init", tmp_path / "set", "--from", write_shapes(tmp_path / "images", 1))
    spec = tmp_path / "set" / "dataset.yaml"
    spec.write_text(spec.read_text().replace("near_duplicates: keep_best ", "near_duplicates: keep_worst"))
    said = curate("scan", tmp_path / "set", code=2).stderr
    assert "dataset.yaml:" in said and "policy.near_duplicates" in said and "'keep_best' or 'review'" in said


def test_an_unknown_class_in_the_csv(tmp_path):
    write_shapes(tmp_path / "images", 1)
    table = tmp_path / "labels.csv"
    table.write_text("path,label\nimages/disc/000.jpg,disc\nimages/square/000.jpg,square\n")
    curate("init", tmp_path / "set", "--from", table)
    table.write_text(table.read_text() + "images/square/000.jpg,sqare\n")
    assert "line 3" in curate("scan", tmp_path / "set", code=2).stderr
    table.write_text("path,label\nimages/disc/000.jpg,disk\n")
    said = curate("scan", tmp_path / "set", code=2).stderr
    assert "disc, square" in said and "disk" in said


@pytest.mark.slow
def test_corrupt_files_are_findings_with_their_reason(demo_run):
    truth = pd.read_csv(demo_run.dataset.path / "truth.csv", keep_default_na=False)
    planted = set(truth.loc[truth["fault"] == "unreadable", "path"])
    rows = json.loads(curate("findings", demo_run.dataset.path, "--issue", "unreadable", "--json").stdout)
    assert planted and {row["path"] for row in rows} == planted
    assert all(row["evidence"] and row["suggested_action"] == "drop" for row in rows)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["build", "--no-deps"], "curate scan"),
        (["findings", "--no-deps"], "curate audit"),
        (["train", "v9"], "none yet"),
        (["train", "--no-deps"], "none yet"),
        (["compare", "m1", "m2"], "m1"),
        (["predict", "m1"], "MODEL IMAGES"),
        (["decide", "one"], "SAMPLE ACTION"),
        (["export", ".", "--to", "x"], "Expected [DATASET] VERSION"),
        (["compare", ".", "m1"], "Expected [DATASET] BEFORE AFTER"),
        (["run", "--device", "tpu"], "device"),
        (["scan", "--engine", "ray"], "threads, processes"),
    ],
)
def test_commands_out_of_order(tmp_path, words, said):
    curate("init", tmp_path, "--from", write_shapes(tmp_path / "images", 1))
    done = curate(*words, cwd=tmp_path, code=2)
    assert said in done.stderr or said in " ".join(done.stderr.split())


def test_a_dataset_folder_that_is_none(tmp_path):
    """The first word was meant as the dataset: the sentence is about it, and not about the folder one is in."""
    for words in (["decide", "pest", "cat/1.jpg", "drop"], ["predict", "pest", "m1", "a.jpg"], ["compare", "m1", "m2"]):
        assert f"neither {words[1]} nor the folder you are in" in curate(*words, cwd=tmp_path, code=2).stderr


def test_the_disk_is_full(tmp_path):
    """A file system of 300 KB: the run stops with a sentence; with room again it ends well."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting needs root")
    try:
        curate("init", disk / "set", "--from", write_shapes(tmp_path / "images", 60))
        spec = (disk / "set" / "dataset.yaml").read_bytes()
        assert "disk is full" in curate("scan", disk / "set", code=2).stderr
        assert (disk / "set" / "dataset.yaml").read_bytes() == spec
        assert not list(disk.rglob("*.tmp"))
        subprocess.run(["mount", "-o", "remount,size=50m", disk], check=True)
        assert json.loads(curate("scan", disk / "set", "--json").stdout)["samples"] == 120
    finally:
        subprocess.run(["umount", disk], check=True)


def test_no_write_permission(tmp_path):
    curate("init", tmp_path / "set", "--from", write_shapes(tmp_path / "images", 1))
    if os.geteuid() == 0:  # root writes anywhere but on a read-only file system
        if subprocess.run(["mount", "--bind", tmp_path / "set", tmp_path / "set"], capture_output=True).returncode:
            pytest.skip("mounting needs root")
        subprocess.run(["mount", "-o", "remount,ro,bind", tmp_path / "set"], check=True)
    else:
        (tmp_path / "set").chmod(0o500)
    try:
        said = curate("scan", tmp_path / "set", code=2).stderr
        assert "read-only" in said or "permission denied" in said
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", tmp_path / "set"], check=True)
        else:
            (tmp_path / "set").chmod(0o700)


def interrupt(words: list, when, timeout: float = 120) -> subprocess.CompletedProcess:
    """Start a command, press Ctrl-C once ``when()`` is true, and return how it ended."""
    command = [sys.executable, "-m", "curate.commands.main", *map(str, words)]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    deadline = time.monotonic() + timeout
    while not when() and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    running.send_signal(signal.SIGINT)
    out, error = running.communicate(timeout=60)
    return subprocess.CompletedProcess(words, running.returncode, out, error)


@pytest.mark.slow
def test_ctrl_c_in_scan_audit_and_train_and_then_again(tmp_path):
    images = write_shapes(tmp_path / "images", 30)
    draw_shape("disc", 999).save(images / "disc" / "last.jpg")
    curate("init", tmp_path / "set", "--from", images)
    dataset = open_folder(tmp_path / "set")
    stages = {
        "scan": lambda: (dataset.cache / "images.json").exists(),
        "audit": lambda: any(dataset.cache.glob("embeddings*/*.parquet")),
        "train": lambda: any(dataset.cache.glob("training/*.safetensors")),
    }
    for stage, started in stages.items():
        words: list[str | Path] = [stage, dataset.path, *(["v1"] if stage == "train" else [])]
        stopped = interrupt(words, started)
        assert "Traceback" not in stopped.stderr, stopped.stderr
        assert stopped.returncode == 130 and "continues from there" in stopped.stderr, stopped.stderr
        assert not list(dataset.path.rglob("*.tmp"))
        curate(*words)
        if stage == "audit":
            curate("build", dataset.path)
    assert json.loads(curate("scan", dataset.path, "--json").stdout)["samples"] == 61
