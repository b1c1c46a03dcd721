"""What the App shows besides labels: groups of copies, slices, likeness, evaluations, workspaces, colours."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import pandas as pd
import pytest

from curate.images.samples import Scan
from curate.images.scan import scan_dataset
from curate.log.decision import Decision
from curate.log.decisions import append_decisions
from curate.review.mirror.bulk import write_rows
from curate.review.mirror.colours import CLASSES, class_colours
from curate.review.mirror.evaluations import find_exam
from curate.review.mirror.points import has_vectors, principal_points
from curate.review.mirror.push import push_review
from curate.review.mirror.rows import collect_rows
from curate.review.services.environment import load_fiftyone
from curate.spec.model import Slice, Spec
from curate.storage.files import write_json
from curate.storage.folder import DatasetFolder
from curate.storage.tables import write_table
from tests.conftest import draw_shape, write_findings, write_groups

Scanned = tuple[DatasetFolder, Spec, Scan]


def ids_of(scan: Scan, label: str) -> list[str]:
    return list(scan.samples.loc[scan.samples["given_label"] == label, "sample_id"])


def pushed(dataset: DatasetFolder, spec: Spec) -> Any:
    view = load_fiftyone().load_dataset(push_review(dataset, spec))
    view.reload()
    view.clear_cache()
    return view


def by_sample(view: Any, field: str) -> dict[str, Any]:
    return dict(zip(*view.values(["sample_id", field]), strict=True))


def test_duplicates_are_one_picture_a_group_the_best_first(grouped: Scanned) -> None:
    dataset, spec, scan = grouped
    one, two, three, four, five = ids_of(scan, "disc")[:5]
    write_groups(dataset, scan, {one: two, two: two, three: two, four: five, five: five})
    copies = (one, two, three, four, five)
    rows: list[dict[str, object]] = [{"sample_id": name, "issue": "near_duplicate"} for name in copies]
    write_findings(dataset, *rows)
    view = pushed(dataset, spec)
    groups = view.load_saved_view("duplicates")
    assert (groups.media_type, sorted(groups.values("sample_id"))) == ("group", sorted([two, five]))
    members = {group.first()["sample_id"]: group.values("sample_id") for group in groups.iter_dynamic_groups()}
    assert members[two][0] == two and sorted(members[two]) == sorted([one, two, three])
    assert (
        by_sample(view, "copy_role")[one] == "copy" and by_sample(view, "group_id")[ids_of(scan, "square")[0]] is None
    )
    write_groups(dataset, scan)
    assert not pushed(dataset, spec).has_saved_view("duplicates")


def test_slices_become_a_field_and_views(grouped: Scanned) -> None:
    dataset, spec, scan = grouped
    parts = {
        "discs": Slice(given_label="disc"),
        "some": Slice(path="disc/00*"),
        "none": Slice(path="nowhere/*"),
        "none!": Slice(given_label="disc"),
        "some!": Slice(given_label="disc"),
        "narrow": Slice.model_validate({"measures": {"width": {"below": 20}}}),
    }
    sliced = spec.model_copy(update={"slices": parts})
    view = pushed(dataset, sliced)
    assert [name for name in view.list_saved_views() if name.startswith("slice ")] == [
        "slice discs",
        "slice some",
        "slice none!",
    ]
    assert sorted(view.load_saved_view("slice discs").values("sample_id")) == sorted(ids_of(scan, "disc"))
    assert view.get_saved_view_info("slice some")["description"] == "curate: the slice where path is disc/00*"
    assert view.count_values("slices") == {"discs": 12, "some": 10, "none!": 12, "some!": 12}
    view = pushed(dataset, spec)
    assert "slices" not in view.get_field_schema() and not view.has_saved_view("slice discs")


def test_views_by_our_names_that_a_reviewer_made_stay(grouped: Scanned) -> None:
    dataset, spec, scan = grouped
    one = ids_of(scan, "disc")[0]
    write_findings(dataset, {"sample_id": one, "issue": "dark"})
    view = pushed(dataset, spec)
    view.delete_saved_view("dark")
    view.save_view("dark", view.limit(3), description="mine")
    saved = view._get_saved_view_doc("suspects").last_modified_at
    view = pushed(dataset, spec)
    assert len(view.load_saved_view("dark")) == 3 and view._get_saved_view_doc("suspects").last_modified_at == saved
    view.save_view(
        "suspects", view.limit(2), description=view.get_saved_view_info("suspects")["description"], overwrite=True
    )
    assert pushed(dataset, spec).load_saved_view("suspects").values("sample_id") == [one]


def own_vectors(dataset: DatasetFolder, spec: Spec, ids: list[str]) -> tuple[Spec, np.ndarray]:
    """A spec that names saved vectors ``(N, 8)`` of the samples, and these, of length 1."""
    vectors = np.random.default_rng(0).normal(size=(len(ids), 8)).astype(np.float32)
    np.save(dataset.path / "vectors.npy", vectors)
    (dataset.path / "vectors.txt").write_text("\n".join(ids))
    own = spec.model_copy(update={"audit": spec.audit.model_copy(update={"embedding": "vectors.npy"})})
    text = dataset.spec.read_text(encoding="utf-8")
    dataset.spec.write_text(text.replace("embedding: lite0", "embedding: vectors.npy"), encoding="utf-8")
    return own, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_sorting_by_similarity_is_sorting_by_cosine(grouped: Scanned) -> None:
    dataset, spec, scan = grouped
    ids = list(scan.samples["sample_id"])
    own, vectors = own_vectors(dataset, spec, ids)
    view = pushed(dataset, own)
    key = {sample: name for name, sample in zip(*view.values(["id", "sample_id"]), strict=True)}
    expected = [ids[place] for place in np.argsort(-(vectors @ vectors[3]), kind="stable")]
    assert view.sort_by_similarity(key[ids[3]], brain_key="similar").values("sample_id") == expected
    backwards = view.sort_by_similarity(key[ids[3]], k=5, reverse=True, brain_key="similar")
    assert backwards.values("sample_id") == expected[:-6:-1]
    discs = view.match(load_fiftyone().ViewField("given_label.label") == "disc")
    three = [0, 3, 5]  # of two, both are equally near to their mean
    nearest = discs.sort_by_similarity([key[ids[place]] for place in three], k=4, brain_key="similar")
    order = np.argsort(-(vectors @ vectors[three].sum(axis=0)), kind="stable")
    assert nearest.values("sample_id") == [ids[place] for place in order if ids[place] in ids_of(scan, "disc")][:4]
    assert view.sort_by_similarity(vectors[3], k=1, brain_key="similar").values("sample_id") == [ids[3]]


def test_the_index_follows_the_samples_and_goes_without_vectors(grouped: Scanned) -> None:
    dataset, spec, scan = grouped
    own, _ = own_vectors(dataset, spec, list(scan.samples["sample_id"]))
    view = pushed(dataset, own)
    view.sort_by_similarity(view.first().id, k=2, brain_key="similar")
    draw_shape("disc", 99).save(dataset.path.parent / "images" / "disc" / "new.jpg")
    added = scan_dataset(dataset, spec)
    write_groups(dataset, added)
    ids = list(added.samples["sample_id"])
    own, vectors = own_vectors(dataset, spec, ids)
    push_review(dataset, own)  # the index in memory stays: it notices by itself
    newest = next(one for one in ids if one not in set(scan.samples["sample_id"]))
    key = view.match(load_fiftyone().ViewField("sample_id") == newest).first().id
    expected = [ids[place] for place in np.argsort(-(vectors @ vectors[ids.index(newest)]), kind="stable")]
    assert view.sort_by_similarity(key, brain_key="similar").values("sample_id") == expected
    assert not has_vectors(dataset, spec, ids)
    assert pushed(dataset, spec).list_brain_runs() == ["embeddings"]


def write_model(dataset: DatasetFolder, name: str, version: str, rows: list[tuple[str, str, str]]) -> None:
    """Write what a training leaves behind: rows of sample, split, predicted class."""
    ids, splits, predicted = zip(*rows, strict=True)
    sure = [0.75 if one == "disc" else 0.25 for one in predicted]
    table = pd.DataFrame({"sample_id": ids, "split": splits, "label": "disc", "predicted": predicted})
    write_table(
        dataset.models / name / "predictions.parquet", table.assign(p_disc=sure, p_square=[1 - one for one in sure])
    )
    write_json(dataset.models / name / "run.json", {"id": name, "version": version, "init": None})


def write_version(dataset: DatasetFolder, name: str, splits: dict[str, str]) -> None:
    ids = list(splits)
    table = pd.DataFrame({"sample_id": ids, "split": list(splits.values()), "group_id": ids, "label": "disc"})
    write_table(dataset.versions / name / "manifest.parquet", table)


@pytest.fixture
def trained(grouped: Scanned) -> tuple[DatasetFolder, Spec, list[str]]:
    """Two versions and two models; the first model was trained on one of today's four test samples."""
    dataset, spec, scan = grouped
    discs = ids_of(scan, "disc")[:6]
    write_version(dataset, "v1", dict(zip(discs, ["train", "train", "train", "test", "test", "test"], strict=True)))
    write_version(dataset, "v2", dict(zip(discs, ["train", "train", "test", "test", "test", "test"], strict=True)))
    for name, version, predicted in (("m1", "v1", "square"), ("m2", "v2", "disc")):
        splits = ["train"] * (3 if version == "v1" else 2) + ["test"] * 4
        write_model(
            dataset, name, version, [(one, split, predicted) for one, split in zip(discs, splits, strict=False)]
        )
    return dataset, spec, discs


