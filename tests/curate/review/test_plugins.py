"""The review plugin is linked beside the user's own, never over them, and answers as the App would ask it to."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from curate.images.samples import Scan
from curate.log.decision import Decision
from curate.log.decisions import append_decisions, read_decisions
from curate.review.answers.gallery import find_page
from curate.review.answers.sitting import sitting_of
from curate.review.mirror.layout import save_open_view
from curate.review.mirror.pull import pull_review
from curate.review.mirror.push import push_review
from curate.review.mirror.snapshot import read_snapshot
from curate.review.services.environment import load_fiftyone
from curate.review.services.plugin_link import NAME, PLUGIN, link_plugin, plugins_folder, unlink_plugin
from curate.spec.model import Spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder
from tests.conftest import write_findings, write_groups

Pushed = tuple[DatasetFolder, Spec, Any, list[str]]


def test_link_is_made_kept_repaired_and_removed(tmp_path: Path) -> None:
    folder = tmp_path / "plugins"
    link = link_plugin(folder)
    assert link.resolve() == PLUGIN and (link / "fiftyone.yml").is_file() and (link / "keys.js").is_file()
    before = link.lstat().st_mtime_ns
    assert link_plugin(folder) == link and link.lstat().st_mtime_ns == before
    link.unlink()
    link.symlink_to(tmp_path / "gone" / Path(*PLUGIN.parts[-3:]))  # an environment that was removed
    assert link_plugin(folder).resolve() == PLUGIN
    assert unlink_plugin(folder) and not unlink_plugin(folder) and folder.is_dir()


@pytest.mark.parametrize("kind", ["folder", "link", "file"])
def test_what_is_not_ours_is_left_alone(tmp_path: Path, kind: str) -> None:
    other = tmp_path / NAME
    if kind == "link":
        other.symlink_to(tmp_path)
    elif kind == "file":
        other.touch()
    else:
        other.mkdir()
    with pytest.raises(Problem, match=NAME):
        link_plugin(tmp_path)
    assert not unlink_plugin(tmp_path) and (other.is_symlink() or other.exists())


def test_a_folder_that_takes_no_link_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Problem, match="FIFTYONE_PLUGINS_DIR"):
        link_plugin(tmp_path / "file")


@pytest.fixture
def pushed(grouped: tuple[DatasetFolder, Spec, Scan]) -> Pushed:
    """Six discs in FiftyOne: the first three look like squares, the first is dark; discs 3 and 4 are copies."""
    dataset, spec, scan = grouped
    discs = list(scan.samples.loc[scan.samples["given_label"] == "disc", "sample_id"])[:6]
    write_groups(dataset, scan, dict.fromkeys(discs[3:5], discs[3]))
    suggested = {"suggested_action": "relabel", "suggested_label": "square"}
    rows: list[dict[str, object]] = [
        {"sample_id": one, "issue": "label_error", "score": 0.01 + place / 100, **suggested}
        for place, one in enumerate(discs[:3])
    ]
    rows += [{"sample_id": discs[0], "issue": "dark", "score": 0.2}]
    rows += [{"sample_id": one, "issue": "near_duplicate", "suggested_action": "merge"} for one in discs[3:5]]
    write_findings(dataset, *rows)
    link_plugin(plugins_folder())
    return dataset, spec, load_fiftyone().load_dataset(push_review(dataset, spec)), discs


def ids_of(view: Any, sample_ids: list[str]) -> list[str]:
    by_sample = dict(zip(*view.values(["sample_id", "id"]), strict=True))
    return [by_sample[one] for one in sample_ids]


def call(name: str, view: Any, chosen: list[str] = (), **more: Any) -> dict[str, Any]:  # type: ignore[assignment]
    """Run an operator as the App's server does; return what it says, with what the App is to do under ``asked``."""
    from fiftyone.operators.executor import execute_or_delegate_operator

    request = {"dataset_name": view.name, "selected": list(chosen), "view": [], "params": {}, **more}
    done = asyncio.run(execute_or_delegate_operator(f"@specurate/review/{name}", request)).to_json()
    assert not done["error"], done["error"]
    asked = {one["operator_uri"]: one["params"] for one in done["executor"]["requests"]}
    return {**(done["result"] or {}), "asked": asked}


def field(view: Any, name: str) -> dict[str, Any]:
    return dict(zip(*view.values(["sample_id", name]), strict=True))


