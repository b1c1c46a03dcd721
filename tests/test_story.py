"""The README, from a folder of images to the comparison of two versions, as a newcomer would type it."""

import json
from pathlib import Path

import numpy as np
import pytest

from curate.demo.scene import draw_animal
from curate.log.decisions import read_decisions
from curate.versions.read import read_manifest
from tests.conftest import copy_of, curate

pytestmark = pytest.mark.slow


def test_the_next_version_and_what_it_changed(demo_run, tmp_path):
    dataset = copy_of(demo_run, tmp_path / "pets")
    first = demo_run.summary
    assert first["comparison"]["models"] == ["m1", "m2"] and Path(first["report"]).is_file()
    assert all(0.5 < model["metrics"]["test"]["accuracy"]["value"] <= 1 for model in first["models"].values())

    # a person disagrees with a label and drops a picture
    manifest = read_manifest(dataset, "v2").query("split == 'train'")
    relabelled, dropped = manifest.iloc[0], manifest.iloc[1]
    other = {"cat": "dog", "dog": "cat"}[relabelled["label"]]
    curate("decide", dataset.path, relabelled["path"], "relabel", other, "--reason", "the ears")
    curate("decide", dataset.path, dropped["sample_id"][:10], "drop")
    last = read_decisions(dataset.decisions)[-2]
    assert (last.label, last.before, last.reason) == (other, relabelled["label"], "the ears")

    # and more images come
    for seed in range(8):
        species = ("cat", "dog")[seed % 2]
        picture = draw_animal(species, np.random.default_rng(1000 + seed), size=(150, 130))
        picture.save(dataset.path / "images" / species / f"new{seed}.jpg")

    second = json.loads(curate("run", dataset.path, "--json").stdout)
    assert second["version"]["id"] == "v3" and second["samples"] == first["samples"] + 8
    assert [model["version"] for model in second["models"].values()] == ["v2", "v3"]
    assert next(iter(second["models"])) == "m2", "the model that was there is not trained again"
    assert second["comparison"]["models"] == ["m2", "m3"]
    after = read_manifest(dataset, "v3").set_index("sample_id")
    before = read_manifest(dataset, "v2").set_index("sample_id")
    assert after.loc[relabelled["sample_id"], "label"] == other and dropped["sample_id"] not in after.index
    stayed = before.index.intersection(after.index)
    assert (before.loc[stayed, "split"] == after.loc[stayed, "split"]).all(), "an old sample moved"
    assert "v3" in Path(second["report"]).read_text()

    # both are taken back: what the next version holds of them is what the second held
    curate("decide", dataset.path, relabelled["sample_id"], "relabel", relabelled["label"])
    curate("decide", dataset.path, dropped["sample_id"], "undrop")
    curate("build", dataset.path)
    back = read_manifest(dataset, "v4").set_index("sample_id")
    for row in (relabelled, dropped):
        assert back.loc[row["sample_id"], ["label", "split"]].tolist() == [row["label"], row["split"]]


def test_exports_and_predictions_of_the_story(demo_run, tmp_path):
    path = demo_run.dataset.path
    for form in ("imagefolder", "csv", "parquet"):
        curate("export", path, "v2", "--to", tmp_path / form, "--format", form)
    pictures = list((tmp_path / "imagefolder" / "test").rglob("*.*"))
    assert {picture.parent.name for picture in pictures} == {"cat", "dog"}
    rows = json.loads(curate("predict", path, "m2", tmp_path / "imagefolder" / "test", "--json").stdout)
    assert len(rows) == len(pictures)
    right = np.mean([Path(row["path"]).parent.name == row["predicted"] for row in rows])
    stated = demo_run.summary["models"]["m2"]["metrics"]["test"]["accuracy"]["value"]
    assert abs(right - stated) < 0.06  # the same samples; decoded from the files, not from the thumbnails