def test_models_are_evaluated_on_what_none_of_them_has_seen(trained: tuple[DatasetFolder, Spec, list[str]]) -> None:
    dataset, spec, discs = trained
    rows, kinds = collect_rows(dataset, spec)
    assert find_exam(dataset, rows, kinds) == (["m1", "m2"], sorted(discs[3:]))
    view = pushed(dataset, spec)
    assert view.list_evaluations() == ["eval_m1", "eval_m2"]
    assert [view.load_evaluation_results(key).metrics()["accuracy"] for key in view.list_evaluations()] == [0, 1]
    assert {name for name, right in by_sample(view, "eval_m2").items() if right} == set(discs[3:])
    [models] = [group.paths for group in view.app_config.sidebar_groups if group.name == "models"]
    assert models == ["m1", "m2", "eval_m1", "eval_m2"]


def test_evaluations_are_made_anew_only_when_something_changed(trained: tuple[DatasetFolder, Spec, list[str]]) -> None:
    dataset, spec, discs = trained

    def times(view: Any) -> dict[str, Any]:
        return {key: view.get_evaluation_info(key).timestamp for key in view.list_evaluations()}

    before = times(pushed(dataset, spec))
    assert times(pushed(dataset, spec)) == before
    relabel = Decision(actor="ann", tool="cli", sample_id=discs[3], action="relabel", label="square")
    append_decisions(dataset.decisions, [relabel])
    view = pushed(dataset, spec)
    assert all(later > before[key] for key, later in times(view).items())
    assert view.load_evaluation_results("eval_m1").metrics()["accuracy"] == pytest.approx(1 / 3)
    shutil.rmtree(dataset.models / "m1")
    view = pushed(dataset, spec)
    assert view.list_evaluations() == ["eval_m2"] and "eval_m1" not in view.get_field_schema()
    assert len(view.load_evaluation_view("eval_m2")) == 4


