"""Several voters: one consensus a sample, a measure of each of them, and what the audit and the scan make of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from curate.audit.audit import audit_dataset, read_notes, stated_labels
from curate.audit.consensus import settle_labels
from curate.audit.detectors.label_conflict import find_label_conflicts
from curate.audit.evidence.crowdlab import MODEL, compute_consensus, tabulate_votes
from curate.audit.evidence.evidence import Evidence
from curate.decide.by_hand import decide_sample
from curate.decide.policy import apply_policy
from curate.images.samples import read_scan
from curate.images.scan import scan_dataset
from curate.label.annotators import advise, tabulate_annotators
from curate.log.consensus import CONSENSUS, overlay_consensus, read_consensus, votes_digest, write_consensus
from curate.log.decision import Decision
from curate.log.decisions import append_decisions
from curate.spec.model import Spec, Train
from curate.storage.folder import DatasetFolder
from curate.storage.tables import VOTES, empty, shaped
from curate.versions.build import build_version
from curate.versions.read import read_soft_labels
from tests.conftest import curate, write_shapes
from tests.curate.audit.test_detectors_label import gather, two_crowds

CLASSES = ["cat", "dog"]
PEOPLE = ("csv:ann", "csv:bob", "csv:cem")


def votes_of(*rows: tuple[str, str, str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["sample_id", "voter", "label"])
    return shaped(table.assign(path="", share=1.0, time=""), VOTES) if rows else empty(VOTES)


def settle(
    votes: pd.DataFrame, probs: dict[str, tuple[float, float]] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Return the consensus by sample, the annotators by name, and the note."""
    ids = sorted(set(votes["sample_id"]) | set(probs or {}))
    known = None if probs is None else np.array([probs.get(one, (np.nan, np.nan)) for one in ids])
    made = compute_consensus(tabulate_votes(votes, ids, CLASSES), ids, known, CLASSES)
    assert list(made.samples) == list(CONSENSUS)
    return made.samples.set_index("sample_id"), made.annotators.set_index("annotator"), made.note


