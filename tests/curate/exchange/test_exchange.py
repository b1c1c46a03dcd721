"""Votes in from other tools' files and out to them; each format's files are written here by hand, as those tools do."""

import csv
import io
import json
import shutil
import tempfile
import time
import xml.etree.ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.commands.votes import votes
from curate.exchange.check import Reading, check_rows
from curate.exchange.exporting import LOCAL_FILES, export_votes
from curate.exchange.formats import READERS, detect_format
from curate.exchange.importing import import_votes
from curate.exchange.label_studio import SUGGESTED_BY
from curate.exchange.match import Match, SampleFinder, identify_beside, spellings
from curate.exchange.rows import Row
from curate.images.samples import read_scan
from curate.log.votes import Vote, append_votes, read_votes
from curate.storage.files import Problem, write_json
from curate.storage.tables import PROPOSERS, VOTES
from tests.conftest import curate, write_findings


@pytest.fixture
def pets(scanned, tmp_path):
    """A scanned dataset and a function that writes a file and imports it."""
    dataset, spec, scan = scanned
    ids = dict(zip(scan.samples["path"], scan.samples["sample_id"], strict=True))

    def bring(content, name="votes.csv", **options):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return import_votes(dataset, spec, path, **options)

    return dataset, spec, ids, bring


def said(dataset) -> dict[tuple[str, str], tuple[str, float]]:
    votes = read_votes(dataset.votes)
    keys = zip(votes["sample_id"], votes["voter"], strict=True)
    return dict(zip(keys, zip(votes["label"], votes["share"], strict=True), strict=True))


def test_csv(pets):
    dataset, _, ids, bring = pets
    text = (
        "file,label,annotator,probability,time\n"
        "disc/000.jpg,square,ann,0.75,2026-01-02T03:04:05Z\n"
        'square/001.jpg,disc,"bob, the ""b""",,\n'
        "square/002.jpg,,ann,,\n"
    )
    done = bring(text)
    assert (done.format, len(done.votes), done.known, done.relabelled) == ("csv", 2, 0, 2)  # each a tie now
    assert done.checked.left_out == {"without a label": 1}
    assert said(dataset) == {
        (ids["disc/000.jpg"], "csv:ann"): ("square", 0.75),
        (ids["square/001.jpg"], 'csv:bob, the "b"'): ("disc", 1.0),
    }
    assert set(read_votes(dataset.votes)["time"]) > {"2026-01-02T03:04:05.000000+00:00"}
    log = dataset.votes.read_bytes()
    again = bring(text)
    assert (len(again.votes), again.known, again.relabelled) == (0, 2, 0)
    assert dataset.votes.read_bytes() == log


def test_csv_as_spreadsheets_save_it(pets):
    dataset, _, ids, bring = pets
    bring("\ufeffpath;label;annotator\r\ndisc\\000.jpg;square;ann\r\n", voter="app:eve")
    assert list(said(dataset)) == [(ids["disc/000.jpg"], "app:eve")]


def test_jsonl(pets):
    dataset, _, ids, bring = pets
    rows = [
        {"sample_id": ids["disc/000.jpg"], "path": "of an old name.jpg", "label": "square", "voter": "app:ann"},
        {"path": "disc/001.jpg", "label": "Square", "share": 0.25, "time": None},
    ]
    done = bring("".join(json.dumps(row) + "\n\n" for row in rows), "bob.jsonl", rename={"Square": "square"})
    assert done.format == "jsonl"
    assert said(dataset) == {
        (ids["disc/000.jpg"], "app:ann"): ("square", 1.0),
        (ids["disc/001.jpg"], "jsonl:bob"): ("square", 0.25),
    }


def choice(*labels: str) -> list[dict]:
    return [{"from_name": "tag", "to_name": "img", "type": "choices", "value": {"choices": list(labels)}}]


