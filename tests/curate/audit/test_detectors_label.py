"""Wrong and disputed labels: found by hand-made embeddings, without any picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from curate.audit.detectors.label_conflict import find_label_conflicts
from curate.audit.detectors.label_error import find_kinds, find_label_errors, find_several
from curate.audit.evidence.evidence import Evidence
from curate.spec.model import Source, Spec
from curate.storage.tables import SAMPLES, VOTES, empty, shaped


def gather(labels: Sequence[str], places: np.ndarray, classes: Sequence[str] = ("cat", "dog")) -> Evidence:
    """Evidence of samples without copies, whose embeddings are ``places`` ``(N, D)`` and whose labels are given."""
    ids = [f"{number:020x}" for number in range(len(labels))]
    blank = {name: {"str": "", "bool": False}.get(kind, 0) for name, kind in SAMPLES.items() if name != "sample_id"}
    samples = pd.DataFrame({"sample_id": ids, **blank}).assign(given_label=list(labels), path=ids, pixel_hash=ids)
    votes = pd.DataFrame({"sample_id": ids, "label": labels, "voter": "folder", "path": ids, "share": 1.0, "time": ""})
    spec = Spec(name="t", classes=dict.fromkeys(classes, ""), sources=[Source(path="images")])
    unit = places / np.maximum(np.linalg.norm(places, axis=1, keepdims=True), 1e-9)
    votes = shaped(votes[votes["label"] != ""], VOTES) if len(ids) else empty(VOTES)
    evidence = Evidence(spec, shaped(samples, SAMPLES), votes, lambda _: unit.astype(np.float32), lambda _: {})
    none = {"sample_id": ids, "group_id": ids, "kind": "", "keeper": ids, "similarity": 0.0, "closest": ids}
    evidence.__dict__["groups"] = pd.DataFrame(none)
    return evidence


def two_crowds(count: int) -> np.ndarray:
    """``count`` points around each of two far directions of eight."""
    centres = np.repeat(np.eye(8)[:2], count, axis=0)
    return centres + np.random.default_rng(0).normal(scale=0.05, size=centres.shape)


def test_a_label_among_the_others_is_an_error_and_evidence_says_why() -> None:
    labels = ["cat"] * 30 + ["dog"] * 30
    labels[3] = "dog"
    found = find_label_errors(gather(labels, two_crowds(30))).set_index("sample_id")
    issues = found[found["is_issue"]]
    assert issues.index.tolist() == [f"{3:020x}"]
    assert issues["suggested_label"].tolist() == ["cat"]
    assert issues["suggested_action"].tolist() == ["relabel"]
    assert found["score"].idxmin() == f"{3:020x}"
    assert issues["evidence"].iloc[0].startswith("wrong class: 10 of its 10 nearest neighbours are cat; p(cat)=")


def test_probabilities_come_from_models_that_saw_no_copy() -> None:
    """Thirty dogs and one wrong label, there ten times: without groups its copies would vouch for it."""
    labels = ["cat"] * 30 + ["dog"] * 30
    places = two_crowds(30)
    labels[:10], places[:10] = ["dog"] * 10, places[0]
    evidence = gather(labels, places)
    groups = evidence.groups.copy()
    groups.loc[:9, "group_id"] = groups["group_id"].iloc[0]
    evidence.__dict__["groups"] = groups
    assert find_label_errors(evidence)["score"].iloc[:10].max() < 0.5


def test_unlabelled_rows_get_probabilities_but_no_finding() -> None:
    labels = ["cat"] * 10 + ["dog"] * 10
    labels[0] = ""
    evidence = gather(labels, two_crowds(10))
    assert len(find_label_errors(evidence)) == 19
    probs = evidence.pred_probs
    assert probs is not None and probs[0].argmax() == 0
    assert np.allclose(probs.sum(axis=1), 1, atol=1e-4)


def test_too_little_gives_no_rows_and_a_note() -> None:
    for labels in ([], ["cat"], ["cat"] * 5, ["", "", ""], ["cat"] * 4 + ["dog"]):
        evidence = gather(labels, two_crowds(5)[: len(labels)])
        assert not len(find_label_errors(evidence))
        assert "label_error" in evidence.notes[-1]


def test_a_class_of_one_is_left_out_and_the_others_are_scored() -> None:
    evidence = gather(["cat"] * 6 + ["dog"] * 5 + ["owl"], two_crowds(6), ("cat", "dog", "owl"))
    assert len(find_label_errors(evidence)) == 11
    assert evidence.notes == ["label_error: 1 classes have fewer than 2 distinct samples (owl)."]


def test_classes_of_two_and_three_samples() -> None:
    labels = ["cat"] * 7 + ["dog"] * 3 + ["owl"] * 2
    assert len(find_label_errors(gather(labels, two_crowds(6), ("cat", "dog", "owl")))) == 12


def test_many_classes() -> None:
    classes = [f"class {number}" for number in range(200)]
    places = np.repeat(np.eye(200), 3, axis=0) + np.random.default_rng(0).normal(scale=0.01, size=(600, 200))
    found = find_label_errors(gather(np.repeat(classes, 3).tolist(), places, classes))
    assert len(found) == 600 and not found["is_issue"].any()


def test_two_votes_that_differ_are_a_conflict_and_the_picture_decides() -> None:
    labels = [""] + ["cat"] * 9 + ["dog"] * 10
    evidence = gather(labels, two_crowds(10))
    own = pd.DataFrame({"sample_id": [evidence.ids[0]] * 2, "label": ["cat", "dog"], "voter": "folder", "path": "x"})
    disputed = Evidence(
        evidence.spec, evidence.samples, pd.concat([evidence.votes, own]), evidence.embed, evidence.read_thumbnails
    )
    disputed.__dict__["groups"] = evidence.groups
    found = find_label_conflicts(disputed)
    assert found["sample_id"].tolist() == [evidence.ids[0]]
    assert found["score"].tolist() == [0] and found["is_issue"].tolist() == [True]
    assert found["suggested_label"].tolist() == ["cat"] and found["suggested_action"].tolist() == ["relabel"]
    assert "labelled 1 x cat, 1 x dog; p(cat)=" in found["evidence"].iloc[0]


def test_near_copies_with_different_labels_are_a_conflict_of_both() -> None:
    evidence = gather(["cat"] * 10 + ["dog"] * 10, two_crowds(10))
    groups = evidence.groups.copy()
    groups.loc[[0, 1, 10], "group_id"] = evidence.ids[0]
    groups.loc[[0, 1, 10], "kind"] = "reencoded"
    evidence.__dict__["groups"] = groups
    found = find_label_conflicts(evidence)
    assert found["sample_id"].tolist() == [evidence.ids[row] for row in (0, 1, 10)]
    assert found["score"].round(3).tolist() == [0.333] * 3
    assert found["suggested_action"].tolist() == ["keep", "keep", "relabel"]
    assert set(found["group_id"]) == {evidence.ids[0]}


def test_parts_of_different_classes_are_several_classes_in_view() -> None:
    labels = ["cat"] * 30 + ["dog"] * 30
    labels[3] = labels[4] = "dog"
    evidence = gather(labels, two_crowds(30))
    cat, dog = evidence.embeddings[10], evidence.embeddings[40]
    names = ("left", "right", "top", "bottom", "top left", "top right", "bottom left", "bottom right")
    whole = {name: np.stack([cat, cat]) for name in names}
    parts = {**whole, "right": np.stack([dog, cat])}
    seen = replace(evidence, embed_crops=lambda ids: {name: parts[name][: len(ids)] for name in names})
    seen.__dict__["groups"] = evidence.groups
    assert find_several(seen, np.array([3, 4])).tolist() == [True, False]
    assert find_several(evidence, np.array([3, 4])).tolist() == [False, False]  # saved vectors know no parts


def test_a_suspect_without_company_shows_none_of_the_classes() -> None:
    labels = ["cat"] * 30 + ["dog"] * 30
    places = two_crowds(30)
    labels[3] = "dog"
    found = find_label_errors(gather(labels, places)).set_index("sample_id")
    assert found.loc[f"{3:020x}", ["kind", "suggested_action"]].tolist() == ["wrong class", "relabel"]
    alone = np.concatenate([places, np.zeros((60, 1))], axis=1)
    alone[3] = [*places[3], 2.0]  # on the cats' side, but further from all of them than they are from each other
    kinds = find_kinds(gather(labels, alone), np.array([3, 5]), np.array([0.1, 0.2]))
    assert kinds.tolist() == ["none of the classes", "wrong class"]


def test_labels_that_were_all_decided_and_none_given_are_no_suspects() -> None:
    labels = ["cat"] * 30 + ["dog"] * 30
    blank = gather([""] * 60, two_crowds(30))
    evidence = replace(blank, stated=dict(zip(blank.ids, labels, strict=True)))
    evidence.__dict__["groups"] = blank.groups
    assert evidence.pred_probs is not None
    assert find_label_errors(evidence).empty