def said(dataset: DatasetFolder) -> list[tuple[str, str, str, str]]:
    return [(one.sample_id, one.action, one.label, one.finding) for one in read_decisions(dataset.decisions)]


def test_an_answer_is_in_the_log_and_in_the_app(pushed: Pushed) -> None:
    dataset, spec, view, discs = pushed
    told = call("accept", view, ids_of(view, discs[:1]))
    assert said(dataset) == [(discs[0], "relabel", "square", "label_error")]
    assert [one["sample_id"] for one in told["decisions"]] == discs[:1] and "reload_samples" in told["asked"]
    assert (field(view, "label.label")[discs[0]], field(view, "open_issues")[discs[0]]) == ("square", ["dark"])
    call("drop", view, ids_of(view, discs[1:2]))
    assert field(view, "tags")[discs[1]] == ["drop"]
    # What the plugin wrote is no edit of the reviewer, however the log goes on.
    append_decisions(
        dataset.decisions, [Decision(actor="bob", tool="cli", sample_id=discs[0], action="relabel", label="disc")]
    )
    assert pull_review(dataset, spec) == []
    call("undo", view)
    assert field(view, "tags")[discs[1]] == [] and field(view, "open_issues")[discs[1]] == ["label_error"]
    push_review(dataset, spec)
    view.reload()
    assert field(view, "label.label")[discs[0]] == "disc"


def test_the_open_sample_comes_before_the_selection_and_the_next_one_opens(pushed: Pushed) -> None:
    dataset, _, view, discs = pushed
    ids = ids_of(view, discs)
    told = call("keep", view, ids[4:5], current_sample=ids[0], view_name="suspects")
    # In the view of the label errors nothing is said of the darkness.
    assert said(dataset) == [(discs[0], "keep", "disc", "label_error")]
    assert told["asked"]["open_sample"]["id"] == ids[1]
    again = call("keep", view, ids[4:5], current_sample=ids[0], view_name="suspects")
    assert not again["decisions"] and not again["refused"]
    call("skip", view, current_sample=ids[1], view_name="suspects")
    assert field(view, "tags")[discs[1]] == ["skipped"]
    told = call("relabel", view, current_sample=ids[2], params={"number": 2}, view_name="suspects")
    assert "open_sample" not in told["asked"] and said(dataset)[-1] == (discs[2], "relabel", "square", "label_error")


def test_after_a_copy_was_merged_away_the_next_one_is_not_that_copy(pushed: Pushed) -> None:
    _, _, view, discs = pushed
    first, second = ids_of(view, discs[3:5])
    told = call("keep_this_copy", view, current_sample=first, view_name="duplicates")
    assert len(told["decisions"]) == 1 and "open_sample" not in told["asked"]
    call("undo", view)
    told = call("skip", view, current_sample=first, view_name="duplicates")
    assert told["asked"]["open_sample"]["id"] == second  # of the same group


def test_thumbs_down_keeps_where_thumbs_up_accepts(pushed: Pushed) -> None:
    dataset, _, view, discs = pushed
    up, down = ids_of(view, discs[1:3])
    marks = [{"id": up, "type": "default"}, {"id": down, "type": "alt"}]
    call("accept", view, selected_samples=marks)
    assert said(dataset) == [
        (discs[1], "relabel", "square", "label_error"),
        (discs[2], "keep", "disc", "label_error"),
    ]
    call("undo", view)  # one answer, whatever the thumbs
    assert not read_decisions(dataset.decisions)


def test_a_whole_view_is_only_answered_when_asked_for(pushed: Pushed) -> None:
    dataset, _, view, discs = pushed
    assert "Open a sample" in call("accept", view, view_name="suspects")["refused"][0] and not said(dataset)
    call("accept", view, view_name="suspects", params={"all_in_view": True})
    assert [one[0] for one in said(dataset)] == discs[:3]


def test_copies_are_merged_and_the_group_is_shown(pushed: Pushed) -> None:
    dataset, _, view, discs = pushed
    call("keep_this_copy", view, ids_of(view, discs[4:5]))
    assert said(dataset) == [(discs[3], "merge", discs[4], "near_duplicate")]
    assert field(view, "tags")[discs[3]] == ["drop"] and field(view, "open_issues")[discs[4]] == []