def test_label_studio(pets):
    dataset, _, ids, bring = pets
    tasks = [
        {
            "id": 7,
            "data": {"img": "/data/local-files/?d=shapes/disc/000.jpg"},
            "annotations": [
                {
                    "completed_by": {"id": 1, "email": "ann@x.org"},
                    "result": choice("square"),
                    "created_at": "2026-01-01",
                },
                {"completed_by": 2, "result": choice("disc"), "updated_at": "2026-01-02T00:00:00.123456Z"},
                {"completed_by": 3, "result": choice("disc"), "was_cancelled": True},
                {"completed_by": 4, "result": []},
            ],
            "predictions": [
                {"model_version": "net 3", "score": 0.9, "result": choice("square")},
                {"model_version": "rule:yard", "result": choice("disc")},
                {"model_version": SUGGESTED_BY, "score": 0.9, "result": choice("square")},
            ],
        },
        {"id": 8, "data": {"image": "s3://bucket/square/001.jpg"}, "annotations": []},
        {
            "id": 9,
            "data": {"sample_id": ids["square/002.jpg"], "image": "x.jpg"},
            "completions": [{"result": choice("disc")}],
        },
    ]
    done = bring(tasks, "export.json")
    assert done.format == "labelstudio"
    assert done.checked.left_out == {
        "cancelled": 1,
        "without a choice": 1,
        "without a label": 1,
        "our own suggestion": 1,
    }
    first = ids["disc/000.jpg"]
    assert said(dataset) == {
        (first, "labelstudio:ann@x.org"): ("square", 1.0),
        (first, "labelstudio:2"): ("disc", 1.0),
        (first, "model:net 3"): ("square", 0.9),
        (first, "rule:yard"): ("disc", 1.0),
        (ids["square/002.jpg"], "labelstudio:unknown"): ("disc", 1.0),
    }


def test_label_studio_with_two_choices_and_min_json(pets):
    _, _, _, bring = pets
    tasks = [
        {
            "id": 3,
            "data": {"image": "disc/000.jpg"},
            "annotations": [{"completed_by": 1, "result": choice("disc", "square")}],
        },
        {"id": 4, "image": "disc/000.jpg", "choice": "disc"},
    ]
    text = "[\n" + ",\n".join(map(json.dumps, tasks)) + "]"
    with pytest.raises(Problem) as refused:
        bring(text, "e.json")
    assert "e.json:2: task 3: labelstudio:1 chose disc and square" in str(refused.value)
    assert "e.json:3: task 4: expected a task with `data`" in str(refused.value)


def test_coco(pets):
    dataset, _, ids, bring = pets
    tree = {
        "categories": [{"id": 1, "name": "disc"}, {"id": 2, "name": "square"}],
        "images": [
            {"id": 10, "file_name": "disc/000.jpg"},
            {"id": 11, "file_name": "disc/001.jpg"},
            {"id": 12, "file_name": "disc/002.jpg"},
        ],
        "annotations": [
            {"id": 1, "image_id": 10, "category_id": 2, "bbox": [0, 0, 4, 4]},
            {"id": 2, "image_id": 10, "category_id": 2, "bbox": [5, 5, 4, 4]},
        ],
    }
    done = bring(tree, "instances.json")
    assert done.format == "coco" and done.checked.left_out == {"without a label": 2}
    assert said(dataset) == {(ids["disc/000.jpg"], "coco:instances"): ("square", 1.0)}
    tree["annotations"] += [
        {"id": 3, "image_id": 11, "category_id": 1},
        {"id": 4, "image_id": 11, "category_id": 2},
        {"id": 5, "image_id": 99, "category_id": 1},
        {"id": 6, "image_id": 12, "category_id": 9},
    ]
    with pytest.raises(Problem) as refused:
        bring(tree, "instances.json")
    for sentence in (
        "image 11: disc/001.jpg is annotated as disc and square",
        "annotation 5: no image has the id '99'",
    ):
        assert sentence in str(refused.value)
    assert "annotation 6: no category has the id '9'" in str(refused.value)


def test_fiftyone_image_classification(pets):
    dataset, _, ids, bring = pets
    labels = {"disc/000": 1, "/mnt/x/disc/001.jpg": {"label": "square", "confidence": 0.5}, "disc/002": None}
    done = bring({"classes": ["disc", "square"], "labels": labels}, "labels.json")
    assert done.format == "fiftyone" and done.checked.left_out == {"without a label": 1}
    voter = "fiftyone:labels"
    assert said(dataset) == {
        (ids["disc/000.jpg"], voter): ("square", 1.0),
        (ids["disc/001.jpg"], voter): ("square", 0.5),
    }
    with pytest.raises(Problem, match="disc/000 is labelled disc and square"):
        bring({"classes": None, "labels": {"disc/000": ["disc", "square"]}}, "labels.json")


