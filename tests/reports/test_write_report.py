"""Tables of a real, small dataset to its report: what was counted, and what a missing part or a lost cache does."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from curate.audit.findings import open_findings
from curate.images.samples import Scan
from curate.images.scan import scan_dataset
from curate.images.thumbnails import thumbnail_cache
from curate.log.decision import Decision
from curate.log.decisions import append_decisions
from curate.reporting.report import SIDE, collect_story, compact_thumbnails, write_report
from curate.spec.model import Spec
from curate.storage.files import read_json, write_json
from curate.storage.folder import DatasetFolder
from curate.storage.tables import FINDINGS, shaped, write_table
from curate.versions.build import build_version

Scanned = tuple[DatasetFolder, Spec, Scan]


def sample_at(scan: Scan, path: str) -> str:
    return str(scan.samples.set_index("path").loc[path, "sample_id"])


def finding(scan: Scan, path: str, issue: str, score: float, **more: Any) -> dict[str, Any]:
    texts = dict.fromkeys(["group_id", "suggested_action", "suggested_label", "kind"], "")
    row = {"sample_id": sample_at(scan, path), "path": path, "issue": issue, "score": score, "is_issue": True, **texts}
    return {**row, "evidence": f"{issue} of {path}", "detector": "test", **more}


@pytest.fixture
def told(scanned: Scanned) -> Scanned:
    """The shapes with five findings, one group of two, three decisions and two versions."""
    dataset, spec, scan = scanned
    rows = [
        finding(scan, "disc/001.jpg", "label_error", 0.2, suggested_label="square"),
        finding(scan, "disc/002.jpg", "label_error", 0.01, suggested_label="square"),
        finding(scan, "disc/003.jpg", "dark", 0.1),
        finding(scan, "disc/004.jpg", "dark", 0.9, is_issue=False),
        finding(scan, "square/001.jpg", "near_duplicate", 0.05, group_id="g"),
    ]
    write_table(dataset.cache / "findings.parquet", shaped(pd.DataFrame(rows), FINDINGS))
    pair = [sample_at(scan, f"square/00{number}.jpg") for number in (0, 1)]
    groups = pd.DataFrame({"sample_id": scan.samples["sample_id"], "kind": ""})
    groups["group_id"] = ["g" if one in pair else one for one in groups["sample_id"]]
    groups["keeper"] = [pair[0] if one in pair else one for one in groups["sample_id"]]
    write_table(dataset.cache / "groups.parquet", groups)
    build_version(dataset, spec, use_decisions=False)
    by = {"actor": "policy", "tool": "curate decide"}
    relabelled, dropped = sample_at(scan, "disc/002.jpg"), sample_at(scan, "disc/003.jpg")
    decisions = [
        Decision(**by, sample_id=relabelled, action="relabel", label="square", before="disc", finding="label_error"),
        Decision(**by, sample_id=pair[1], action="merge", label=pair[0], finding="near_duplicate"),
        Decision(actor="ann", tool="app", sample_id=dropped, action="drop"),
    ]
    append_decisions(dataset.decisions, decisions)
    build_version(dataset, spec)
    return dataset, spec, scan


def test_a_scan_alone_can_be_reported(scanned: Scanned) -> None:
    dataset, spec, _ = scanned
    page = write_report(dataset, spec).read_text(encoding="utf-8")
    assert "24 files found" in page
    story = read_json(dataset.reports / "report.json")
    assert story["files"] == {"samples": 24, "locations": 0, "unreadable": 0, "ignored": 0, "found": 24}
    assert story["issues"] is story["version"] is story["comparison"] is story["decisions"] is None


def test_nothing_done_yet_can_be_reported(shapes: Path, make_dataset: Any) -> None:
    dataset, spec = make_dataset(shapes)
    assert "not audited yet" in write_report(dataset, spec).read_text(encoding="utf-8")


def test_issues_are_counted_worst_first_with_what_became_of_them(told: Scanned) -> None:
    dataset, spec, _ = told
    issues = {row["issue"]: row for row in collect_story(dataset, spec)["issues"]}
    assert list(issues) == ["label_error", "near_duplicate", "dark"]
    assert [card["path"] for card in issues["label_error"]["gallery"]] == ["disc/002.jpg", "disc/001.jpg"]
    assert issues["label_error"]["outcomes"] == {"relabelled": 1, "to review": 1}
    assert issues["label_error"]["worst"] == 0.01
    assert issues["near_duplicate"]["outcomes"] == {"merged": 1}
    # Dropped by hand for no finding of its own; the row that passed is no finding.
    assert (issues["dark"]["count"], issues["dark"]["outcomes"]) == (1, {"left out": 1})


def test_a_group_shows_the_sample_that_stays_first(told: Scanned) -> None:
    dataset, spec, _ = told
    (group,) = next(row for row in collect_story(dataset, spec)["issues"] if row["issue"] == "near_duplicate")["groups"]
    shown = [(member["path"], member["keeper"], member["outcome"]) for member in group["members"]]
    assert shown == [("square/000.jpg", True, "kept"), ("square/001.jpg", False, "merged")]


def test_a_group_left_to_a_person_shows_the_best_copy(told: Scanned) -> None:
    dataset, spec, _ = told
    dataset.decisions.unlink()
    (group,) = next(row for row in collect_story(dataset, spec)["issues"] if row["issue"] == "near_duplicate")["groups"]
    shown = [(member["path"], member["keeper"], member["outcome"]) for member in group["members"]]
    assert shown == [("square/000.jpg", True, "best copy"), ("square/001.jpg", False, "to review")]


def test_what_was_taken_back_is_kept(told: Scanned) -> None:
    dataset, spec, scan = told
    back = Decision(actor="ann", tool="app", sample_id=sample_at(scan, "square/001.jpg"), action="undrop")
    append_decisions(dataset.decisions, [back])
    issues = {row["issue"]: row for row in collect_story(dataset, spec)["issues"]}
    assert issues["near_duplicate"]["outcomes"] == {"kept": 1}


def test_what_is_left_to_review_is_what_decide_calls_open(told: Scanned) -> None:
    dataset, spec, _ = told
    left = {row["issue"]: row["outcomes"].get("to review", 0) for row in collect_story(dataset, spec)["issues"]}
    still_open = open_findings(dataset)["issue"].value_counts().to_dict()
    assert {issue: count for issue, count in left.items() if count} == still_open == {"label_error": 1}


def test_version_and_its_changes(told: Scanned) -> None:
    dataset, spec, _ = told
    version = collect_story(dataset, spec)["version"]
    assert (version["id"], version["parent"], version["samples"]) == ("v2", "v1", 22)
    assert version["excluded"] == {"dropped": 1, "merged into a near copy": 1}
    assert list(version["counts"]) == ["train", "val", "test"]
    changes = version["changes"]
    assert (changes["added"], changes["dropped"], changes["relabelled"]) == (0, 2, 1)
    assert changes["relabels"] == [{"before": "disc", "after": "square", "count": 1}]


def test_decisions_are_counted_and_the_latest_comes_first(told: Scanned) -> None:
    dataset, spec, _ = told
    decisions = collect_story(dataset, spec)["decisions"]
    assert decisions["by"]["actor"] == {"policy": 2, "ann": 1}
    assert decisions["by"]["issue"] == {"label_error": 1, "near_duplicate": 1, "": 1}
    assert [one["path"] for one in decisions["latest"]] == ["disc/003.jpg", "square/001.jpg", "disc/002.jpg"]


def test_the_json_is_the_story_and_the_page_holds_its_pictures(told: Scanned) -> None:
    dataset, spec, _ = told
    page = write_report(dataset, spec).read_text(encoding="utf-8")
    story = read_json(dataset.reports / "report.json")
    fresh = json.loads(json.dumps(collect_story(dataset, spec)))
    assert {**story, "dataset": None} == {**fresh, "dataset": None}
    assert page.count("data:image/jpeg") == 5


def test_pictures_are_small(told: Scanned) -> None:
    dataset, _, scan = told
    pictures = compact_thumbnails(dataset, list(scan.samples["sample_id"]))
    assert len(pictures) == 24
    assert max(max(Image.open(io.BytesIO(one)).size) for one in pictures.values()) <= SIDE


def test_a_lost_cache_costs_pictures_not_the_report(told: Scanned) -> None:
    dataset, spec, _ = told
    for shard in thumbnail_cache(dataset).folder.iterdir():
        shard.unlink()
    assert "no picture" in write_report(dataset, spec).read_text(encoding="utf-8")


def test_unreadable_files_are_listed_with_their_reason(scanned: Scanned, tmp_path: Path) -> None:
    dataset, spec, _ = scanned
    (tmp_path / "images" / "disc" / "torn.jpg").write_bytes(b"")
    scan = scan_dataset(dataset, spec)
    row = finding(scan, "disc/torn.jpg", "unreadable", 0.0)
    write_table(dataset.cache / "findings.parquet", shaped(pd.DataFrame([row]), FINDINGS))
    story = collect_story(dataset, spec)
    assert story["unreadable"] == [{"path": "disc/torn.jpg", "reason": "the file is empty"}]
    assert story["issues"][0]["gallery"] == []
    assert "the file is empty" in write_report(dataset, spec).read_text(encoding="utf-8")


def test_only_the_first_flips_of_each_kind_are_shown(told: Scanned) -> None:
    dataset, spec, scan = told
    flip = {"path": "", "label": "disc", "before": "disc", "after": "square", "p_before": 0.5, "p_after": 0.5}
    flips = [{**flip, "sample_id": one, "kind": "broken"} for one in scan.samples["sample_id"]]
    write_json(dataset.reports / "comparison.json", {"flips": flips})
    assert len(collect_story(dataset, spec)["comparison"]["flips"]) == 12