def test_an_edit_made_in_the_app_before_is_not_lost(pushed: Pushed) -> None:
    dataset, _, view, discs = pushed
    sample = view[ids_of(view, discs[1:2])[0]]
    sample.tags = ["drop", "mine"]
    sample.save()
    call("note", view, [sample.id], params={"reason": "no animal"})
    call("undrop", view, [sample.id])
    assert [one[1] for one in said(dataset)] == ["drop", "undrop"] and field(view, "tags")[discs[1]] == ["mine"]


def test_other_datasets_are_refused_in_a_sentence(pushed: Pushed) -> None:
    _, _, view, _ = pushed
    fo = load_fiftyone()
    other = fo.Dataset()
    other.add_sample(fo.Sample(filepath="a.jpg"))
    assert "curate review" in call("drop", other, other.values("id"))["refused"][0]
    assert call("welcome", other)["asked"] == {} and "open_panel" in call("welcome", view)["asked"]
    other.delete()


def test_what_was_answered_meanwhile_is_told_and_shown(pushed: Pushed) -> None:
    dataset, _, view, discs = pushed
    meanwhile = Decision(
        actor="bob", tool="cli", sample_id=discs[1], action="keep", label="disc", finding="label_error"
    )
    append_decisions(dataset.decisions, [meanwhile])
    told = call("accept", view, ids_of(view, discs[1:2]))
    assert [one["action"] for one in told["decisions"]] == ["relabel"] and len(said(dataset)) == 1
    assert "bob said keep disc meanwhile" in told["contested"][0] and told["refused"] == []
    assert field(view, "open_issues")[discs[1]] == ["decision_conflict"] and field(view, "tags")[discs[1]] == ["keep"]
    page = find_page(sitting_of(view), discs[1], 1)
    assert "who had not seen that" in page.findings and "Waiting besides: dark 1, decision" in page.progress
    settled = call("relabel", view, ids_of(view, discs[1:2]), params={"label": "square"})
    assert len(settled["decisions"]) == 1 and settled["contested"] == []
    assert field(view, "open_issues")[discs[1]] == [] and field(view, "label.label")[discs[1]] == "square"


def test_snapshot_holds_what_the_plugin_wrote(pushed: Pushed) -> None:
    dataset, _, view, discs = pushed
    call("relabel", view, ids_of(view, discs[:1]), params={"label": "square"})
    view.reload()
    snapshot = read_snapshot(dataset, view)
    assert isinstance(snapshot, pd.DataFrame)
    assert snapshot.set_index("sample_id").loc[discs[0], ["label", "digest"]].tolist() == ["square", ""]


def test_panel_says_what_was_found_and_shows_the_group(pushed: Pushed) -> None:
    _, _, view, discs = pushed
    sitting = sitting_of(view)
    page = find_page(sitting, discs[0], 1)
    assert "suggests **square**" in page.findings and "dark" in page.findings and page.suggestion == "Accept: square"
    assert "0 of 3 label errors" in page.progress and "disc" in page.definitions
    copies = find_page(sitting, discs[3], 1)
    assert [one.sample_id for one in copies.likenesses] == discs[3:5] and "this one" in copies.likenesses[0].caption
    assert copies.likenesses[0].picture.startswith("data:image/")
    call("keep", view, ids_of(view, discs[:1]))
    assert "~~label_error" in find_page(sitting, discs[0], 1).findings
    assert find_page(sitting, "", 0).sample_id == ""


@pytest.mark.parametrize("method", ["on_load", "on_change_selected", "answer"])
def test_panel_draws_whatever_is_chosen(pushed: Pushed, method: str) -> None:
    dataset, _, view, discs = pushed
    for chosen in ([], ids_of(view, discs[:1]), ids_of(view, discs[3:5])):
        params = {"__method__": method, "panel_id": "p", "answer": "keep"}
        drawn = call("findings", view, chosen, params=params)["asked"]["show_panel_output"]["output"]
        assert ("first" in drawn["type"]["properties"]) == bool(chosen)
    assert bool(said(dataset)) == (method == "answer")


def test_a_view_of_one_issue_is_worst_first_and_limited(pushed: Pushed) -> None:
    _, _, view, discs = pushed
    name = save_open_view(view, "label_error", 2)
    assert view.load_saved_view(name).values("sample_id") == discs[:2]
    call("keep", view, ids_of(view, discs[:1]), view_name=name)
    assert view.load_saved_view(name).values("sample_id") == discs[1:2]
    with pytest.raises(Problem, match="near_duplicate"):
        save_open_view(view, "blurry")
