import json
import random
import shutil
from pathlib import Path

import pandas as pd
import pytest

from curate.decide.by_hand import decide_sample
from curate.images.init import init_dataset
from curate.images.scan import scan_dataset
from curate.spec.reading import parse_spec, read_spec
from curate.storage.files import Problem
from curate.storage.folder import numbered, open_folder
from curate.storage.tables import MANIFEST, SPLITS
from curate.versions.build import build_version
from curate.versions.digest import version_digest
from curate.versions.read import current_version, read_manifest, read_version
from tests.conftest import draw_shape, write_groups, write_shapes


def test_a_version_is_a_sorted_manifest_and_its_record(grouped):
    dataset, spec, scan = grouped
    version = build_version(dataset, spec)
    assert version.is_new and version.id == "v1"
    manifest = read_manifest(dataset, "v1")
    assert list(manifest) == list(MANIFEST)
    assert manifest["sample_id"].tolist() == sorted(scan.samples["sample_id"])
    assert set(manifest["split"]) == set(SPLITS) and set(manifest["label"]) == {"disc", "square"}
    record = read_version(dataset, "v1")
    assert sum(sum(counts.values()) for counts in record["counts"].values()) == 24
    lock = json.loads(dataset.lock.read_text())
    assert lock["version"] == {"id": "v1", "digest": version.digest}


def test_building_twice_is_one_version(grouped):
    dataset, spec, _ = grouped
    first = build_version(dataset, spec)
    before = dataset.lock.stat().st_mtime_ns
    again = build_version(dataset, spec)
    assert (again.id, again.digest, again.is_new) == (first.id, first.digest, False)
    assert numbered(dataset.versions, "v") == ["v1"] and dataset.lock.stat().st_mtime_ns == before


def test_the_digest_is_the_same_elsewhere(grouped, tmp_path):
    """Renamed folder, shuffled and renamed files, other worker count, another spec layout: the same digest."""
    dataset, spec, _ = grouped
    first = build_version(dataset, spec)
    elsewhere = tmp_path / "another place" / "pictures"
    shutil.copytree(dataset.path / spec.sources[0].path, elsewhere)
    for folder in ("disc", "square"):
        files = sorted((elsewhere / folder).iterdir())
        random.Random(1).shuffle(files)
        for number, file in enumerate(files):
            file.rename(file.with_name(f"renamed {number}.jpg"))
    init_dataset(tmp_path / "moved", elsewhere)
    moved = open_folder(tmp_path / "moved")
    moved.spec.write_text("# a comment\n" + moved.spec.read_text())
    other = scan_dataset(moved, read_spec(moved), workers=1)
    write_groups(moved, other)
    assert build_version(moved, read_spec(moved)).digest == first.digest


GOLDEN = "947c96b8677fddb18bef7afc724264d99b72dfc22c33b34373f044acfcba62e3"


def test_golden_digest():
    """Changes only with a line in the changelog: every digest in the world changes with it."""
    spec = parse_spec(
        "name: pets\nclasses: {cat: A cat., dog: A dog.}\nsources: [{path: images}]", Path("dataset.yaml")
    )
    manifest = pd.DataFrame({"sample_id": ["b" * 20, "a" * 20], "label": ["dog", "cat"], "split": ["test", "train"]})
    assert version_digest(manifest, spec) == GOLDEN


GOLDEN_SHARES = "b91638a34b956173cf861b0d2270d6de3e66814dcf238b5ab210f91bb3b40d63"


def test_golden_digest_of_a_version_with_shares():
    """They are rounded, so the last bits of a sum make no other version."""
    spec = parse_spec(
        "name: pets\nclasses: {cat: A cat., dog: A dog.}\nsources: [{path: images}]", Path("dataset.yaml")
    )
    manifest = pd.DataFrame({"sample_id": ["b" * 20, "a" * 20], "label": ["dog", "cat"], "split": ["test", "train"]})
    soft_labels = pd.DataFrame({"sample_id": ["a" * 20, "b" * 20], "cat": [2 / 3 + 1e-12, 0.0], "dog": [1 / 3, 1.0]})
    assert version_digest(manifest, spec, soft_labels) == GOLDEN_SHARES
    assert version_digest(manifest, spec, soft_labels.iloc[::-1]) == GOLDEN_SHARES
    assert version_digest(manifest, spec, soft_labels.rename(columns={"cat": "dog", "dog": "cat"})) != GOLDEN_SHARES


