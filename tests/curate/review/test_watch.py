"""While the App is open: edits by FiftyOne's own editor are logged, and what others say is shown."""

from __future__ import annotations

import os
from typing import Any

import pytest

from curate.images.samples import Scan
from curate.log.decision import Decision
from curate.log.decisions import append_decisions, read_decisions
from curate.review.mirror.pull import pull_review
from curate.review.mirror.push import push_review
from curate.review.mirror.snapshot import INFO
from curate.review.services.environment import load_fiftyone
from curate.review.services.running import Running, registered
from curate.review.watch import Watch
from curate.spec.model import Spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder
from tests.conftest import write_findings

Watched = tuple[Watch, Any, DatasetFolder, list[str], list[str]]


@pytest.fixture
def watched(grouped: tuple[DatasetFolder, Spec, Scan], monkeypatch: pytest.MonkeyPatch) -> Watched:
    """A watch over six discs that look like squares, and what it tells."""
    dataset, spec, scan = grouped
    monkeypatch.setenv("CURATE_REVIEWER", "ann")
    discs = list(scan.samples.loc[scan.samples["given_label"] == "disc", "sample_id"])[:6]
    found = {"issue": "label_error", "suggested_action": "relabel", "suggested_label": "square"}
    write_findings(dataset, *({**found, "sample_id": one} for one in discs))
    view, told = load_fiftyone().load_dataset(push_review(dataset, spec)), list[str]()
    return Watch(dataset, view, told.append), view, dataset, discs, told


def sample_of(view: Any, sample_id: str) -> Any:
    return view.one(load_fiftyone().ViewField("sample_id") == sample_id)


def relabel(view: Any, sample_id: str, label: str) -> None:
    sample = sample_of(view, sample_id)
    sample["label"] = load_fiftyone().Classification(label=label)
    sample.save()


def said(dataset: DatasetFolder) -> list[tuple[str, str, str, str]]:
    return [(one.actor, one.sample_id, one.action, one.label) for one in read_decisions(dataset.decisions)]


def test_edits_are_logged_while_the_app_is_open(watched: Watched) -> None:
    watch, view, dataset, discs, told = watched
    assert not watch.look()
    relabel(view, discs[0], "square")
    view.match(load_fiftyone().ViewField("sample_id") == discs[1]).tag_samples("drop")
    assert watch.look()
    assert set(said(dataset)) == {("ann", discs[0], "relabel", "square"), ("ann", discs[1], "drop", "")}
    assert not watch.look() and len(said(dataset)) == 2 and told == []


def test_an_unknown_class_is_put_back_and_said_here_and_in_the_app(watched: Watched) -> None:
    watch, view, dataset, discs, told = watched
    relabel(view, discs[0], "zebra")
    watch.look()
    assert said(dataset) == [] and len(told) == 1 and "zebra" in told[0]
    view.reload()
    assert sample_of(view, discs[0]).label.label == "disc" and "zebra" in view.info[INFO]["notice"]
    assert not watch.look() and len(told) == 1


def test_what_others_say_is_shown(watched: Watched) -> None:
    watch, view, dataset, discs, _ = watched
    relabelled = Decision(actor="bob", tool="decide", sample_id=discs[0], action="relabel", label="square")
    dropped = Decision(actor="bob", tool="decide", sample_id=discs[1], action="drop", finding="label_error")
    written = append_decisions(dataset.decisions, [relabelled, dropped])
    assert watch.look()
    one, other = sample_of(view, discs[0]), sample_of(view, discs[1])
    assert (one.label.label, one.open_issues, other.tags) == ("square", [], ["drop"])
    assert not watch.look() and len(said(dataset)) == 2  # what was shown is no edit
    undo = Decision(actor="bob", tool="decide", sample_id=discs[1], action="undo", label=written[1].id)
    append_decisions(dataset.decisions, [undo])
    assert watch.look()
    other = sample_of(view, discs[1])
    assert (other.tags, other.open_issues) == ([], ["label_error"])


def test_lines_taken_out_of_the_log_are_shown_too(watched: Watched) -> None:
    watch, view, dataset, discs, _ = watched
    append_decisions(dataset.decisions, [Decision(actor="bob", tool="decide", sample_id=discs[0], action="drop")])
    assert watch.look() and sample_of(view, discs[0]).tags == ["drop"]
    dataset.decisions.write_text("")  # `git checkout` of an older state
    assert watch.look() and sample_of(view, discs[0]).tags == []


def test_a_log_that_cannot_be_read_is_said_and_read_again_once_mended(watched: Watched) -> None:
    watch, view, dataset, discs, _ = watched
    line = Decision(actor="bob", tool="decide", sample_id=discs[0], action="drop").model_dump_json()
    dataset.decisions.write_text(f"<<<<<<< HEAD\n{line}\n")
    with pytest.raises(Problem, match=r"decisions\.jsonl:1"):
        watch.look()
    dataset.decisions.write_text(f"{line}\n")
    assert watch.look() and sample_of(view, discs[0]).tags == ["drop"]


def test_an_edit_and_news_of_the_same_sample_are_both_kept(watched: Watched) -> None:
    watch, view, dataset, discs, _ = watched
    append_decisions(dataset.decisions, [Decision(actor="bob", tool="decide", sample_id=discs[0], action="drop")])
    relabel(view, discs[0], "square")
    watch.look()
    assert [one[0] for one in said(dataset)] == ["bob", "ann"]


def test_two_that_take_edits_in_log_each_once(watched: Watched, grouped: tuple[DatasetFolder, Spec, Scan]) -> None:
    watch, view, dataset, discs, _ = watched
    other = Watch(dataset, view, lambda _: None)
    relabel(view, discs[0], "square")
    assert watch.look() | other.look()
    assert pull_review(dataset, grouped[1]) == [] and len(said(dataset)) == 1


def test_with_two_at_work_an_edit_is_by_one_of_them(watched: Watched) -> None:
    watch, view, dataset, discs, _ = watched
    bob = Running(view.name, str(dataset.path), "bob", 1, "", os.getpid())
    with registered(bob):
        relabel(view, discs[0], "square")
        watch.look()
    assert said(dataset) == [("ann or bob", discs[0], "relabel", "square")]
