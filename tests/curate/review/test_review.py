"""Push to a real FiftyOne database, edit there, pull: what people decide in the App ends in the log, once."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from curate.images.samples import Scan
from curate.images.scan import scan_dataset
from curate.log.decision import Decision
from curate.log.decisions import append_decisions, read_decisions
from curate.review.app import open_app
from curate.review.mirror.pull import pull_review
from curate.review.mirror.push import push_review
from curate.review.mirror.rows import collect_rows
from curate.review.mirror.snapshot import review_name
from curate.review.services.database import running_database
from curate.review.services.environment import load_fiftyone
from curate.review.services.mongod import check_database
from curate.spec.model import Spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder
from curate.storage.tables import FINDINGS, shaped, write_table
from tests.conftest import write_findings

Scanned = tuple[DatasetFolder, Spec, Scan]


def finding(
    sample_id: str, issue: str, score: float, suggested_label: str = "", is_issue: bool = True
) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(FINDINGS, "")
    told = {"sample_id": sample_id, "issue": issue, "score": score, "is_issue": is_issue, "evidence": f"looks {issue}"}
    return row | told | {"suggested_label": suggested_label}


@pytest.fixture
def suspected(scanned: Scanned) -> Scanned:
    """24 shapes; the first three discs are suspected squares, the second of them is also dark."""
    dataset, _, scan = scanned
    discs = ids_of(scan, "disc")
    rows = [finding(sample, "label_error", 0.9, is_issue=False) for sample in scan.samples["sample_id"]]
    rows = [row for row in rows if row["sample_id"] not in discs[:3]]
    rows += [finding(sample, "label_error", 0.01 + place / 100, "square") for place, sample in enumerate(discs[:3])]
    rows += [finding(discs[1], "dark", 0.1)]
    write_table(dataset.cache / "findings.parquet", shaped(pd.DataFrame(rows), FINDINGS))
    return scanned


def ids_of(scan: Scan, label: str) -> list[str]:
    return list(scan.samples.loc[scan.samples["given_label"] == label, "sample_id"])


def pushed(suspected: Scanned) -> Any:
    dataset, spec, _ = suspected
    return load_fiftyone().load_dataset(push_review(dataset, spec))


def by_sample(view: Any, field: str) -> dict[str, Any]:
    return dict(zip(*view.values(["sample_id", field]), strict=True))


def edit(view: Any, sample_id: str, label: str | None = None, tag: str | None = None, untag: str | None = None) -> None:
    """What the App's server does on an edit: change one sample and save it."""
    sample = view.one(load_fiftyone().ViewField("sample_id") == sample_id)
    if label is not None:
        sample["label"].label = label
    sample.tags = [own for own in sample.tags if own != untag] + [tag] * bool(tag)
    sample.save()


def said(decisions: list[Decision]) -> list[tuple[str, str, str, str, str]]:
    return [(one.sample_id, one.action, one.label, one.finding, one.before) for one in decisions]


def test_push_shows_samples_findings_and_decisions(suspected: Scanned) -> None:
    dataset, _, scan = suspected
    first, second, third, fourth = ids_of(scan, "disc")[:4]
    dropped = Decision(actor="ann", tool="cli", sample_id=fourth, action="drop")
    relabelled = Decision(
        actor="ann", tool="cli", sample_id=third, action="relabel", label="square", finding="label_error"
    )
    append_decisions(dataset.decisions, [dropped, relabelled])
    view = pushed(suspected)
    assert view.persistent and len(view) == 24
    assert by_sample(view, "given_label.label")[third] == "disc"
    assert by_sample(view, "label.label")[third] == "square"
    assert by_sample(view, "suggested_label.label")[first] == "square"
    assert by_sample(view, "issues")[second] == ["label_error", "dark"]
    assert by_sample(view, "evidence")[second] == "label_error: looks label_error; dark: looks dark"
    assert by_sample(view, "open_issues")[third] == []
    assert by_sample(view, "label_error_score")[first] == pytest.approx(0.01)
    assert by_sample(view, "tags")[fourth] == ["drop"]
    assert all(Path(file).is_file() for file in view.values("filepath"))
    # Worst first, and the decided one is no suspect any more.
    assert view.load_saved_view("suspects").values("sample_id") == [first, second]
    assert view.load_saved_view("label_error").values("sample_id") == [first, second, third]
    assert view.load_saved_view("dark").values("sample_id") == [second]
    assert view.label_schemas["label"]["classes"] == ["disc", "square"]


def test_push_shows_split_and_predictions(suspected: Scanned) -> None:
    dataset, spec, scan = suspected
    some = scan.samples["sample_id"].iloc[:2]
    manifest = pd.DataFrame({"sample_id": some, "split": ["train", "test"]})
    write_table(dataset.versions / "v1" / "manifest.parquet", manifest)
    predictions = {"sample_id": some, "predicted": ["square", "disc"], "p_disc": [0.25, 1.0], "p_square": [0.75, 0.0]}
    write_table(dataset.models / "m1" / "predictions.parquet", pd.DataFrame(predictions))
    view = pushed(suspected)
    assert by_sample(view, "split")[some.iloc[1]] == "test"
    assert (by_sample(view, "m1.label")[some.iloc[0]], by_sample(view, "m1.confidence")[some.iloc[0]]) == (
        "square",
        0.75,
    )
    assert len(view.load_saved_view("test")) == 1
    shutil.rmtree(dataset.models / "m1")
    push_review(dataset, spec)
    view.reload()
    assert "m1" not in view.get_field_schema()