def test_decisions_change_the_version_and_can_be_taken_back(grouped):
    dataset, spec, scan = grouped
    first = build_version(dataset, spec)
    one, two = scan.samples["sample_id"][:2]
    decide_sample(dataset, spec, one, "drop", reason="blurred")
    other = "square" if scan.samples["given_label"][1] == "disc" else "disc"
    made = decide_sample(dataset, spec, two, "relabel", other)
    second = build_version(dataset, spec)
    assert second.id == "v2" and second.record["parent"] == "v1" and second.record["excluded"] == {"dropped": 1}
    row = second.manifest.set_index("sample_id").loc[two]
    assert (row["label"], row["decided_by"]) == (other, made.id)
    assert one not in set(second.manifest["sample_id"])
    kept = first.manifest.set_index("sample_id")["split"]
    assert (second.manifest.set_index("sample_id")["split"] == kept.drop(one)).all()
    decide_sample(dataset, spec, one, "undrop")
    decide_sample(dataset, spec, two, "relabel", made.before)
    assert build_version(dataset, spec).id == "v1"  # the same content is the same version
    assert build_version(dataset, spec, use_decisions=False).id == "v1"


def test_what_has_no_label_or_cannot_be_read_is_left_out_and_counted(tmp_path, make_dataset):
    images = write_shapes(tmp_path / "images", 4)
    shutil.copy(images / "disc" / "001.jpg", images / "square" / "wrong.jpg")
    (images / "disc" / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    draw_shape("disc", 60).save(images / "loose.jpg")
    dataset, spec = make_dataset(images)
    write_groups(dataset, scan_dataset(dataset, spec))
    version = build_version(dataset, spec)
    assert version.record["excluded"] == {"unlabelled": 1, "unreadable": 1, "votes tie": 1}
    assert len(version.manifest) == 7


def test_near_copies_share_a_split_and_growth_moves_nothing(grouped):
    dataset, spec, scan = grouped
    ids = scan.samples["sample_id"].tolist()
    write_groups(dataset, scan, dict.fromkeys(ids[:6], ids[0]))
    first = build_version(dataset, spec)
    assert first.manifest.set_index("sample_id").loc[ids[:6], "split"].nunique() == 1
    for seed in range(200, 230):
        draw_shape("disc", seed).save(dataset.path / spec.sources[0].path / "disc" / f"{seed}.jpg")
    grown = scan_dataset(dataset, spec)
    with pytest.raises(Problem, match="30 samples are newer than the last audit"):
        build_version(dataset, spec)
    new = sorted(set(grown.samples["sample_id"]) - set(ids))
    write_groups(dataset, grown, {one: min(ids[0], *new[:5]) for one in [*ids[:6], *new[:5]]})
    second = build_version(dataset, spec)
    places = second.manifest.set_index("sample_id")["split"]
    assert (places[ids] == first.manifest.set_index("sample_id")["split"][ids]).all()
    assert places[[*ids[:6], *new[:5]]].nunique() == 1 and second.record["moved"] == {}
    shutil.rmtree(dataset.versions)  # a fresh clone that kept only the lock
    assert build_version(dataset, spec).digest == second.digest


def test_unknown_versions_and_labels_are_named(grouped):
    dataset, spec, scan = grouped
    with pytest.raises(Problem, match="none yet"):
        read_manifest(dataset, "v1")
    build_version(dataset, spec)
    with pytest.raises(Problem, match=r"'v7'.*There are v1"):
        read_version(dataset, "v7")
    with pytest.raises(Problem, match=r"'\.\./v1'"):
        read_version(dataset, "../v1")
    decide_sample(dataset, spec, scan.samples["sample_id"][0], "relabel", "square")
    fewer = spec.model_copy(update={"classes": {"disc": ""}})
    with pytest.raises(Problem, match="square"):
        build_version(dataset, fewer)


@pytest.mark.parametrize("content", [bytes(range(128, 228)), b"", b"[1]", b"<<<<<<< mine\n{}", None])
@pytest.mark.parametrize("spoil", ["lock alone", "copy too"])
def test_a_lock_that_was_damaged_or_lost_is_the_same_again(grouped, capsys, content, spoil):
    """Also where an older version is current, and where a sample that no version holds has its place in the lock."""
    dataset, spec, scan = grouped
    spec = spec.model_copy(update={"split": spec.split.model_copy(update={"locked": True})})
    out, back = scan.samples["sample_id"][:2]
    decide_sample(dataset, spec, out, "drop")
    build_version(dataset, spec)
    decide_sample(dataset, spec, back, "drop")
    build_version(dataset, spec)
    decide_sample(dataset, spec, back, "undrop")
    build_version(dataset, spec)
    lock = dataset.lock.read_bytes()
    for path in [dataset.lock, *([dataset.versions / "dataset.lock"] if spoil == "copy too" else [])]:
        path.unlink() if content is None else path.write_bytes(content)
    said = current_version(dataset), capsys.readouterr().err
    if spoil == "lock alone":
        assert dataset.lock.read_bytes() == lock
        assert said[0] == "v1" and said[1].count("\n") == 1 and "written again" in said[1]
    assert build_version(dataset, spec).id == "v1" and dataset.lock.read_bytes() == lock


def test_a_damaged_lock_without_a_version_is_refused(grouped):
    dataset, spec, _ = grouped
    dataset.lock.write_bytes(b"\xff")
    with pytest.raises(Problem, match=r"dataset\.lock.*Restore it or delete it"):
        build_version(dataset, spec)