def test_fiftyone_dataset(pets):
    dataset, _, ids, bring = pets
    sample = {
        "filepath": "/data/set/disc/000.jpg",
        "ground_truth": {"_cls": "Classification", "label": "square", "confidence": None},
        "predictions": {"_cls": "Classification", "label": "disc", "confidence": 0.875},
        "metadata": {"_cls": "ImageMetadata", "width": 96},
        "tags": ["x"],
    }
    reviewed = {"sample_id": ids["disc/001.jpg"], "given_label": sample["ground_truth"]}
    reviewed |= {"suggested_label": sample["predictions"], "label": sample["ground_truth"]}
    assert bring({"samples": [sample, reviewed, {"filepath": "a.jpg"}]}, "samples.json").checked.left_out == {
        "without a label": 1
    }
    assert said(dataset) == {
        (ids["disc/000.jpg"], "fiftyone:ground_truth"): ("square", 1.0),
        (ids["disc/000.jpg"], "model:predictions"): ("disc", 0.875),
        (ids["disc/001.jpg"], "fiftyone:label"): ("square", 1.0),
    }


BAD = """path,label,annotator,share,time
disc/000.jpg,square,ann,,
disc/000.jpg,square,ann,,
disc/001.jpg,Sqare,ann,,
disc/099.jpg,disc,ann,,
000.jpg,disc,ann,,
disc/002.jpg,disc,ann,1.5,
disc/002.jpg,disc,ann,nan,
disc/002.jpg,disc,ann,,yesterday
disc/002.jpg,disc,ann,,2999-01-01
disc/003.jpg,disc,ann,,
disc/003.jpg,square,ann,,
disc/004.jpg,square,ann
../../etc/passwd,disc,ann,,
"""


