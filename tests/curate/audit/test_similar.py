"""What is like one image: against a plain sort, for samples and for files from outside, and what cannot be asked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from curate.audit.similar import SIMILAR, find_similar
from curate.images.samples import Scan
from curate.log.decision import Decision
from curate.log.decisions import append_decisions
from curate.spec.model import Spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder
from curate.versions.build import build_version
from tests.conftest import curate

Scanned = tuple[DatasetFolder, Spec, Scan]


@pytest.fixture
def saved(grouped: Scanned) -> Scanned:
    """The scanned dataset with saved vectors, so that no network has to be loaded."""
    dataset, spec, scan = grouped
    ids = list(scan.samples["sample_id"])
    vectors = np.abs(np.random.default_rng(0).normal(size=(len(ids), 8))).astype(np.float32)
    np.save(dataset.path / "vectors.npy", vectors)
    (dataset.path / "vectors.txt").write_text("\n".join(ids))
    return dataset, spec.model_copy(update={"audit": spec.audit.model_copy(update={"embedding": "vectors.npy"})}), scan


def file_of(dataset: DatasetFolder, scan: Scan, path: str) -> Path:
    return dataset.path / scan.locations.set_index("path").loc[path, "file"]


def test_neighbours_of_a_sample_equal_a_sort(saved: Scanned) -> None:
    dataset, spec, scan = saved
    vectors = np.load(dataset.path / "vectors.npy")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = find_similar(dataset, spec, "disc/003.jpg", limit=5)
    row = scan.samples.index[scan.samples["path"] == "disc/003.jpg"][0]
    likeness = vectors @ vectors[row]
    order = [other for other in np.argsort(-likeness) if other != row][:5]
    assert found.standing == "sample" and list(found.table) == list(SIMILAR)
    assert found.table["path"].tolist() == scan.samples["path"].iloc[order].tolist()
    assert np.allclose(found.table["similarity"], likeness[order], atol=1e-5)
    assert found.table["rank"].tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("short", [20, 6])
def test_a_sample_is_named_by_its_digits(saved: Scanned, short: int) -> None:
    dataset, spec, scan = saved
    sample_id = scan.samples["sample_id"].iloc[0]
    found = find_similar(dataset, spec, sample_id[:short])
    assert found.standing == "sample" and sample_id not in set(found.table["sample_id"])


def test_labels_are_as_decided_and_splits_of_the_version(saved: Scanned) -> None:
    dataset, spec, scan = saved
    other = scan.samples.loc[scan.samples["path"] == "disc/004.jpg", "sample_id"].iloc[0]
    decision = Decision(actor="ann", tool="decide", sample_id=other, action="relabel", label="square")
    append_decisions(dataset.decisions, [decision])
    before = find_similar(dataset, spec, "disc/003.jpg", limit=30).table.set_index("path")
    assert before.loc["disc/004.jpg", "label"] == "square" and before.loc["disc/005.jpg", "label"] == "disc"
    assert set(before["split"]) == {""}
    built = build_version(dataset, spec).manifest.set_index("path")["split"]
    after = find_similar(dataset, spec, "disc/003.jpg", limit=30).table.set_index("path")["split"]
    assert after.to_dict() == built.drop("disc/003.jpg").to_dict()


def test_the_same_file_elsewhere_is_known(saved: Scanned, tmp_path: Path) -> None:
    dataset, spec, scan = saved
    elsewhere = tmp_path / "renamed.jpg"
    elsewhere.write_bytes(file_of(dataset, scan, "disc/003.jpg").read_bytes())
    found = find_similar(dataset, spec, elsewhere, limit=3)
    assert found.standing == "sample" and "disc/003.jpg" in found.sentence
    assert found.table.loc[0, ["path", "relation", "similarity"]].tolist() == ["disc/003.jpg", "identical file", 1.0]
    assert len(found.table) == 3


def test_copies_of_a_file_outside_are_found_by_hash_where_vectors_are_saved(saved: Scanned, tmp_path: Path) -> None:
    dataset, spec, scan = saved
    with Image.open(file_of(dataset, scan, "disc/003.jpg")) as image:
        image.save(tmp_path / "same.png")
        ImageOps.mirror(image).save(tmp_path / "mirror.png")
    same = find_similar(dataset, spec, tmp_path / "same.png")
    assert same.standing == "copy" and same.table[["path", "relation"]].to_numpy().tolist() == [
        ["disc/003.jpg", "identical pixels"]
    ]
    assert same.table["similarity"].isna().all() and "saved vectors" in same.notes[0]
    mirrored = find_similar(dataset, spec, tmp_path / "mirror.png")
    assert (mirrored.table.loc[0, "path"], mirrored.table.loc[0, "relation"]) == ("disc/003.jpg", "mirrored")


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
def test_a_tiny_or_thin_picture_is_new(saved: Scanned, tmp_path: Path, size: tuple[int, int]) -> None:
    dataset, spec, _ = saved
    Image.new("RGB", size).save(tmp_path / "odd.png")
    assert find_similar(dataset, spec, tmp_path / "odd.png").standing == "new"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere.jpg", "nor is there such a file"),
        ("https://example.org/cat.jpg", "save the image first"),
        (".", "is a folder"),
        ("a\0b", "found 'a"),
        ("x" * 5000, "cannot be opened"),
    ],
)
def test_what_is_no_image_is_told(saved: Scanned, name: str, says: str) -> None:
    dataset, spec, _ = saved
    with pytest.raises(Problem, match=says):
        find_similar(dataset, spec, name)


@pytest.mark.parametrize(
    ("content", "says"), [(b"", "empty"), (b"hello", "not an image"), (b"\xff\xd8\xff", "expected")]
)
def test_bytes_that_are_no_picture_are_told(saved: Scanned, tmp_path: Path, content: bytes, says: str) -> None:
    dataset, spec, _ = saved
    (tmp_path / "broken.jpg").write_bytes(content)
    with pytest.raises(Problem, match=says):
        find_similar(dataset, spec, tmp_path / "broken.jpg")


def test_a_limit_of_none_is_refused(saved: Scanned) -> None:
    dataset, spec, _ = saved
    with pytest.raises(Problem, match="limit"):
        find_similar(dataset, spec, "disc/003.jpg", limit=0)


def test_asked_before_a_scan(tmp_path: Path, shapes: Path) -> None:
    curate("init", tmp_path / "set", "--from", shapes)
    assert "curate scan" in curate("similar", tmp_path / "set", shapes / "disc" / "001.jpg", "--no-deps", code=2).stderr


def test_the_command_embeds_a_file_outside(grouped: Scanned, tmp_path: Path) -> None:
    dataset, _, scan = grouped
    with Image.open(file_of(dataset, scan, "square/002.jpg")) as image:
        image.resize((200, 167)).save(tmp_path / "large.jpg", quality=80)
    said = json.loads(curate("similar", dataset.path, tmp_path / "large.jpg", "--limit", "3", "--json").stdout)
    assert said["standing"] == "copy" and said["notes"] == [] and len(said["similar"]) == 3
    assert said["similar"][0]["path"] == "square/002.jpg" and said["similar"][0]["similarity"] > 0.8
