import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from curate.images.contents import _in_shards
from curate.images.samples import given_labels, read_scan
from curate.images.scan import scan_dataset
from curate.images.sources import find_files, label_and_split
from curate.images.thumbnails import read_thumbnails
from curate.spec.model import Images, Source
from curate.spec.reading import read_spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder
from curate.storage.tables import LOCATIONS, SAMPLES, VOTES, read_parquet, write_table
from tests.conftest import draw_shape, write_shapes


def test_every_file_is_accounted_for(tmp_path, make_dataset):
    images = write_shapes(tmp_path / "images", 3)
    shutil.copy(images / "disc" / "000.jpg", images / "disc" / "copy of 000.jpg")
    shutil.copy(images / "disc" / "001.jpg", images / "square" / "wrong.jpg")
    (images / "disc" / "broken.jpg").write_bytes((images / "disc" / "002.jpg").read_bytes()[:700])
    (images / "square" / "text.png").write_text("not a picture")
    (images / "notes.txt").write_text("hello")
    (images / ".hidden.jpg").write_bytes(b"x")
    dataset, spec = make_dataset(images)
    scan = scan_dataset(dataset, spec)
    assert scan.counts() == {"samples": 6, "locations": 2, "unreadable": 2, "ignored": 2}
    assert len(scan.locations) == sum(1 for path in images.rglob("*") if path.is_file())
    assert (
        list(scan.samples) == list(SAMPLES)
        and list(scan.locations) == list(LOCATIONS)
        and list(scan.votes) == list(VOTES)
    )
    samples = scan.samples.set_index("path")
    assert "truncated" in samples.loc["disc/broken.jpg", "reason"]
    assert "not an image" in samples.loc["square/text.png", "reason"]
    assert samples.loc["disc/000.jpg", "locations"] == 2
    assert samples.loc["disc/001.jpg", "given_label"] == ""  # it lies under both classes: the votes tie
    reasons = scan.locations.set_index("path")["reason"]
    assert reasons["notes.txt"].startswith("not an image file") and reasons[".hidden.jpg"] == "hidden"


def test_a_second_scan_opens_no_file(scanned, monkeypatch):
    dataset, spec, first = scanned
    monkeypatch.setattr("curate.images.contents._read_file", lambda *_: pytest.fail("a file was read again"))
    again = scan_dataset(dataset, spec)
    for name in ("samples", "locations", "votes"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(first, name))
    pd.testing.assert_frame_equal(read_scan(dataset).samples, first.samples)


def test_only_what_is_new_is_decoded(scanned, monkeypatch):
    dataset, spec, first = scanned
    images = dataset.path / spec.sources[0].path
    draw_shape("disc", 99).save(images / "disc" / "new.jpg")
    (images / "disc" / "000.jpg").rename(images / "disc" / "renamed.jpg")
    decoded = []
    from curate.images import contents as module

    real = module.measure_content

    def counted(content, policy):
        decoded.append(1)
        return real(content, policy)

    monkeypatch.setattr(module, "measure_content", counted)
    again = scan_dataset(dataset, spec)
    assert sum(decoded) == 1  # the new one; the renamed one is known by its content
    assert len(again.samples) == len(first.samples) + 1
    assert set(first.samples["sample_id"]) < set(again.samples["sample_id"])


def test_changed_content_under_the_same_name_is_seen(scanned):
    dataset, spec, first = scanned
    file = dataset.path / spec.sources[0].path / "disc" / "000.jpg"
    draw_shape("disc", 77).save(file)
    again = scan_dataset(dataset, spec)
    before, after = (scan.samples.set_index("path").loc["disc/000.jpg", "sample_id"] for scan in (first, again))
    assert before != after


@pytest.mark.parametrize(("workers", "engine"), [(1, "threads"), (3, "threads"), (2, "processes")])
def test_workers_and_order_do_not_change_the_result(scanned, tmp_path, monkeypatch, workers, engine):
    dataset, spec, first = scanned
    shutil.rmtree(dataset.cache)
    walk = os.walk

    def shuffled(*args, **kwargs):
        for folder, names, files in walk(*args, **kwargs):
            random.Random(workers).shuffle(files)
            yield folder, names, files

    monkeypatch.setattr(os, "walk", shuffled)
    again = scan_dataset(dataset, spec, workers, engine)
    pd.testing.assert_frame_equal(again.samples, first.samples)
    pd.testing.assert_frame_equal(again.locations, first.locations)