def test_second_push_writes_only_what_changed(suspected: Scanned) -> None:
    dataset, spec, scan = suspected
    view = pushed(suspected)
    squares = ids_of(scan, "square")
    edit(view, squares[0], tag="look again")
    before = by_sample(view, "last_modified_at")
    push_review(dataset, spec)
    assert by_sample(view, "last_modified_at") == before
    append_decisions(dataset.decisions, [Decision(actor="ann", tool="cli", sample_id=squares[0], action="drop")])
    push_review(dataset, spec)
    after = by_sample(view, "last_modified_at")
    assert [sample for sample in after if after[sample] != before[sample]] == [squares[0]]
    assert by_sample(view, "tags")[squares[0]] == ["look again", "drop"]


def test_push_follows_the_sources_and_touches_no_file(suspected: Scanned) -> None:
    dataset, spec, scan = suspected
    view = pushed(suspected)
    gone, moved = (Path(by_sample(view, "filepath")[sample]) for sample in ids_of(scan, "square")[:2])
    kept = gone.rename(dataset.path / "kept elsewhere.jpg")
    moved.rename(moved.with_name("renamed.jpg"))
    scan_dataset(dataset, spec)
    push_review(dataset, spec)
    assert len(view) == 23 and kept.is_file()
    assert Path(by_sample(view, "filepath")[ids_of(scan, "square")[1]]).name == "renamed.jpg"


def test_edits_come_back_once(suspected: Scanned) -> None:
    dataset, spec, scan = suspected
    view = pushed(suspected)
    first, second, third, fourth = ids_of(scan, "disc")[:4]
    edit(view, first, label="square")
    edit(view, second, tag="keep")
    edit(view, fourth, tag="drop")
    decisions = pull_review(dataset, spec, actor="bob")
    assert sorted(said(decisions)) == sorted(
        [
            (first, "relabel", "square", "label_error", "disc"),
            (second, "keep", "disc", "label_error", "disc"),
            (second, "keep", "disc", "dark", "disc"),
            (fourth, "drop", "", "", "disc"),
        ]
    )
    assert {(one.actor, one.tool) for one in decisions} == {("bob", "fiftyone")}
    assert read_decisions(dataset.decisions) == decisions
    assert pull_review(dataset, spec) == []
    push_review(dataset, spec)
    assert pull_review(dataset, spec) == []
    assert view.load_saved_view("suspects").values("sample_id") == [third]


def test_drop_can_be_taken_back(suspected: Scanned) -> None:
    dataset, spec, scan = suspected
    one, other = ids_of(scan, "square")[:2]
    drops = [Decision(actor="ann", tool="cli", sample_id=sample, action="drop") for sample in (one, other)]
    append_decisions(dataset.decisions, drops)
    view = pushed(suspected)
    edit(view, one, untag="drop")
    edit(view, other, label="disc")  # with its tag left on: it stays out
    assert [(sample, action) for sample, action, *_ in said(pull_review(dataset, spec))] == sorted(
        [(one, "undrop"), (other, "relabel"), (other, "drop")], key=lambda pair: pair[0]
    )
    push_review(dataset, spec)
    assert (by_sample(view, "tags")[one], by_sample(view, "tags")[other]) == ([], ["drop"])


@pytest.mark.parametrize(
    "change", [{"label": "squaer"}, {"label": ""}, {"tag": "drop"}], ids=["typo", "empty", "both tags"]
)
def test_what_cannot_stand_is_put_back(suspected: Scanned, change: dict[str, str]) -> None:
    dataset, spec, scan = suspected
    kept = ids_of(scan, "disc")[0]
    append_decisions(
        dataset.decisions, [Decision(actor="ann", tool="cli", sample_id=kept, action="keep", label="disc")]
    )
    view = pushed(suspected)
    edit(view, kept, **change)
    told: list[str] = []
    assert pull_review(dataset, spec, notify=told.append) == []
    assert len(told) == 1 and kept in told[0]
    assert (by_sample(view, "label.label")[kept], by_sample(view, "tags")[kept]) == ("disc", ["keep"])
    assert pull_review(dataset, spec, notify=told.append) == [] and len(told) == 1


def test_samples_added_or_deleted_in_the_app_change_nothing(suspected: Scanned) -> None:
    dataset, spec, scan = suspected
    fo, view = load_fiftyone(), pushed(suspected)
    view.add_sample(fo.Sample(filepath=str(dataset.path / "mine.jpg"), tags=["drop"]))
    view.delete_samples(view.match(fo.ViewField("sample_id") == ids_of(scan, "disc")[0]))
    told: list[str] = []
    assert pull_review(dataset, spec, notify=told.append) == []
    assert [sentence[:9] for sentence in told] == ["1 samples"] * 2
    push_review(dataset, spec)
    assert len(view) == 25
    assert by_sample(view, "label.label")[ids_of(scan, "disc")[0]] == "disc"
    assert not dataset.decisions.exists()


