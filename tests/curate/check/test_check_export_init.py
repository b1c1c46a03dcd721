import csv
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from curate.check.rules import check_dataset, check_manifest
from curate.decide.by_hand import decide_sample
from curate.images.init import Start, init_dataset
from curate.images.scan import scan_dataset
from curate.spec.model import Check, Train
from curate.spec.reading import read_spec
from curate.storage.files import Problem
from curate.storage.folder import open_folder
from curate.versions.build import build_version
from curate.versions.export import export_version, safe_cells
from curate.versions.read import current_version
from tests.conftest import curate, draw_shape, write_findings, write_shapes


def manifest(**columns) -> pd.DataFrame:
    return pd.DataFrame(columns)


def test_each_rule_holds_or_says_what_was_found():
    table = manifest(
        label=["cat"] * 4 + ["dog"], split=["train", "train", "test", "test", "train"], group_id=list("abbcd")
    )
    rules = {
        rule.rule: rule
        for rule in check_manifest(
            table,
            ["cat", "dog"],
            Check(
                min_per_class=1, min_test_per_class=1, max_imbalance=3, max_unreadable=0, max_undecided={"outlier": 2}
            ),
            unreadable=1,
            undecided={"outlier": 2},
        )
    }
    assert {name for name, rule in rules.items() if rule.ok} == {"min_per_class", "max_undecided.outlier"}
    assert rules["min_test_per_class"].found == "cat 2, dog 0"
    assert rules["max_imbalance"].found == "4.00"
    assert rules["no_leakage"].found == "1 groups"


def test_rules_left_out_are_not_checked_and_a_missing_class_counts():
    table = manifest(label=["cat"], split=["train"], group_id=["a"])
    off = Check(min_per_class=None, min_test_per_class=None, max_imbalance=None, no_leakage=False)
    assert check_manifest(table, ["cat"], off, 0, {}) == []
    assert not check_manifest(table, ["cat", "dog"], Check(), 0, {})[0].ok


def test_check_reads_the_version_that_decisions_amount_to_now(grouped):
    """When decisions are taken back, an older version holds again, and the newest says nothing of the dataset."""
    dataset, spec, scan = grouped
    build_version(dataset, spec)
    sample = scan.samples["sample_id"][0]
    decide_sample(dataset, spec, sample, "drop")
    assert build_version(dataset, spec).id == "v2"
    decide_sample(dataset, spec, sample, "undrop")
    assert build_version(dataset, spec).id == current_version(dataset) == "v1"
    assert {rule.rule: rule.found for rule in check_dataset(dataset, spec)}["min_per_class"] == "disc 12, square 12"
    decide_sample(dataset, spec, scan.samples["sample_id"][1], "drop")
    assert build_version(dataset, spec).record["parent"] == "v1"


def test_a_rule_for_an_issue_that_is_none_does_not_hold_unseen(grouped):
    dataset, spec, _ = grouped
    build_version(dataset, spec)
    slip = spec.model_copy(update={"check": Check(max_undecided={"label_eror": 0})})
    with pytest.raises(Problem, match=r"max_undecided.*label_error.*found label_eror"):
        check_dataset(dataset, slip)


def test_check_reads_the_newest_version(grouped):
    dataset, spec, scan = grouped
    with pytest.raises(Problem, match="curate build"):
        check_dataset(dataset, spec)
    build_version(dataset, spec)
    write_findings(dataset, {"sample_id": scan.samples["sample_id"][0], "issue": "dark"})
    strict = spec.model_copy(update={"check": Check(min_test_per_class=0, max_undecided={"dark": 0})})
    assert [rule.rule for rule in check_dataset(dataset, strict) if not rule.ok] == ["max_undecided.dark"]


def test_imagefolder_holds_the_very_bytes(grouped, tmp_path):
    dataset, spec, _ = grouped
    version = build_version(dataset, spec)
    to = export_version(dataset, "v1", tmp_path / "out")
    files = sorted(path for path in to.rglob("*.jpg"))
    assert len(files) == 24
    rows = version.manifest.set_index("sample_id")
    for file in files:
        row = rows.loc[file.stem]
        assert (file.parent.parent.name, file.parent.name) == (row["split"], row["label"])
        assert file.read_bytes() == (dataset.path / spec.sources[0].path / row["path"]).read_bytes()
    with (to / "manifest.csv").open() as listed:
        assert {row["file"] for row in csv.DictReader(listed)} == {path.relative_to(to).as_posix() for path in files}