def crowd(count: int, errors: dict[str, float], seed: int = 0) -> tuple[pd.DataFrame, dict[str, str], np.ndarray]:
    """Votes of annotators who err so often on ``count`` samples, the truth, and probabilities that are 90 % right."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, count)
    rows = [
        (f"{number:04d}", name, CLASSES[true ^ int(rng.random() < error)])
        for number, true in enumerate(truth)
        for name, error in errors.items()
    ]
    right = np.where(rng.random(count) < 0.9, truth, 1 - truth)
    probs = np.where(np.eye(2)[right] == 1, 0.85, 0.15)
    return votes_of(*rows), {f"{number:04d}": CLASSES[true] for number, true in enumerate(truth)}, probs


def test_without_probabilities_the_majority_by_hand() -> None:
    votes = votes_of(
        ("a", "ann", "cat"), ("a", "bob", "cat"), ("a", "cem", "dog"),
        ("b", "ann", "cat"), ("b", "bob", "dog"),
        ("c", "ann", "dog"),
        ("d", "ann", "dog"), ("d", "bob", "dog"),
    )  # fmt: skip
    samples, annotators, note = settle(votes)
    assert samples["label"].to_dict() == {"a": "cat", "b": "", "d": "dog"}  # c has one voter: it is theirs
    assert samples["agreement"].round(3).tolist() == [0.667, 0, 1]
    assert samples["quality"].round(3).tolist() == [0.667, 0.5, 1]
    assert annotators.loc["ann", ["votes", "shared"]].tolist() == [4, 3]
    assert annotators.loc["cem", ["agreement", "consensus", "said", "times"]].tolist() == [0, "cat", "dog", 1]
    assert MODEL not in annotators.index and "majority" in note


def test_the_picture_breaks_a_tie_but_overrules_no_single_and_no_unanimous_voter() -> None:
    votes, _, _ = crowd(30, dict.fromkeys(PEOPLE, 0.1))
    more = votes_of(
        ("tie", "csv:ann", "cat"), ("tie", "csv:bob", "dog"), ("one", "csv:ann", "cat"),
        ("all", "csv:ann", "cat"), ("all", "csv:bob", "cat"),
    )  # fmt: skip
    probs = {f"{number:04d}": (0.5, 0.5) for number in range(30)}
    probs |= {"tie": (0.05, 0.95), "one": (0.01, 0.99), "all": (0.01, 0.99)}
    samples, annotators, note = settle(pd.concat([votes, more]), probs)
    assert note == "" and samples["label"].to_dict()["tie"] == "dog"
    assert samples["label"].to_dict()["all"] == "cat" and "one" not in samples.index
    assert samples.loc["all", "quality"] < samples["quality"].median()  # it is doubted all the same
    assert annotators.loc[MODEL, "votes"] == 33


def test_consensus_beats_the_majority_and_ranks_the_annotators() -> None:
    votes, truth, probs = crowd(400, dict(zip(PEOPLE, (0.05, 0.2, 0.4), strict=True)))
    ids = sorted(truth)
    by_majority = settle(votes)[0]["label"]
    samples, annotators, _ = settle(votes, dict(zip(ids, map(tuple, probs), strict=True)))
    right = {name: float((labels == pd.Series(truth)).mean()) for name, labels in
             (("majority", by_majority), ("crowdlab", samples["label"]))}  # fmt: skip
    assert right["crowdlab"] > right["majority"] + 0.02
    assert list(annotators.index) == [*PEOPLE, MODEL]
    assert annotators.loc[list(PEOPLE), "quality"].is_monotonic_decreasing
    assert annotators.loc["csv:ann", "weight"] > annotators.loc["csv:cem", "weight"]


def test_labels_are_those_of_cleanlab_where_somebody_gave_them() -> None:
    from cleanlab.multiannotator import get_label_quality_multiannotator

    votes, truth, probs = crowd(200, dict(zip(PEOPLE, (0.1, 0.2, 0.3), strict=True)))
    ids = sorted(truth)
    wide = tabulate_votes(votes, ids, CLASSES)
    expected = get_label_quality_multiannotator(wide, probs, verbose=False)
    mine = compute_consensus(wide, ids, probs, CLASSES)
    labels = np.array(CLASSES)[expected["label_quality"]["consensus_label"]]
    voted = [one in set(wide.loc[name].dropna().astype(int).map(CLASSES.__getitem__))
             for name, one in zip(ids, labels, strict=True)]  # fmt: skip
    assert 0.9 < np.mean(voted) < 1
    assert (mine.samples["label"].to_numpy()[voted] == labels[voted]).all()
    quality = expected["label_quality"]["consensus_quality_score"].to_numpy()
    assert np.allclose(mine.samples["quality"].to_numpy()[voted], quality[voted], atol=1e-5)
    stats = expected["annotator_stats"]["annotator_quality"]
    people = mine.annotators[mine.annotators["annotator"] != MODEL].set_index("annotator")
    assert np.allclose(people["quality"], stats[people.index], atol=1e-5)


def test_shuffled_votes_and_a_spent_random_state_change_nothing() -> None:
    votes, truth, _ = crowd(40, dict.fromkeys(PEOPLE[:2], 0.5))
    even = dict.fromkeys(truth, (0.5, 0.5))
    np.random.seed(1)
    first = settle(votes, even)
    np.random.seed(2)
    again = settle(votes.sample(frac=1, random_state=0), even)
    for one, other in zip(first[:2], again[:2], strict=True):
        pd.testing.assert_frame_equal(one, other)
    assert votes_digest(votes) == votes_digest(votes.sample(frac=1, random_state=0)) != votes_digest(votes[1:])


@pytest.mark.parametrize(
    "votes",
    [
        votes_of(("a", "ann", "cat"), ("b", "bob", "dog"), ("a", "eve", "cat")),  # bob shares nothing
        votes_of(("a", "ann", "cat"), ("a", "bob", "dog"), ("b", "ann", "dog"), ("b", "bob", "cat")),  # never agree
        votes_of(("a", "ann", "cat"), ("a", "bob", "cat"), ("b", "ann", "cat"), ("b", "bob", "cat")),  # one class only
        votes_of(("x", "ann", "cat"), ("x", "bob", "dog"), ("a", "ann", "cat"), ("a", "bob", "cat")),  # x: no probs
    ],
)
def test_odd_votes_give_a_consensus_without_a_word_of_numpy(votes: pd.DataFrame) -> None:
    samples, annotators, _ = settle(votes, {"a": (0.9, 0.1), "b": (0.2, 0.8)})
    assert samples["quality"].between(0, 1).all() and samples["label"].isin(["cat", "dog", ""]).all()
    assert annotators["votes"].gt(0).all()
    if "eve" in annotators.index:
        assert annotators.loc["bob", "shared"] == 0 and np.isnan(annotators.loc["bob", "agreement"])


def test_machines_unknown_classes_and_two_minds_do_not_vote() -> None:
    votes = votes_of(
        ("a", "ann", "cat"), ("a", "model:m1", "dog"), ("a", "rule:x", "dog"), ("a", "prototype:p", "dog"),
        ("b", "ann", "wolf"), ("b", "bob", "dog"), ("c", "folder", "cat"), ("c", "folder", "dog"), ("c", "bob", "dog"),
    )  # fmt: skip
    wide = tabulate_votes(votes, ["a", "b", "c"], CLASSES)
    assert wide.notna().sum(axis=1).to_dict() == {"a": 1, "b": 1, "c": 1}
    assert list(wide.columns) == ["ann", "bob"]


def disputed(labels: list[list[str]], people: tuple[str, ...] = PEOPLE) -> Evidence:
    """Evidence of ten cats and ten dogs, of which the first have the votes given."""
    given = ["cat"] * 10 + ["dog"] * 10
    evidence = gather(given, two_crowds(10))
    rows = [
        (evidence.ids[row], voter, label)
        for row, said in enumerate(labels)
        for voter, label in zip(people, said, strict=False)
    ]
    rest = evidence.votes[~evidence.votes["sample_id"].isin(evidence.ids[: len(labels)])]
    changed = replace(evidence, votes=pd.concat([rest, votes_of(*rows)], ignore_index=True))
    changed.__dict__["groups"] = evidence.groups
    return changed


def test_a_conflict_says_who_said_what_and_keeps_the_consensus() -> None:
    evidence = settle_labels(disputed([["cat", "dog", "dog"], ["cat", "cat", "cat"], ["cat", "dog"]]))
    found = find_label_conflicts(evidence).set_index("sample_id")
    assert len(found) == 3 and found["is_issue"].tolist() == [True, False, True]
    assert found["evidence"].iloc[0].startswith("ann: cat, bob: dog, cem: dog; p(cat)=")
    assert found["evidence"].iloc[1] == "" and found["suggested_action"].tolist() == ["keep", "", "keep"]
    assert found["suggested_label"].iloc[2] == "cat"  # the picture is among the cats
    assert found["score"].iloc[1] == found["score"].max()
    given = evidence.readable["given_label"].tolist()
    assert given[2] == "cat" and evidence.labels.tolist()[2] == 0


def test_copies_are_compared_by_their_consensus() -> None:
    labels = [["cat", "cat", "dog"], ["cat", "cat", "cat"], ["dog", "dog", "dog"]]
    evidence = disputed(labels)
    groups = evidence.groups.copy()
    groups.loc[[0, 1], "group_id"], groups.loc[[0, 1], "kind"] = evidence.ids[0], "reencoded"
    evidence.__dict__["groups"] = groups
    found = find_label_conflicts(settle_labels(evidence))
    assert found["is_issue"].tolist() == [True, False, False]  # its own voters; the copies agree
    groups.loc[2, "group_id"] = evidence.ids[0]
    found = find_label_conflicts(settle_labels(replace_groups(evidence, groups)))
    assert found["is_issue"].all() and found["evidence"].str.contains("2 x cat, 1 x dog").all()


def replace_groups(evidence: Evidence, groups: pd.DataFrame) -> Evidence:
    fresh = replace(evidence)
    fresh.__dict__["groups"] = groups
    return fresh


def test_many_voters_are_counted_and_equal_names_told_apart() -> None:
    people = ("csv:ann", "app:ann", *(f"csv:p{number}" for number in range(6)))
    evidence = settle_labels(disputed([["dog", "cat", "cat", "cat", "cat", "cat", "cat", "cat"]], people))
    sentence = find_label_conflicts(evidence)["evidence"].iloc[0]
    assert sentence.startswith("app:ann: cat, csv:ann: dog, p0: cat, p1: cat, p2: cat, p3: cat, 2 more; p(cat)=")


def test_what_people_state_is_learnt_and_what_they_drop_is_not() -> None:
    labels = ["cat"] * 10 + ["dog"] * 10
    evidence = replace(
        gather(labels, two_crowds(10)), stated={f"{0:020x}": "dog", f"{1:020x}": "", f"{2:020x}": "gone"}
    )
    assert evidence.labels.tolist() == [1, -1, -1, *[0] * 7, *[1] * 10]
    assert evidence.given.tolist() == [0] * 10 + [1] * 10


def decision(number: int, action: str, label: str = "", tool: str = "decide") -> Decision:
    return Decision(actor="me", tool=tool, sample_id=f"{number:020x}", action=action, label=label)  # type: ignore[arg-type]


def test_stated_labels_are_those_of_people() -> None:
    made = [
        decision(0, "relabel", "dog"),
        decision(1, "keep", "cat"),
        decision(2, "drop"),
        decision(3, "relabel", "dog", "policy"),
        decision(4, "drop"), decision(4, "undrop"),
        decision(5, "relabel", "dog"), decision(5, "drop"),
    ]  # fmt: skip
    assert stated_labels(made) == {f"{0:020x}": "dog", f"{1:020x}": "cat", f"{2:020x}": "", f"{5:020x}": ""}


def write_votes_csv(folder: Path, count: int = 12) -> Path:
    """Shapes with a CSV of three annotators: the third errs on every third image, and on the first two tie."""
    write_shapes(folder, count)
    lines = ["path,label,annotator"]
    for label, other in (("disc", "square"), ("square", "disc")):
        for number in range(count):
            path = f"{label}/{number:03d}.jpg"
            said = {"ann": label, "bob": label, "cem": other if number % 3 == 0 else label}
            if number == 0:
                said = {"ann": label, "cem": other}
            lines += [f"{path},{one},{name}" for name, one in said.items()]
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder / "labels.csv"


@pytest.fixture
def annotated(tmp_path: Path, make_dataset: Callable[..., tuple[DatasetFolder, Spec]]) -> tuple[DatasetFolder, Spec]:
    dataset, spec = make_dataset(write_votes_csv(tmp_path / "images"))
    scan = scan_dataset(dataset, spec)
    # Embeddings by hand: the two shapes far apart.
    is_disc = scan.samples["path"].str.startswith("disc").to_numpy()
    points = np.where(is_disc[:, None], [1.0, 0, 0], [0, 1.0, 0]) + np.random.default_rng(0).normal(0, 0.1, (24, 3))
    np.save(dataset.path / "points.npy", points.astype(np.float32))
    (dataset.path / "points.txt").write_text("".join(f"{one}\n" for one in scan.samples["sample_id"]))
    audit = spec.audit.model_copy(update={"embedding": "points.npy", "skip": ["near_duplicate", "outlier"]})
    return dataset, spec.model_copy(update={"audit": audit})


def test_the_audit_settles_ties_and_the_scan_says_so_until_the_votes_change(annotated) -> None:  # type: ignore[no-untyped-def]
    dataset, spec = annotated
    before = read_scan(dataset).samples.set_index("path")["given_label"]
    assert (before == "").sum() == 2
    audit_dataset(dataset, spec)
    scan = read_scan(dataset)
    after = scan.samples.set_index("path")["given_label"]
    assert after["disc/000.jpg"] == "disc" and after["square/000.jpg"] == "square"
    assert after.drop(["disc/000.jpg", "square/000.jpg"]).equals(before.drop(["disc/000.jpg", "square/000.jpg"]))
    assert len(read_consensus(dataset, scan.votes)) == 24
    assert len(build_version(dataset, spec).manifest) == 24
    written = (dataset.cache / "findings.parquet").stat().st_mtime_ns
    audit_dataset(dataset, spec)  # its own consensus is no news to it
    assert (dataset.cache / "findings.parquet").stat().st_mtime_ns == written
    fewer = scan.votes[scan.votes["voter"] != "csv:bob"]
    assert len(read_consensus(dataset, fewer)) == 0
    pd.testing.assert_frame_equal(overlay_consensus(dataset, scan.samples, fewer), scan.samples)


def soft_labels_of(dataset: DatasetFolder, version: str) -> pd.DataFrame:
    soft_labels = read_soft_labels(dataset, version)
    assert soft_labels is not None
    return soft_labels.set_index("sample_id")


def test_a_version_carries_shares_where_the_spec_wants_them(annotated) -> None:  # type: ignore[no-untyped-def]
    dataset, spec = annotated
    audit_dataset(dataset, spec)
    hard = build_version(dataset, spec)
    wants = spec.model_copy(update={"train": Train(labels="shares")})
    soft = build_version(dataset, wants)
    assert soft.is_new and soft.digest != hard.digest and soft.manifest.equals(hard.manifest)
    assert read_soft_labels(dataset, hard.id) is None
    paths = read_scan(dataset).samples.set_index("path")["sample_id"]
    soft_labels = soft_labels_of(dataset, soft.id)
    assert soft_labels.index.tolist() == soft.manifest["sample_id"].tolist()
    assert soft_labels.loc[paths["disc/000.jpg"]].tolist() == [0.5, 0.5]
    assert soft_labels.loc[paths["square/003.jpg"]].round(3).tolist() == [0.333, 0.667]
    assert not build_version(dataset, wants).is_new
    decide_sample(dataset, spec, paths["disc/000.jpg"], "keep")
    third = build_version(dataset, wants)  # the same labels, but what was in doubt is certain now
    assert third.is_new and third.manifest[["label", "split"]].equals(soft.manifest[["label", "split"]])
    assert soft_labels_of(dataset, third.id).loc[paths["disc/000.jpg"]].tolist() == [1, 0]
    assert build_version(dataset, spec).digest == hard.digest


def test_one_voter_leaves_the_scan_as_it_is(grouped) -> None:  # type: ignore[no-untyped-def]
    dataset, spec, scan = grouped
    write_consensus(dataset, empty(CONSENSUS), scan.votes)
    pd.testing.assert_frame_equal(read_scan(dataset).samples, scan.samples)
    assert len(tabulate_annotators(dataset, spec)) == 0


def test_review_teaches_the_audit_and_the_policy_does_not(annotated) -> None:  # type: ignore[no-untyped-def]
    dataset, spec = annotated
    audit_dataset(dataset, spec)
    first = pd.read_parquet(dataset.cache / "pred_probs.parquet")
    stamp = (dataset.cache / "findings.parquet").stat().st_mtime_ns
    ids = first["sample_id"]
    append_decisions(dataset.decisions, [Decision(actor="policy", tool="policy", sample_id=ids[3], action="drop")])
    apply_policy(dataset, spec)
    audit_dataset(dataset, spec)
    assert (dataset.cache / "findings.parquet").stat().st_mtime_ns == stamp
    decide_sample(dataset, spec, ids[0], "drop")
    audit_dataset(dataset, spec)
    again = pd.read_parquet(dataset.cache / "pred_probs.parquet")
    assert not again.equals(first)
    decide_sample(dataset, spec, ids[0], "undrop")
    audit_dataset(dataset, spec)
    pd.testing.assert_frame_equal(pd.read_parquet(dataset.cache / "pred_probs.parquet"), first)


def test_annotators_from_the_command_line(annotated) -> None:  # type: ignore[no-untyped-def]
    dataset, spec = annotated
    alone = tabulate_annotators(dataset, spec)
    assert alone["annotator"].tolist() == ["csv:ann", "csv:bob", "csv:cem"]  # not audited yet: no model
    audit_dataset(dataset, spec)
    assert all(note.startswith(("shortcut:", "weak_slice:", "off_topic:")) for note in read_notes(dataset)), (
        "too few for these, not for CROWDLAB"
    )
    said = json.loads(curate("annotators", dataset.path, "--json").stdout)
    rows = {row["annotator"]: row for row in said["annotators"]}
    assert list(rows) == ["csv:bob", "csv:ann", "csv:cem", MODEL] or list(rows)[2:] == ["csv:cem", MODEL]
    assert rows["csv:cem"]["shared"] == 24 and rows["csv:cem"]["agreement"] == pytest.approx(16 / 24, abs=1e-6)
    assert said["advice"].startswith("csv:cem agrees with the consensus on 67 % of 24 samples and said")


def test_annotators_with_nothing_to_compare_say_so(grouped) -> None:  # type: ignore[no-untyped-def]
    dataset, _, _ = grouped
    assert "No sample was labelled by two people" in curate("annotators", dataset.path).stdout
    (dataset.cache / "samples.parquet").unlink()
    assert "curate scan" in curate("annotators", dataset.path, "--no-deps", code=2).stderr


def test_too_many_voters_are_left_to_the_majority(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curate.audit.evidence.crowdlab.LARGEST", 10)
    evidence = disputed([["cat", "dog", "dog"]])
    assert settle_labels(evidence) is evidence and "too many voters" in evidence.notes[-1]


def test_probabilities_of_other_classes_are_not_used(annotated) -> None:  # type: ignore[no-untyped-def]
    dataset, spec = annotated
    audit_dataset(dataset, spec)
    more = spec.model_copy(update={"classes": {**spec.classes, "star": ""}})
    assert MODEL in set(tabulate_annotators(dataset, spec)["annotator"])
    assert MODEL not in set(tabulate_annotators(dataset, more)["annotator"])


def test_advice_needs_enough_and_names_the_worst() -> None:
    row = {"annotator": "a", "shared": 100, "agreement": 0.95, "consensus": "cat", "said": "dog", "times": 5}
    assert advise(pd.DataFrame([row])).endswith("nobody stands out.")
    assert advise(pd.DataFrame([row | {"shared": 19}])).startswith("Nobody shares 20 samples")
    assert advise(pd.DataFrame([row])[:0]) == ""