def test_workspaces_are_ours_to_remove_and_a_reviewers_own_stay(trained: tuple[DatasetFolder, Spec, list[str]]) -> None:
    dataset, spec, _ = trained
    fo, view = load_fiftyone(), pushed(dataset, spec)
    assert view.list_workspaces() == ["review", "compare"]
    assert [one.children[0].type for one in view.load_workspace("compare").children] == [
        "Samples",
        "model_evaluation_panel_builtin",
    ]
    view.save_workspace("mine", fo.Space(children=[fo.Panel(type="Samples")]), description="as I like it")
    shutil.rmtree(dataset.models)
    assert pushed(dataset, spec).list_workspaces() == ["review", "mine"]


def test_each_class_has_one_colour_in_all_labels(grouped: Scanned) -> None:
    dataset, spec, _ = grouped
    scheme = pushed(dataset, spec).app_config.color_scheme
    values = {field["path"]: field["valueColors"] for field in scheme.fields if "valueColors" in field}
    tags = values.pop("tags")
    assert {one["value"] for one in values.pop("flip")} == {"broken", "fixed", "changed"}
    expected = [{"value": "disc", "color": CLASSES[0]}, {"value": "square", "color": CLASSES[1]}]
    assert values == dict.fromkeys(["given_label", "suggested_label", "label"], expected)
    assert [one["value"] for one in tags] == ["drop", "keep"]
    assert len({*class_colours([str(place) for place in range(17)]).values()}) == 17


