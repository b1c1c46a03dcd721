import json

import pandas as pd
import pytest

from curate.commands.versions import print_reasons
from curate.decide.by_hand import decide_sample
from curate.images.scan import scan_dataset
from curate.log.decision import Decision
from curate.log.decisions import append_decisions
from curate.spec.digest import spec_digest
from curate.spec.model import Split
from curate.spec.reading import read_spec
from curate.storage.files import Problem
from curate.storage.tables import write_table
from curate.versions.build import build_version
from curate.versions.claims import hash_split
from curate.versions.explain_split import explain_sample, explain_split
from curate.versions.places import pinned_splits, place_samples, read_history
from tests.conftest import curate, draw_shape, write_groups


def with_split(spec, **changes):
    return spec.model_copy(update={"split": spec.split.model_copy(update=changes)})


def test_counts_shares_and_rules(grouped):
    dataset, spec, _ = grouped
    found = explain_split(dataset, spec)
    assert found["table"] == [
        {"class": label, "samples": 12, "train": 9, "val": 1, "test": 2} for label in ("disc", "square")
    ]
    assert not any(row["why"] for row in found["shares"]) and set(found["rules"]) <= {"hash", "share"}
    assert sum(found["rules"].values()) == 24 and found["moved"] == found["groups"] == found["pinned"] == []


def test_why_a_share_is_not_met_is_said(grouped):
    dataset, spec, scan = grouped
    ids = scan.samples.query("given_label == 'disc'")["sample_id"].tolist()
    write_groups(dataset, scan, dict.fromkeys(ids[:8], ids[0]))
    pinned = with_split(spec, pinned={"val": ["square/00*"]})
    found = explain_split(dataset, pinned)
    why = {(row["class"], row["split"]): row["why"] for row in found["shares"]}
    assert why["square", "val"] == "10 pinned by dataset.yaml"
    assert found["pinned"] == [{"split": "val", "pin": "square/00*", "samples": 10}]
    assert [(row["samples"], row["split"]) for row in found["groups"]] == [(8, "train")]


def test_why_a_sample_is_where_it_is(grouped):
    dataset, spec, scan = grouped
    path = scan.samples["path"][0]
    new = explain_sample(dataset, spec, path)
    assert new["rule"] in ("hash", "share") and f"{new['position']:.4f}" in new["why"]
    version = build_version(dataset, spec).manifest.set_index("path")["split"]
    old = explain_sample(dataset, spec, path)
    assert old["rule"] == "before" and "it was there in v1" in old["why"] and old["split"] == version[path]
    pinned = explain_sample(dataset, with_split(spec, pinned={"val": [path]}), path)
    assert pinned["why"].startswith("dataset.yaml pins it to val")
    with pytest.raises(Problem, match="none has it"):
        explain_sample(dataset, spec, "nobody.jpg")


def test_a_copy_names_the_one_it_follows(grouped):
    dataset, spec, scan = grouped
    version = build_version(dataset, spec).manifest
    tested, trained = (version.query("split == @split").iloc[0] for split in ("test", "train"))
    write_groups(
        dataset, scan, {one: min(tested.sample_id, trained.sample_id) for one in (tested.sample_id, trained.sample_id)}
    )
    found = explain_sample(dataset, spec, trained.path)
    assert found["split"] == "test" and f"its near copy {tested.path} was there in v1" in found["why"]
    assert "Moved: train -> test" in found["why"] and [row["path"] for row in found["copies"]] == [tested.path]
    second = build_version(dataset, spec)
    assert second.record["moved"] == {trained.sample_id: f"train -> test: its near copy {tested.path} is in test"}


def test_what_was_dropped_comes_back_to_where_it_was(grouped):
    dataset, spec, _ = grouped
    first = build_version(dataset, spec).manifest.set_index("sample_id")["split"]
    tested = first.index[first == "test"][0]
    decide_sample(dataset, spec, tested, "drop")
    build_version(dataset, spec)
    decide_sample(dataset, spec, tested, "undrop")
    for number in (20, 21, 22):  # newcomers take no place that is only empty for a while
        draw_shape("disc", number).save(dataset.path / spec.sources[0].path / "disc" / f"{number}.jpg")
    write_groups(dataset, scan_dataset(dataset, spec))
    now = build_version(dataset, spec).manifest.set_index("sample_id")["split"]
    assert now[first.index].equals(first)