def test_links_out_of_the_tree_are_refused(tmp_path, make_dataset):
    images = write_shapes(tmp_path / "images", 2)
    secret = tmp_path / "secret.jpg"
    draw_shape("disc", 50).save(secret)
    (images / "disc" / "out.jpg").symlink_to(secret)
    (images / "disc" / "inside.jpg").symlink_to(images / "disc" / "000.jpg")
    (images / "disc" / "nowhere.jpg").symlink_to(tmp_path / "none.jpg")
    (images / "loop").symlink_to(images)
    os.mkfifo(images / "disc" / "pipe.jpg")
    dataset, spec = make_dataset(images)
    scan = scan_dataset(dataset, spec)
    reasons = scan.locations.set_index("path")["reason"]
    assert reasons["disc/out.jpg"] == "link out of the source"
    assert reasons["disc/nowhere.jpg"] == "link out of the source"
    assert reasons["loop"] == "link to a folder" and reasons["disc/pipe.jpg"] == "not a regular file"
    assert scan.counts() == {"samples": 4, "locations": 1, "unreadable": 0, "ignored": 4}


def test_hostile_names_are_only_names(tmp_path, make_dataset):
    images = write_shapes(tmp_path / "images", 1)
    names = [
        "=1+1.jpg",
        "<script>alert(1)</script>.jpg".replace("/", "|"),
        "a\nb.jpg",
        "\x1b[31mred.jpg",
        "-rf.jpg",
        "ü 猫.jpg",
    ]
    for seed, name in enumerate(names):
        draw_shape("disc", 100 + seed).save(images / "disc" / name)
    Path(os.fsdecode(os.fsencode(images / "disc") + b"/\xff\xfe.jpg")).write_bytes(b"x")
    dataset, spec = make_dataset(images)
    scan = scan_dataset(dataset, spec)
    assert {f"disc/{name}" for name in names} < set(scan.samples["path"])
    assert scan.locations.set_index("path").loc["disc/\\udcff\\udcfe.jpg", "status"] == "ignored"
    assert read_scan(dataset).locations["path"].tolist() == scan.locations["path"].tolist()


def test_csv_with_votes_splits_and_metadata(tmp_path, make_dataset):
    write_shapes(tmp_path / "images", 2)
    rows = [
        "path,label,split,annotator,camera",
        "images/disc/000.jpg,disc,train,ann,x1",
        "images/disc/000.jpg,square,train,bob,x1",
        "images/disc/000.jpg,disc,train,cem,x1",
        "images/disc/001.jpg,disc,Validation,ann,",
        "images/square/000.jpg,square,test,ann,x2",
        "images/square/001.jpg,,,,",
        "images/square/none.jpg,square,,,",
        "../secret.jpg,disc,,,",
    ]
    table = tmp_path / "labels.csv"
    table.write_text("\ufeff" + "\n".join(rows) + "\n", encoding="utf-8")
    dataset, spec = make_dataset(table)
    scan = scan_dataset(dataset, spec)
    assert scan.counts() == {"samples": 4, "locations": 0, "unreadable": 1, "ignored": 1}
    samples = scan.samples.set_index("path")
    assert samples.loc["images/disc/000.jpg", "given_label"] == "disc"
    assert samples["given_split"].to_dict()["images/disc/001.jpg"] == "val"
    assert samples.loc["images/square/001.jpg", "given_label"] == ""
    assert "labels.csv:8" in samples.loc["images/square/none.jpg", "reason"]
    assert set(scan.votes["voter"]) == {"csv:ann", "csv:bob", "csv:cem", "csv:labels"}
    assert scan.metadata.set_index("path").loc["images/square/000.jpg", "camera"] == "x2"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,label\na,b\n", "expected the columns path,label"),
        ("path,label\nimages/disc/000.jpg\n", r"labels.csv:2: expected 2 fields"),
        ('path,label\n"images/disc/000.jpg,disc\n', "CSV"),
        ("path,label,split\nimages/disc/000.jpg,disc,dev\n", r"labels.csv:2: expected split train, val, test"),
        ("path,label\nimages/disc/000.jpg,disc\nimages/disc/000.jpg,square\n", r"labels.csv:3: .*line 2"),
    ],
)
def test_a_bad_csv_is_named_with_its_line(tmp_path, make_dataset, text, words):
    write_shapes(tmp_path / "images", 1)
    table = tmp_path / "labels.csv"
    table.write_text("path,label\nimages/disc/000.jpg,disc\nimages/square/000.jpg,square\n")
    dataset, spec = make_dataset(table)
    table.write_text(text)
    with pytest.raises(Problem, match=words):
        scan_dataset(dataset, spec)