def test_bad_rows_are_told_with_their_lines_and_nothing_is_imported(pets):
    dataset, _, ids, bring = pets
    with pytest.raises(Problem) as refused:
        bring(BAD)
    text = str(refused.value)
    assert "10 rows cannot be imported, so nothing was (1 others could be: `--skip-bad`)" in text
    for sentence in (
        "1 unknown class:",
        "votes.csv:4: 'Sqare' (did you mean square? `--map Sqare=square`)",
        "3 unknown sample:",
        "votes.csv:5: no sample is disc/099.jpg",
        "votes.csv:6: 2 samples are called 000.jpg",
        "votes.csv:14: no sample is etc/passwd",
        "4 bad value:",
        "votes.csv:7: expected a share from 0 to 1, found '1.5'",
        "votes.csv:9: expected a time as in 2026-05-01T10:00:00Z, found 'yesterday'",
        "votes.csv:12: csv:ann says square (1), but disc (1) in ",
        "votes.csv:13: expected 5 fields as in the header, found 3",
    ):
        assert sentence in text
    assert not dataset.votes.exists()
    done = bring(BAD, skip_bad=True)
    assert list(said(dataset)) == [(ids["disc/000.jpg"], "csv:ann")]  # neither of two that contradict each other
    assert len(done.checked.faults) == 10
    assert [fault.place.rsplit(":", 1)[1] for fault in done.checked.duplicates] == ["3"]


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (b"", {}, "empty"),
        (b"\xff\xfe\x00", {}, "UTF-8"),
        (b"name,what\n1,2\n", {}, "columns label and one of sample_id, path"),
        (b'path,label\n"a,b\n', {}, r"votes.csv:\d: expected CSV"),
        (b'{"a": 1}', {}, "could not tell which"),
        (b'{"images": [\n}', {}, "votes.csv:2: expected JSON"),
        (b"[" * 100_000, {}, "sane size"),
        (b'[{"id": ' + b"9" * 5_000 + b"}]", {}, "sane size"),
        (b'{"label": "disc"}\nnot json\n', {}, "votes.csv:2: expected JSON"),
        (b"[]", {"form": "coco"}, "expected a JSON object, found list"),
        (b"{}", {"form": "labelstudio"}, "expected a JSON list"),
        (b"{}", {"form": "fiftyone"}, "expected `samples` or `labels`"),
        (b"{}", {"form": "xml"}, "csv, jsonl, labelstudio, coco, fiftyone"),
        (b"path,label\n", {"rename": {"a": "b"}}, "OLD=NEW with a class .disc, square."),
        (b"path,label\n", {"voter": "a\nb"}, "voter's name"),
        (b'["x", {"data": 3}, null]', {}, "3 malformed"),
        (b'{"labels": {"disc/000": {"label": {"x": 1}}, "b": [[1]]}}', {}, None),
        (b'{"images": 3, "annotations": {"a": 1}, "categories": null}', {}, None),
        (b'{"samples": [1, null, {"filepath": 3, "x": {"_cls": "Classification", "label": 5}}]}', {}, "unknown class"),
        (b'{"path": ["x"], "label": "disc"}\n[]\n{"path": "\\ud800", "label": "disc"}', {}, "3 rows"),
        (b'{"path": "http://[", "label": "disc"}', {}, "unknown sample"),
        (b'{"path": "disc/000.jpg", "label": "disc", "share": true}', {}, "bad value"),
        (b'{"path": "disc/000.jpg", "label": "disc", "time": {"a": 1}}', {}, "bad value"),
        (b'{"path": "disc/000.jpg", "label": "disc", "voter": "a\\u001b[31mb"}', {}, "printable"),
        (
            b'{"path": "a", "label": "disc", "label": "square"}',
            {},
            "votes.csv:1: expected each key .* 'label' is there",
        ),
        (b'{"labels": {"disc/000": "disc", "disc/000": "square"}}', {}, "'disc/000' is there twice"),
        (b"path,label,label\ndisc/000.jpg,disc,square\n", {}, "two called 'label'"),
        (b'{"images": [{"id": 1}, {"id": 1}], "annotations": []}', {}, "number 2 has that of another, 1"),
        (b'{"images": [{"file_name": "disc/000.jpg"}], "annotations": [{}]}', {}, "images: .* number 1 has 'None'"),
        (b'{"images": [], "annotations": [], "categories": [{"id": 1}, {"id": 1}]}', {}, "categories: .* number 2"),
    ],
)
def test_other_peoples_files_may_hold_anything(pets, tmp_path, content, options, said):
    dataset, spec, _, _ = pets
    path = tmp_path / "votes.csv"
    path.write_bytes(content)
    if said is None:
        assert import_votes(dataset, spec, path, **options).votes == []
    else:
        with pytest.raises(Problem, match=said):
            import_votes(dataset, spec, path, **options)
    assert not dataset.votes.exists()


def test_what_is_nested_is_no_share_and_no_time(scanned):
    deep: list = []
    for _ in range(5_000):  # more than Python would write out
        deep = [deep]
    row = Row("x:1", ("disc/000.jpg",), "disc", "csv:ann")
    reading = Reading(("disc", "square"), {}, "", "csv:x", "import:csv")
    for one, said in ((replace(row, share=deep), "a share from 0 to 1"), (replace(row, time=deep), "a time as in")):
        checked = check_rows([one], SampleFinder(scanned[2]), reading, frozenset())
        assert said in checked.faults[0].what and checked.faults[0].what.endswith("found a list")


def test_a_path_without_end_is_not_looked_up_by_each_of_its_ends(scanned):
    _, _, scan = scanned
    start = time.perf_counter()
    found = SampleFinder(scan).find(["a/" * 50_000 + "disc/000.jpg"])
    assert found.sample_id and not found.by_name
    assert time.perf_counter() - start < 2


def test_a_file_that_is_none(pets, tmp_path):
    dataset, spec, _, _ = pets
    with pytest.raises(Problem, match="not there"):
        import_votes(dataset, spec, tmp_path / "none.csv")
    with pytest.raises(Problem, match="a folder"):
        import_votes(dataset, spec, tmp_path)