def test_an_export_can_be_read_in_again(grouped, tmp_path):
    dataset, spec, _ = grouped
    version = build_version(dataset, spec)
    init_dataset(tmp_path / "again", export_version(dataset, "v1", tmp_path / "out"))
    again = open_folder(tmp_path / "again")
    samples = scan_dataset(again, read_spec(again)).samples
    merged = samples.merge(version.manifest, on="sample_id")
    assert len(merged) == 24
    assert (merged["given_label"] == merged["label"]).all() and (merged["given_split"] == merged["split"]).all()


def test_shares_go_with_the_version(grouped, tmp_path):
    dataset, spec, _ = grouped
    build_version(dataset, spec.model_copy(update={"train": Train(labels="shares")}))
    tables = []
    for form in ("parquet", "csv"):
        to = export_version(dataset, "v1", tmp_path / form, form)
        files = sorted(to.glob(f"*.{form}"))
        tables.append(pd.concat([getattr(pd, f"read_{form}")(path) for path in files]).set_index("sample_id"))
        shares = tables[-1][["share_disc", "share_square"]].set_axis(["disc", "square"], axis=1)
        assert (shares.idxmax(axis=1) == tables[-1]["label"]).all() and (shares.sum(axis=1) == 1).all()
    assert tables[0].index.isin(tables[1].index).all()


def test_parquet_and_csv(grouped, tmp_path):
    dataset, spec, _ = grouped
    version = build_version(dataset, spec)
    to = export_version(dataset, "v1", tmp_path / "parquet", "parquet")
    table = pd.concat([pd.read_parquet(path) for path in sorted(to.glob("*.parquet"))])
    assert set(table["sample_id"]) == set(version.manifest["sample_id"])
    assert table["image"].iloc[0]["bytes"][:2] == b"\xff\xd8"
    to = export_version(dataset, "v1", tmp_path / "csv", "csv")
    rows = pd.concat([pd.read_csv(to / f"{split}.csv") for split in ("train", "val", "test")])
    assert len(rows) == 24 and np.asarray(Image.open(rows["path"].iloc[0])).size


def test_export_never_overwrites_and_names_formats(grouped, tmp_path):
    dataset, spec, _ = grouped
    build_version(dataset, spec)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(Problem, match="holds something"):
        export_version(dataset, "v1", tmp_path / "full")
    with pytest.raises(Problem, match="imagefolder, csv, parquet"):
        export_version(dataset, "v1", tmp_path / "new", "zip")
    next((dataset.path / spec.sources[0].path / "disc").iterdir()).unlink()
    with pytest.raises(Problem, match="curate scan"):
        export_version(dataset, "v1", tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir() if "new" in path.name) == []


def test_cells_cannot_be_formulas():
    table = safe_cells(pd.DataFrame({"path": ["=cmd()", "a.jpg", "-1", "@x"], "score": [-1.0, 0, 1, 2]}))
    assert table["path"].tolist() == ["'=cmd()", "a.jpg", "'-1", "'@x"] and table["score"].tolist() == [-1, 0, 1, 2]


def test_init_writes_a_spec_that_reads_back(tmp_path):
    images = write_shapes(tmp_path / "my pets", 2, ("disc", 'a "b" #c'.replace('"', "'")))
    path = init_dataset(tmp_path / "set", images)
    spec = read_spec(open_folder(tmp_path / "set"))
    assert spec.class_names == ["a 'b' #c", "disc"] and spec.sources[0].kind == "folders"
    assert "# What each class means" in path.read_text() and (tmp_path / "set" / ".gitignore").exists()
    with pytest.raises(Problem, match="there already"):
        init_dataset(tmp_path / "set", images)
    # Git merges the logs by itself, unless somebody said otherwise.
    merges = "decisions.jsonl merge=union\nvotes.jsonl merge=union\n"
    assert (tmp_path / "set" / ".gitattributes").read_text() == merges
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / ".gitattributes").write_text("*.jsonl merge=ours\n")
    init_dataset(tmp_path / "own", images)
    assert (tmp_path / "own" / ".gitattributes").read_text() == "*.jsonl merge=ours\n"