def test_unknown_labels_are_named_with_what_to_do(scanned):
    dataset, spec, _ = scanned
    write_shapes(dataset.path / spec.sources[0].path, 1, ("triangle",))
    with pytest.raises(Problem, match=r"disc, square, but 1 files have another \(triangle\).*labels"):
        scan_dataset(dataset, spec)
    mapped = spec.model_copy(update={"sources": [spec.sources[0].model_copy(update={"labels": {"triangle": "disc"}})]})
    assert scan_dataset(dataset, mapped).samples["given_label"].value_counts()["disc"] == 13
    ignored = spec.model_copy(update={"sources": [spec.sources[0].model_copy(update={"ignore": ["triangle/*"]})]})
    assert scan_dataset(dataset, ignored).counts()["ignored"] == 1


def test_split_folders_are_not_classes():
    assert label_and_split(("train", "cat", "a.jpg")) == ("cat", "train")
    assert label_and_split(("train", "a.jpg"), {"train": "a locomotive"}) == ("train", "")
    assert label_and_split(("a.jpg",)) == ("", "")
    assert label_and_split(("train ", " cat", "a.jpg")) == ("cat", "train")
    assert label_and_split(("cat ", "a.jpg")) == ("cat", "")


def test_a_new_image_policy_makes_the_pixels_anew(scanned):
    dataset, spec, _ = scanned
    other = spec.model_copy(update={"images": Images(max_pixels=100)})
    assert scan_dataset(dataset, other).counts()["unreadable"] == 24
    assert scan_dataset(dataset, spec).counts()["samples"] == 24


def test_a_missing_source_says_which(scanned):
    dataset, spec, _ = scanned
    gone = spec.model_copy(update={"sources": [Source(path="gone")]})
    with pytest.raises(Problem, match="gone"):
        find_files(dataset, gone)


def test_the_datasets_own_files_are_no_source(tmp_path):
    from curate.images.init import init_dataset
    from curate.storage.folder import open_folder

    images = write_shapes(tmp_path / "pets", 2)
    init_dataset(images, images)
    dataset = open_folder(images)
    for _ in range(2):
        assert sum(scan_dataset(dataset, read_spec(dataset)).counts().values()) == 4 + 2  # and two files for git


def test_given_labels_are_the_majoritys():
    votes = pd.DataFrame(
        [
            ("a", "cat", "x", ""),
            ("a", "cat", "y", ""),
            ("a", "dog", "z", ""),
            ("b", "cat", "x", ""),
            ("b", "dog", "y", ""),
        ]
        + [
            ("c", "dog", "folder", "1"),
            ("c", "dog", "folder", "2"),
            ("c", "cat", "csv:x", "1"),
            ("c", "cat", "csv:y", "1"),
        ],
        columns=["sample_id", "label", "voter", "path"],
    )
    assert given_labels(votes).to_dict() == {"a": "cat", "b": "", "c": "cat"}


def test_a_killed_scan_continues(tmp_path, make_dataset):
    images = write_shapes(tmp_path / "images", 300)
    dataset, spec = make_dataset(images)
    command = [sys.executable, "-m", "curate.commands.main", "scan", str(dataset.path), "--workers", "1"]
    running = subprocess.Popen(command, stderr=subprocess.PIPE)
    shards = dataset.cache / "files-v1"
    deadline = time.monotonic() + 60
    while not list(shards.glob("*.parquet")) and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    running.kill()
    running.wait()
    kept = sum(len(pd.read_parquet(shard)) for shard in shards.glob("*.parquet"))
    assert kept >= 512
    scan = scan_dataset(dataset, spec)
    assert scan.counts()["samples"] == 600
    assert sum(len(pd.read_parquet(shard)) for shard in shards.glob("*.parquet")) == 600