def test_push_takes_edits_in_before_it_writes(suspected: Scanned) -> None:
    dataset, spec, scan = suspected
    view = pushed(suspected)
    edit(view, ids_of(scan, "disc")[0], label="square")
    push_review(dataset, spec)
    assert [one.action for one in read_decisions(dataset.decisions)] == ["relabel"]
    assert by_sample(view, "label.label")[ids_of(scan, "disc")[0]] == "square"


def test_pull_needs_the_push_it_compares_with(suspected: Scanned) -> None:
    dataset, spec, _ = suspected
    with pytest.raises(Problem, match="nothing was pushed"):
        pull_review(dataset, spec)
    push_review(dataset, spec)
    shutil.rmtree(dataset.cache / "review")
    with pytest.raises(Problem, match="snapshot"):
        pull_review(dataset, spec)
    push_review(dataset, spec)
    assert pull_review(dataset, spec) == []


def test_embeddings_become_a_map(scanned: Scanned) -> None:
    dataset, spec, scan = scanned
    ids = list(scan.samples["sample_id"])
    vectors = np.random.default_rng(0).normal(size=(len(ids), 8)).astype(np.float32)
    np.save(dataset.path / "vectors.npy", vectors)
    (dataset.path / "vectors.txt").write_text("\n".join(ids))
    own = spec.model_copy(update={"audit": spec.audit.model_copy(update={"embedding": "vectors.npy"})})
    view = load_fiftyone().load_dataset(push_review(dataset, own))
    results = view.load_brain_results("embeddings")
    assert sorted(results.sample_ids) == sorted(view.values("id"))
    push_review(dataset, own)
    assert view.list_brain_runs() == ["embeddings", "similar"]


def test_push_before_scan_says_what_to_run(tmp_path: Path, scanned: Scanned) -> None:
    with pytest.raises(Problem, match="curate scan"):
        push_review(DatasetFolder(tmp_path / "nothing"), scanned[1])


def test_rows_leave_unreadable_samples_out(scanned: Scanned) -> None:
    dataset, _, scan = scanned
    samples = scan.samples.copy()
    samples.loc[0, "reason"] = "truncated"
    write_table(dataset.cache / "samples.parquet", samples)
    rows, kinds = collect_rows(dataset)
    assert len(rows) == 23 and set(kinds) <= set(rows.columns)


def test_names_differ_for_folders_of_the_same_name() -> None:
    one, other = DatasetFolder(Path("a/pets")), DatasetFolder(Path("b/pets"))
    assert review_name(one) != review_name(other)
    assert review_name(one) == review_name(DatasetFolder(Path("b/../a/pets")))
    assert review_name(one, "mine") == "mine"


def test_app_is_for_this_machine_only(scanned: Scanned) -> None:
    dataset, spec, _ = scanned
    with pytest.raises(Problem, match="loopback"):
        open_app(dataset, spec, address="0.0.0.0")


def test_taken_port_is_refused(scanned: Scanned, taken_port: int) -> None:
    dataset, spec, _ = scanned
    with pytest.raises(Problem, match=str(taken_port)):
        open_app(dataset, spec, port=taken_port)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_last_user_stops_the_database(tmp_path: Path) -> None:
    with running_database(tmp_path) as uri:
        with running_database(tmp_path) as same:
            assert same == uri
        assert check_database(uri)
    with pytest.raises(Problem):
        check_database(uri, seconds=0.2)
    shutil.rmtree(tmp_path)


def test_unusable_database_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Problem, match="FIFTYONE_DATABASE_DIR"), running_database(tmp_path / "file" / "database"):
        pass


def test_database_that_does_not_start_names_its_log(tmp_path: Path) -> None:
    (tmp_path / "storage.bson").write_bytes(b"not what mongod wrote")
    with pytest.raises(Problem, match=r"mongo\.log"), running_database(tmp_path):
        pass


def test_suspects_are_whatever_waits_where_no_label_is_in_doubt(grouped: Scanned) -> None:
    dataset, _, scan = grouped
    one = ids_of(scan, "disc")[0]
    write_findings(dataset, {"sample_id": one, "issue": "outlier"})
    assert pushed(grouped).load_saved_view("suspects").values("sample_id") == [one]


def test_what_was_picked_to_label_next_is_what_the_app_opens_on(suspected: Scanned) -> None:
    dataset, _, scan = suspected
    first, second, third = ids_of(scan, "square")[:3]
    rows = [
        finding(first, "unlabelled", 2e-6, "disc"),
        finding(second, "unlabelled", 1e-6),
        finding(third, "unlabelled", 0.5),
    ]
    write_findings(dataset, *rows)
    view = pushed(suspected)
    assert view.load_saved_view("next").values("sample_id") == [second, first]
    write_findings(dataset, rows[2])
    assert not pushed(suspected).has_saved_view("next")