def test_how_images_are_found(scanned):
    _, _, scan = scanned
    ids = dict(zip(scan.samples["path"], scan.samples["sample_id"], strict=True))
    finder = SampleFinder(scan)
    disc = ids["disc/000.jpg"]
    for name in (
        disc,
        "disc/000.jpg",
        "./disc/000.jpg",
        "disc\\000.jpg",
        "C:\\pets\\disc\\000.jpg",
        "/somewhere/else/disc/000.jpg",
        "images/disc/000.jpg",
        "https://host/a%20b/disc/000.jpg?sig=x&y=z",
        "/data/local-files/?d=photos%2Fdisc/000.jpg",
        "disc/000",
    ):
        assert finder.find([name]) == Match(disc), name
    assert finder.find(["unknown.jpg", "disc/000.jpg"]) == Match(disc)
    assert finder.find(["0" * 20, "disc/000.jpg"]).why == "no sample has the id 00000000000000000000"
    for name in ("000.jpg", "/data/upload/3/8f3a1b2c-000.jpg", "000", "cat/099.jpg", "/", "..", "%", "disc"):
        assert not finder.find([name]).sample_id, name
    assert finder.find([]).why == "it names no image"


def test_a_bare_name_counts_if_only_one_is_called_so(scanned):
    _, _, scan = scanned
    samples = scan.samples[scan.samples["path"].str.startswith("disc")]
    scan = type(scan)(samples, scan.locations, scan.votes, scan.metadata)
    finder = SampleFinder(scan)
    disc = samples.set_index("path").at["disc/000.jpg", "sample_id"]
    for name in ("000.jpg", "/data/upload/3/8f3a1b2c-000.jpg", "old_name_of_disc/000.jpg"):
        assert finder.find([name]) == Match(disc, by_name=True)
    reading = Reading(("disc", "square"), {}, "", "csv:x", "test")
    rows = READERS["csv"]("path,label\na/000.jpg,disc\nb/000.jpg,square\na/001.jpg,disc\n", Path("x.csv"))
    checked = check_rows(rows, finder, reading, frozenset())
    assert len(checked.votes) == checked.by_name == 1  # two images cannot both be the one sample
    assert [fault.kind for fault in checked.faults] == ["unknown sample"] * 2


def test_images_that_came_along_are_known_by_their_content(pets, tmp_path):
    """FiftyOne writes all images into one folder, and numbers those whose names collide."""
    dataset, spec, ids, _ = pets
    folder = tmp_path / "export"
    (folder / "data").mkdir(parents=True)
    for path, name in {"disc/000.jpg": "000", "square/000.jpg": "000-2"}.items():
        shutil.copy(tmp_path / "images" / path, folder / "data" / f"{name}.jpg")
    (folder / "data" / "out.jpg").symlink_to(tmp_path / "images" / "disc" / "002.jpg")
    labels = {"000": "square", "000-2": "disc"}
    import_votes(dataset, spec, Path(write_json(folder / "labels.json", {"classes": None, "labels": labels})))
    voter = "fiftyone:labels"
    assert said(dataset) == {
        (ids["disc/000.jpg"], voter): ("square", 1.0),
        (ids["square/000.jpg"], voter): ("disc", 1.0),
    }
    for name in (
        "out",
        "../images/disc/003.jpg",
        str(tmp_path / "images/disc/003.jpg"),
        "a\0b",
        "x" * 5_000,
        ".",
        "data",
    ):
        assert identify_beside(folder, [name]) == ""


def test_upload_names():
    assert spellings("deadbeef-cat.jpg") == ["deadbeef-cat.jpg", "cat.jpg"]
    assert spellings("my%20cat.jpg") == ["my%20cat.jpg", "my cat.jpg"]


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("path,label\n", "csv"),
        ('{"path": "a", "label": "b"}\n{"path": "c", "label": "d"}', "jsonl"),
        ('{"path": "a", "label": "b"}', "jsonl"),
        ('\n [\n{"id": 1}]', "labelstudio"),
        ('{"images": [], "annotations": []}', "coco"),
        ('{\n"labels": {}}', "fiftyone"),
        ('{\n"samples": []}', "fiftyone"),
    ],
)
def test_the_format_is_told_by_the_content(text, form):
    assert detect_format(text, Path("x")) == form