def test_init_knows_split_folders_flat_folders_and_csv(tmp_path):
    for split in ("train", "valid", "test"):
        write_shapes(tmp_path / "parts" / split, 1)
    init_dataset(tmp_path / "one", tmp_path / "parts")
    dataset = open_folder(tmp_path / "one")
    assert read_spec(dataset).class_names == ["disc", "square"]
    (tmp_path / "flat").mkdir()
    draw_shape("disc", 1).save(tmp_path / "flat" / "a.png")
    with pytest.raises(Problem, match="--classes"):
        init_dataset(tmp_path / "two", tmp_path / "flat")
    init_dataset(tmp_path / "two", tmp_path / "flat", Start(classes=("cat", "dog")))
    assert read_spec(open_folder(tmp_path / "two")).sources[0].kind == "flat"
    (tmp_path / "labels.csv").write_text("path,label\nflat/a.png,cat\n")
    init_dataset(tmp_path / "three", tmp_path / "labels.csv")
    assert read_spec(open_folder(tmp_path / "three")).sources[0].kind == "csv"


def test_init_offers_the_line_that_joins_two_spellings_of_a_class(tmp_path):
    names = ("cat", "Cat", "caf\u00e9", "cafe\u0301", " dog ", "dog")
    for seed, name in enumerate(names):
        (tmp_path / "images" / name).mkdir(parents=True)
        draw_shape("disc", seed).save(tmp_path / "images" / name / "1.jpg")
    said = curate("init", tmp_path / "set", "--from", tmp_path / "images").stderr
    (line,) = re.findall(r"^    (labels: .*)$", said, re.MULTILINE)
    assert line.isprintable() and r"cafe\u0301" in line
    spec = tmp_path / "set" / "dataset.yaml"
    text = re.sub(r"labels: \{\}.*", lambda _: line, spec.read_text(encoding="utf-8"))
    kept = [one for one in text.splitlines() if not one.startswith(('  "Cat"', r'  "cafe\u0301"'))]
    spec.write_text("\n".join(kept), encoding="utf-8")
    dataset = open_folder(tmp_path / "set")
    assert read_spec(dataset).class_names == ["caf\u00e9", "cat", "dog"]
    scan = scan_dataset(dataset, read_spec(dataset))
    assert scan.samples["given_label"].value_counts().to_dict() == {"caf\u00e9": 2, "cat": 2, "dog": 2}
    assert " dog /1.jpg" in set(scan.samples["path"])


def test_init_of_different_classes_offers_nothing(shapes, tmp_path):
    assert not curate("init", tmp_path / "set", "--from", shapes).stderr


def test_a_class_called_train_is_a_class_beside_others(tmp_path):
    write_shapes(tmp_path / "vehicles", 2, ("train", "bus"))
    init_dataset(tmp_path / "set", tmp_path / "vehicles")
    dataset = open_folder(tmp_path / "set")
    spec = read_spec(dataset)
    assert spec.class_names == ["bus", "train"]
    assert sorted(scan_dataset(dataset, spec).samples["given_label"]) == ["bus", "bus", "train", "train"]
    for split in ("train", "test"):  # an unlabelled set, as competitions hand it out
        (tmp_path / "flat" / split).mkdir(parents=True)
        draw_shape("disc", 1).save(tmp_path / "flat" / split / "a.png")
    with pytest.raises(Problem, match="--classes"):
        init_dataset(tmp_path / "other", tmp_path / "flat")


@pytest.mark.parametrize(("name", "words"), [("none", "nothing is there"), ("empty", "found none")])
def test_init_of_nothing(tmp_path, name, words):
    (tmp_path / "empty").mkdir()
    with pytest.raises(Problem, match=words):
        init_dataset(tmp_path / "set", tmp_path / name)
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("form", ["imagefolder", "parquet"])
def test_a_file_that_changed_since_the_scan_is_not_exported(grouped, tmp_path, form):
    dataset, spec, scan = grouped
    build_version(dataset, spec)
    file = dataset.path / scan.locations["file"].iloc[0]
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(Problem, match="has changed since the scan"):
        export_version(dataset, "v1", tmp_path / "out", form)
    assert not (tmp_path / "out").exists()