def test_a_new_image_policy_keeps_what_tells_edits_in_the_app(scanned):
    dataset, spec, _ = scanned
    snapshot = dataset.cache / "review" / "pushed.json"
    snapshot.parent.mkdir()
    snapshot.write_text("{}")
    scan_dataset(dataset, spec.model_copy(update={"images": Images(alpha="black")}))
    assert snapshot.is_file() and (dataset.cache / "thumbnails-v1").is_dir()


def test_it_does_not_matter_from_where_the_command_is_run(scanned, monkeypatch):
    dataset, spec, first = scanned
    monkeypatch.chdir(dataset.path.parent)
    monkeypatch.setattr("curate.images.contents._read_file", lambda *_: pytest.fail("a file was read again"))
    again = scan_dataset(DatasetFolder(Path(dataset.path.name)), spec)
    pd.testing.assert_frame_equal(again.samples, first.samples)


def test_a_file_that_could_not_be_opened_is_tried_again(tmp_path, make_dataset, monkeypatch):
    dataset, spec = make_dataset(write_shapes(tmp_path / "images", 2))
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", lambda _: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        broken = scan_dataset(dataset, spec)
    assert broken.counts()["unreadable"] == 4
    assert set(broken.samples["reason"]) == {"cannot be opened: Input/output error"}
    assert scan_dataset(dataset, spec).counts() == {"samples": 4, "locations": 0, "unreadable": 0, "ignored": 0}


def test_deleted_thumbnails_are_made_again(scanned):
    dataset, spec, first = scanned
    shutil.rmtree(dataset.cache / "thumbnails-v1")
    scan_dataset(dataset, spec)
    assert len(read_thumbnails(dataset, list(first.samples["sample_id"]))) == 24


def test_two_csv_files_of_one_name_are_two_sources(tmp_path, make_dataset):
    dataset, spec = make_dataset(write_shapes(tmp_path / "images", 1))
    for seed, name in enumerate(("one", "two")):
        (tmp_path / name).mkdir()
        draw_shape("disc", 50 + seed).save(tmp_path / name / "a.jpg")
        (tmp_path / name / "labels.csv").write_text("path,label,sample_id\na.jpg,disc,own\n")
    sources = [Source(path=f"../{name}/labels.csv", kind="csv") for name in ("one", "two")]
    scan = scan_dataset(dataset, spec.model_copy(update={"sources": sources}))
    assert scan.counts()["samples"] == 2 and len(scan.votes["sample_id"].unique()) == 2
    assert set(scan.metadata["sample_id"]) == set(scan.samples["sample_id"])  # a column of that name is not ours


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_to_itself_is_left_out(tmp_path, make_dataset):
    images = write_shapes(tmp_path / "images", 1)
    (images / "disc" / "loop.jpg").symlink_to("loop.jpg")
    dataset, spec = make_dataset(images)
    assert scan_dataset(dataset, spec).counts()["ignored"] == 1


def test_what_was_read_before_an_interrupt_is_kept():
    def results():
        yield ["one"]
        yield ["two"]
        raise KeyboardInterrupt

    kept: list[object] = []
    with pytest.raises(KeyboardInterrupt):
        kept.extend(_in_shards(results(), 10))  # type: ignore[arg-type]
    assert kept == [["one", "two"]]


def test_a_scan_of_an_older_version_is_asked_for_anew(scanned):
    dataset, spec, scan = scanned
    votes = dataset.cache / "votes.parquet"
    write_table(votes, read_parquet(votes).drop(columns="share"))
    with pytest.raises(Problem, match=r"another version .* no column 'share'\. Run `curate scan"):
        read_scan(dataset)
    pd.testing.assert_frame_equal(scan_dataset(dataset, spec).votes, scan.votes)