letters = st.characters(categories=["L", "M", "N", "P", "S"], include_characters=" ")
names = st.text(letters, min_size=1, max_size=12).map(lambda text: text.strip() or "x")
voters = st.one_of(
    names, st.builds("".join, st.tuples(st.sampled_from(["csv:", "app:", "=", "'", "@", *PROPOSERS]), names))
)
times = st.datetimes(min_value=pd.Timestamp("1990-01-01"), max_value=pd.Timestamp("2026-01-01")).map(str)
stated = st.lists(
    st.tuples(st.integers(0, 23), st.sampled_from(["disc", "square"]), voters, st.floats(0, 1), times),
    unique_by=lambda one: (one[0], one[2]),
    max_size=8,
)


@pytest.mark.parametrize("form", ["csv", "jsonl", "labelstudio"])
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=stated)
def test_a_round_trip_loses_nothing(scanned, form, rows):
    dataset, spec, scan = scanned
    ids = sorted(scan.samples["sample_id"])
    given_votes = [
        Vote(sample_id=ids[place], label=label, voter=voter, share=share, time=time)
        for place, label, voter, share, time in rows
    ]
    dataset.votes.unlink(missing_ok=True)
    append_votes(dataset.votes, given_votes)
    before = read_scan(dataset)
    with tempfile.TemporaryDirectory() as folder:
        path, *_ = export_votes(dataset, spec, Path(folder) / "votes.out.json", form)
        assert import_votes(dataset, spec, path).votes == []  # all of it is known here
        dataset.votes.unlink(missing_ok=True)
        import_votes(dataset, spec, path)
    after = read_scan(dataset)
    assert after.votes.equals(before.votes) and after.samples.equals(before.samples)