def test_a_locked_test_set_is_locked_by_the_version_or_the_lock_alone(grouped):
    dataset, spec, _ = grouped
    locked = with_split(spec, locked=True)
    first = build_version(dataset, locked).manifest.query("split == 'test'")["sample_id"].tolist()
    lock = json.loads(dataset.lock.read_text())
    assert lock["locked"] is True and {one for one, where in lock["splits"].items() if where == "test"} == set(first)
    for seed in range(100, 130):
        draw_shape("disc", seed).save(dataset.path / spec.sources[0].path / "disc" / f"{seed}.jpg")
    write_groups(dataset, scan_dataset(dataset, spec))
    second = build_version(dataset, locked).manifest
    assert second.query("split == 'test'")["sample_id"].tolist() == first
    assert (second["split"] == "val").sum() == 5  # 4.2 of 42 discs and 1.2 of 12 squares
    assert "locked test set" in explain_sample(dataset, locked, first[0])["why"]
    cell = {(row["class"], row["split"]): row["why"] for row in explain_split(dataset, locked)["shares"]}
    assert "locked" in cell["disc", "test"]
    assert read_history(dataset, spec, set()).exam is None


def test_neither_pins_nor_the_lock_are_in_the_digest_of_the_spec(grouped):
    _, spec, _ = grouped
    assert spec_digest(with_split(spec, locked=True, pinned={"test": ["a/*"]})) == spec_digest(spec)


def test_pins_are_ids_paths_or_patterns_and_the_strictest_wins():
    rows = pd.DataFrame({"sample_id": ["ab" * 10, "cd" * 10, "ef" * 10], "path": ["x/a.jpg", "x/b.jpg", "y/[1].jpg"]})
    spec = Split(pinned={"train": ["x/*", "y/[[]1].jpg"], "test": ["cdcdcd"], "val": ["ab"]})

    class Any:
        split = spec

    assert pinned_splits(rows, Any) == ["train", "test", "train"]  # type: ignore[arg-type]


def test_labels_of_the_policy_never_come_to_test_and_accepted_ones_only_by_the_hash(grouped):
    dataset, spec, scan = grouped
    ids = scan.samples["sample_id"]
    rows = scan.samples.assign(label=scan.samples["given_label"], excluded="", decided_by="", group_id=ids)
    hashed = {one for one in ids if hash_split(one, spec.split) == "test"}
    tested = set(ids[ids.map(place_samples(dataset, rows, spec).split) == "test"])
    assert len(tested) == 4 and hashed and hashed != tested
    for tool, expected in {"policy": set(), "label": hashed, "decide": tested}.items():
        said = [Decision(actor="ann", tool=tool, sample_id=one, action="relabel", label="disc") for one in ids]
        last = {one.sample_id: one.id for one in append_decisions(dataset.decisions, said)}
        placed = place_samples(dataset, rows.assign(decided_by=ids.map(last)), spec).split
        assert set(placed.index[placed == "test"]) == expected


def test_without_a_label_nothing_is_said_to_be_met(grouped, capsys):
    dataset, spec, scan = grouped
    write_table(dataset.cache / "samples.parquet", scan.samples.assign(given_label=""))
    print_reasons(explain_split(dataset, spec))
    assert capsys.readouterr().out.startswith("No sample has a label")


def test_the_command(grouped):
    dataset = grouped[0]
    dataset.spec.write_text(dataset.spec.read_text().replace("seed: 0}", "seed: 0, pinned: {test: ['disc/00*']}}", 1))
    assert read_spec(dataset).split.pinned == {"test": ["disc/00*"]}
    said = curate("split", dataset.path, "--explain").stdout
    assert "10 pinned by dataset.yaml" in said and "disc/00*" in said
    assert "pins it to test" in curate("split", "--explain", "disc/001.jpg", cwd=dataset.path).stdout
    assert json.loads(curate("split", dataset.path, "--json").stdout)["table"][0]["test"] == 10
    assert "none has it" in curate("split", dataset.path, "nobody.jpg", code=2).stderr