def test_a_new_class_gets_its_colour_at_the_next_push(grouped: Scanned) -> None:
    dataset, spec, _ = grouped
    pushed(dataset, spec)
    more = spec.model_copy(update={"classes": {**spec.classes, "star": ""}})
    fields = pushed(dataset, more).app_config.color_scheme.fields
    assert [one["value"] for one in fields[0]["valueColors"]] == ["disc", "square", "star"]


def test_what_is_written_in_bulk_is_what_fiftyone_would_store(grouped: Scanned) -> None:
    dataset, spec, scan = grouped
    fo, view = load_fiftyone(), pushed(dataset, spec)
    first, second = ids_of(scan, "disc")[:2]
    rows, kinds = collect_rows(dataset, spec)
    rows = rows.loc[[first]].assign(suggested_label=[("square", 0.5)], open_issues=[["dark"]], evidence="because")
    write_rows(
        fo, view, rows, kinds, {sample: key for key, sample in zip(*view.values(["id", "sample_id"]), strict=True)}
    )
    ours, theirs = (view.match(fo.ViewField("sample_id") == one).first() for one in (first, second))
    theirs["suggested_label"] = fo.Classification(label="square", confidence=0.5)
    theirs["open_issues"], theirs["evidence"] = ["dark"], "because"
    theirs.save()
    own = ("_id", "_rand", "filepath", "path", "sample_id", "metadata", "created_at", "last_modified_at")
    documents = [view._sample_collection.find_one({"sample_id": one}) for one in (first, second)]
    for document in documents:
        for label in ("given_label", "label", "suggested_label"):
            document[label].pop("_id")
    assert all(type(documents[0][name]) is type(documents[1][name]) for name in documents[1])
    without = [{name: value for name, value in one.items() if name not in own} for one in documents]
    assert without[0] == without[1] and ours["metadata"].width == theirs["metadata"].width == 96


def test_principal_points_are_those_of_a_whole_decomposition() -> None:
    draw = np.random.default_rng(0)
    vectors = (draw.normal(size=(300, 40)) * np.linspace(4, 1, 40)).astype(np.float32)
    centred = vectors - vectors.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    expected, points = left[:, :2] * sizes[:2], principal_points(vectors)
    likeness = [abs(np.corrcoef(points[:, axis], expected[:, axis])[0, 1]) for axis in (0, 1)]
    assert min(likeness) > 0.99
    assert (principal_points(vectors) == points).all()