def test_a_spreadsheet_runs_nothing_of_ours(pets, tmp_path):
    dataset, spec, ids, _ = pets
    append_votes(dataset.votes, [Vote(sample_id=ids["disc/000.jpg"], label="disc", voter='=cmd|"/C calc"!A0')])
    (path,) = export_votes(dataset, spec, tmp_path / "votes.csv")
    cells = [cell for row in csv.reader(io.StringIO(path.read_text())) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    assert """'=cmd|"/C calc"!A0""" in cells


def test_label_studio_tasks(pets, tmp_path):
    dataset, spec, ids, _ = pets
    spec = spec.model_copy(update={"classes": {"disc": 'A "round" <thing>.', "square": ""}})
    doubtful = {"sample_id": ids["square/003.jpg"], "issue": "label_error", "score": 0.25, "suggested_label": "disc"}
    write_findings(
        dataset, doubtful, {**doubtful, "sample_id": ids["disc/005.jpg"], "score": 0.125, "suggested_label": "square"}
    )
    append_votes(dataset.votes, [Vote(sample_id=ids["disc/000.jpg"], label="square", voter="model:m1", share=0.5)])
    path, config = export_votes(dataset, spec, tmp_path / "tasks.json")
    tasks = json.loads(path.read_text())
    assert len(tasks) == 24 and [task["data"]["path"] for task in tasks[:2]] == ["disc/005.jpg", "square/003.jpg"]
    by_path = {task["data"]["path"]: task for task in tasks}
    (prediction,) = by_path["square/003.jpg"]["predictions"]
    assert (prediction["model_version"], prediction["score"]) == (SUGGESTED_BY, 0.75)
    assert prediction["result"][0]["value"] == {"choices": ["disc"]}
    assert [one["model_version"] for one in by_path["disc/000.jpg"]["predictions"]] == ["model:m1"]
    (annotation,) = by_path["disc/000.jpg"]["annotations"]
    assert annotation["result"][0]["value"] == {"choices": ["disc"]}
    address = by_path["disc/000.jpg"]["data"]["image"]
    assert address.startswith(LOCAL_FILES) and Path("/", address.removeprefix(LOCAL_FILES)).is_file()
    tree = xml.etree.ElementTree.parse(config)
    assert {one.get("value"): one.get("hint") for one in tree.iter("Choice")} == {
        "disc": 'A "round" <thing>.',
        "square": None,
    }
    result = annotation["result"][0]
    assert tree.find(f"Choices[@name='{result['from_name']}'][@toName='{result['to_name']}']") is not None
    with pytest.raises(Problem, match="is there"):
        export_votes(dataset, spec, tmp_path / "tasks.json")
    with pytest.raises(Problem, match="is there"):
        export_votes(dataset, spec, tmp_path / "tasks.xml", form="labelstudio")
    moved, _ = export_votes(dataset, spec, tmp_path / "web.json", image_prefix="https://host/")
    assert json.loads(moved.read_text())[0]["data"]["image"] == "https://host/disc/005.jpg"


def test_an_annotation_edited_in_label_studio_is_the_editors(pets, tmp_path):
    dataset, spec, ids, bring = pets
    path, _ = export_votes(dataset, spec, tmp_path / "tasks.json")
    tasks = json.loads(path.read_text())
    task = next(one for one in tasks if one["data"]["path"] == "disc/000.jpg")
    task["annotations"][0]["result"][0]["value"]["choices"] = ["square"]
    task["annotations"][0]["completed_by"] = {"email": "ann@x.org"}
    done = bring(tasks, "back.json")
    assert done.known == 23
    assert said(dataset) == {(ids["disc/000.jpg"], "labelstudio:ann@x.org"): ("square", 1.0)}


def test_unlabelled_and_unknown_votes_survive_nothing_to_export(pets, tmp_path):
    dataset, spec, _, _ = pets
    append_votes(dataset.votes, [Vote(sample_id="f" * 20, label="disc", voter="csv:ann")])
    (path,) = export_votes(dataset, spec, tmp_path / "votes.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(rows) == 24 and set(rows[0]) == {*VOTES}
    with pytest.raises(Problem, match=r"csv \(.csv\), jsonl \(.jsonl\), labelstudio \(.json\)"):
        export_votes(dataset, spec, tmp_path / "votes.txt")
    with pytest.raises(Problem, match=r"votes.jsonl is a file"):
        export_votes(dataset, spec, tmp_path / "votes.jsonl" / "deep" / "votes.csv")
    with pytest.raises(Problem, match="'coco'"):
        export_votes(dataset, spec, tmp_path / "votes.json", form="coco")


def test_the_command(pets, tmp_path):
    dataset, _, _, _ = pets
    table = tmp_path / "bad.csv"
    table.write_text(BAD)
    assert "bad.csv:4: 'Sqare' (did you mean square?" in curate("votes", dataset.path, "--from", table, code=2).stderr
    summary = json.loads(curate("votes", dataset.path, "--from", table, "--skip-bad", "--json").stdout)
    assert (summary["new"], summary["relabelled"], len(summary["faults"])) == (1, 1, 10)


def test_the_command_lists_exports_and_takes_back(pets, tmp_path, capsys):
    dataset, _, ids, _ = pets
    unknown = Vote(sample_id="f" * 20, label="disc", voter="csv:ann")
    append_votes(dataset.votes, [Vote(sample_id=ids["disc/000.jpg"], label="square", voter="csv:ann"), unknown])
    votes(dataset.path, json=True)
    listed = json.loads(capsys.readouterr().out)
    assert [(row["voter"], row["votes"]) for row in listed["voters"]] == [("folder", 24), ("csv:ann", 1)]
    assert (listed["ties"], listed["unlabelled"], listed["of_unknown_samples"]) == (1, 0, 1)
    votes(dataset.path)
    shown = capsys.readouterr()
    assert "2 voters on 24 samples: 1 tie, 0 unlabelled" in shown.out and "1 vote in" in shown.err
    votes(dataset.path, to=tmp_path / "tasks.json")
    assert "tasks.xml as the labelling interface" in capsys.readouterr().out
    with pytest.raises(Problem, match=r"a voter of .*votes.jsonl \(csv:ann\), found 'ann'"):
        votes(dataset.path, withdraw="ann")
    votes(dataset.path, withdraw="csv:ann")
    assert "2 votes taken back" in capsys.readouterr().out
    wrong: list[dict[str, Any]] = [{"voter": "x"}, {"image_prefix": "x"}, {"format": "csv"}]
    for options in wrong:
        with pytest.raises(Problem, match="together with"):
            votes(dataset.path, **options)
    with pytest.raises(Problem, match="found several"):
        votes(dataset.path, to=tmp_path / "a.csv", withdraw="x")
