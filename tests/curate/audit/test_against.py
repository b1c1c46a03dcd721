"""A dataset held against another one: the same file, the same pixels, near copies; on drawn pictures."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from curate.audit.against import AGAINST, _describe, audit_against, read_against
from curate.audit.leaks import find_leaks
from curate.decide.by_hand import decide_sample
from curate.demo.scene import draw_animal
from curate.images.init import init_dataset
from curate.images.samples import read_scan
from curate.images.scan import scan_dataset
from curate.spec.model import Spec
from curate.spec.reading import read_spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder, open_folder
from curate.versions.build import build_version
from tests.conftest import curate, write_groups


def write_animals(folder: Path, seeds: range, kinds: tuple[str, ...] = ("cat", "dog")) -> Path:
    for species in kinds:
        (folder / species).mkdir(parents=True, exist_ok=True)
        for seed in seeds:
            drawn = draw_animal(species, np.random.default_rng(seed), size=(160, 140))
            drawn.save(folder / species / f"{seed}.jpg", quality=90)
    return folder


def files_digest(folder: Path) -> str:
    rows = [(str(path), path.stat().st_mtime_ns) for path in sorted(folder.rglob("*"))]
    return hashlib.sha256(repr(rows).encode()).hexdigest()


@pytest.fixture(scope="module")
def animals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_animals(tmp_path_factory.mktemp("animals") / "images", range(8))


@pytest.fixture(scope="module")
def other(animals: Path) -> Path:
    """Strangers, and of ours: a file, its pixels as PNG, one smaller, one mirrored (and called otherwise)."""
    folder = write_animals(animals.parent / "bench" / "test", range(50, 54))
    shutil.copy(animals / "cat" / "0.jpg", folder / "cat" / "same.jpg")
    with Image.open(animals / "cat" / "1.jpg") as opened:
        opened.save(folder / "cat" / "pixels.png")
    with Image.open(animals / "dog" / "2.jpg") as opened:
        opened.resize((120, 105)).save(folder / "dog" / "smaller.jpg", quality=80)
    with Image.open(animals / "dog" / "3.jpg") as opened:
        ImageOps.mirror(opened).save(folder / "cat" / "mirror.jpg", quality=90)
    return animals.parent / "bench"


@pytest.fixture(scope="module")
def compared(animals: Path, other: Path) -> Path:
    """The dataset once scanned and compared, so that the pictures of both go through the network once."""
    init_dataset(animals.parent / "set", animals)
    dataset = open_folder(animals.parent / "set")
    scan_dataset(dataset, read_spec(dataset))
    audit_against(dataset, read_spec(dataset), other)
    return dataset.path


@pytest.fixture
def ours(animals: Path, compared: Path, tmp_path: Path) -> tuple[DatasetFolder, Spec]:
    """Its copy, which a test may change."""
    shutil.copytree(animals, tmp_path / "images")
    shutil.copytree(compared, tmp_path / "set")
    for old in (tmp_path / "set" / ".curate" / "against").glob("*.*"):
        old.unlink()
    dataset = open_folder(tmp_path / "set")
    scan_dataset(dataset, read_spec(dataset))
    return dataset, read_spec(dataset)


PAIRS = {
    ("cat/0.jpg", "test/cat/same.jpg"): "identical_file",
    ("cat/1.jpg", "test/cat/pixels.png"): "identical_pixels",
    ("dog/2.jpg", "test/dog/smaller.jpg"): "reencoded",
    ("dog/3.jpg", "test/cat/mirror.jpg"): "mirrored",
}


def test_every_kind_of_copy_is_found_no_stranger_is_and_the_other_is_not_touched(ours, other):
    dataset, spec = ours
    before = files_digest(other)
    found = audit_against(dataset, spec, other)
    assert files_digest(other) == before
    assert list(found.pairs) == list(AGAINST)
    pairs = dict(
        zip(zip(found.pairs["path"], found.pairs["other_path"], strict=True), found.pairs["kind"], strict=True)
    )
    assert pairs == PAIRS
    assert found.pairs["labels_differ"].tolist() == [False, False, False, True]
    assert set(found.pairs["other_split"]) == {"test"} and found.pairs["similarity"].between(0.7, 1).all()
    record = found.record
    assert (record["samples"], record["other_samples"], record["shared"], record["other_shared"]) == (16, 12, 4, 4)
    assert record["labels_differ"] == 1 and record["notes"] == []
    (kept,) = read_against(dataset)
    assert kept.pairs.equals(found.pairs) and kept.record == record
    again = audit_against(dataset, spec, other)
    assert again.pairs.equals(found.pairs)


def test_a_version_says_which_are_in_train_and_which_test_images_leaked(ours, other):
    dataset, spec = ours
    write_groups(dataset, read_scan(dataset))
    manifest = build_version(dataset, spec).manifest.set_index("path")["split"]
    found = audit_against(dataset, spec, other)
    splits = [manifest[path] for path, _ in PAIRS]
    assert found.pairs["split"].tolist() == splits
    assert found.record["other_in_train"] == splits.count("train")
    assert found.record["other_in_train_splits"] == ({"test": splits.count("train")} if "train" in splits else {})
    leaks = find_leaks(dataset, "v1")
    assert sum(len(leak.sample_ids) for leak in leaks) == splits.count("test")


def test_what_was_dropped_is_in_no_split_any_more(ours):
    dataset, spec = ours
    scan = read_scan(dataset)
    scan = replace(scan, samples=scan.samples.assign(given_split="train"))
    assert set(_describe(scan, dataset)["split"]) == {"train"}
    write_groups(dataset, scan)
    dropped = decide_sample(dataset, spec, "cat/1.jpg", "drop").sample_id
    build_version(dataset, spec)
    table = _describe(scan, dataset)
    assert table.loc[dropped].tolist() == ["cat/1.jpg", "", "cat"] and (table["split"] == "").sum() == 1


def test_a_dataset_is_compared_as_its_version_has_it(ours, other, make_dataset):
    dataset, spec = ours
    theirs, their_spec = make_dataset(other, "theirs")
    write_groups(theirs, scan_dataset(theirs, their_spec))
    built = build_version(theirs, their_spec).manifest.set_index("path")
    before = files_digest(theirs.path)
    found = audit_against(dataset, spec, theirs.path).pairs
    assert files_digest(theirs.path) == before
    assert set(zip(found["path"], found["other_path"], strict=True)) == set(PAIRS)
    assert found["other_split"].tolist() == built.loc[found["other_path"], "split"].tolist()


def test_saved_vectors_leave_the_hashes(ours, other):
    dataset, spec = ours
    ids = read_scan(dataset).samples["sample_id"]
    np.save(dataset.path / "vectors.npy", np.eye(len(ids), dtype=np.float32))
    (dataset.path / "vectors.txt").write_text("\n".join(ids))
    saved = spec.model_copy(update={"audit": spec.audit.model_copy(update={"embedding": "vectors.npy"})})
    found = audit_against(dataset, saved, other)
    assert "by their hashes only" in found.record["notes"][0]
    assert set(zip(found.pairs["path"], found.pairs["other_path"], strict=True)) == set(PAIRS)


def test_nothing_in_common(ours, tmp_path):
    dataset, spec = ours
    found = audit_against(dataset, spec, write_animals(tmp_path / "strangers", range(70, 72)))
    assert found.pairs.empty and list(found.pairs) == list(AGAINST) and found.record["shared"] == 0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path / "missing", "nothing is there"),
        (lambda path: path / "set" / "dataset.yaml", "a file is there"),
        (lambda path: path / "set", "the dataset itself"),
        (lambda path: path / "hollow", "Expected images"),
    ],
)
def test_what_cannot_be_compared_is_told(ours, tmp_path, make, words):
    (tmp_path / "hollow").mkdir()
    with pytest.raises(Problem, match=words):
        audit_against(ours[0], ours[1], make(tmp_path))


def test_the_command(ours, other):
    said = curate("audit", ours[0].path, "--against", other).stdout
    assert "4 of our 16 images are in" in said and "4 of its 12 images are here" in said
    assert "the labels differ" in said and "identical file" in said
    shown = json.loads(curate("audit", ours[0].path, "--against", other, "--json").stdout)
    assert len(shown["pairs"]) == 4 and shown["leaks"] == []
