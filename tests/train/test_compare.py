"""Evaluating and comparing: left-out samples, flips, verdicts, predictions from the table and computed."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest

from curate.storage.files import Problem
from curate.versions.read import read_manifest
from curate.versions.training_samples import is_copy_of
from tests.train.conftest import SPEC, Trained, write_version
from train.compare import compare_models, compare_probabilities, find_flips
from train.evaluate import evaluate_model
from train.predict import predict_samples


def test_evaluation_repeats_the_record(trained: Trained) -> None:
    found = evaluate_model(trained.dataset, SPEC, "m2")
    kept = trained.runs["m2"]["metrics"]["test"]
    assert {key: found[key] for key in kept} == kept
    assert (found["version"], found["split"], found["left_out"]) == ("v2", "test", 0)
    assert evaluate_model(trained.dataset, SPEC, "m2", split="train")["n"] == 72


def test_classes_come_in_the_order_of_the_spec(trained: Trained) -> None:
    turned = SPEC.model_copy(update={"classes": {"square": "", "other": "", "disc": ""}})
    found = evaluate_model(trained.dataset, turned, "m2")
    assert found["classes"] == ["square", "disc"]
    assert found["accuracy"] == trained.runs["m2"]["metrics"]["test"]["accuracy"]
    assert found["log_loss"] == pytest.approx(trained.runs["m2"]["metrics"]["test"]["log_loss"])
    assert [row["class"] for row in compare_models(trained.dataset, turned, "m1", "m2")["per_class"]] == [
        "square",
        "disc",
    ]


def test_samples_the_model_was_trained_on_are_left_out_and_counted(trained: Trained) -> None:
    found = evaluate_model(trained.dataset, SPEC, "m1", version="v2")
    assert (found["n"], found["left_out"]) == (21, 3)
    with pytest.raises(Problem, match="all 72 shaped it"):
        evaluate_model(trained.dataset, SPEC, "m1", version="v2", split="train")


def test_predictions_are_the_same_from_the_table_and_computed(fresh: Trained) -> None:
    ids = list(read_manifest(fresh.dataset, "v2")["sample_id"])[:10]
    kept = predict_samples(fresh.dataset, "m2", ids[::-1])
    path = fresh.dataset.models / "m2" / "predictions.parquet"
    table = pd.read_parquet(path)
    table[~table["sample_id"].isin(ids[:6])].to_parquet(path)
    assert np.allclose(predict_samples(fresh.dataset, "m2", ids[::-1], device="cpu"), kept, atol=2e-2)
    cached = list(fresh.dataset.cache.glob("predictions-*/*.parquet"))
    assert len(pd.read_parquet(cached[0])) == 6
    predict_samples(fresh.dataset, "m2", ids, device="cpu")
    assert list(fresh.dataset.cache.glob("predictions-*/*.parquet")) == cached


def test_comparison_of_a_model_of_wrong_labels_with_one_of_right_labels(trained: Trained) -> None:
    found = compare_models(trained.dataset, SPEC, "m1", "m2")
    assert found["truth"]["version"] == "v2" and (found["truth"]["n"], found["truth"]["left_out"]) == (21, 3)
    assert found["versions"] == {"m1": "v1", "m2": "v2"}
    kinds = [flip["kind"] for flip in found["flips"]]
    assert kinds.count("fixed") == found["mcnemar"]["fixed"] and kinds.count("broken") == found["mcnemar"]["broken"]
    gap = found["accuracy"]["m2"]["value"] - found["accuracy"]["m1"]["value"]
    assert found["difference"]["value"] == pytest.approx(gap)
    assert [row["class"] for row in found["per_class"]] == ["disc", "square"]
    assert set(found["per_class"][0]) == {"class", "support", "m1", "m2"}
    assert json.loads(json.dumps(found)) == found
    back = compare_models(trained.dataset, SPEC, "m2", "m1")
    assert back["difference"]["value"] == -found["difference"]["value"]


def test_model_against_itself_cannot_be_told(trained: Trained) -> None:
    found = compare_models(trained.dataset, SPEC, "m2", "m2")
    assert found["flips"] == [] and found["better"] is None and found["needed_samples"] is None
    assert found["verdict"].startswith("Cannot tell m2 from m2") and found["verdict"].endswith("equally often.")


def sure_of(labels: np.ndarray) -> np.ndarray:
    return np.eye(2)[labels] * 0.8 + 0.1


def test_verdicts() -> None:
    truth = np.zeros(400, int)
    first, second = truth.copy(), truth.copy()
    first[:14], second[20:23] = 1, 1
    better = compare_probabilities(truth, sure_of(first), sure_of(second), ["a", "b"], ("m1", "m2"), "v2")
    words = re.sub(r"interval \S+ to \S+\)", "interval)", better["verdict"])
    assert words == (
        "m2 is better than m1: accuracy 0.965 -> 0.993 on 400 test samples of v2 (+2.8 points, 95 % interval), "
        "14 fixed, 3 broken, McNemar p = 0.013."
    )
    assert better["better"] == "m2" and better["needed_samples"] is None
    assert 0 < better["difference"]["low"] < 0.0275 < better["difference"]["high"]
    worse = compare_probabilities(truth, sure_of(second), sure_of(first), ["a", "b"], ("m1", "m2"))
    assert worse["verdict"].startswith("m2 is worse than m1") and worse["better"] == "m1"
    first[5:14] = 0
    unsure = compare_probabilities(truth, sure_of(first), sure_of(second), ["a", "b"], ("m1", "m2"))
    assert unsure["verdict"].startswith("Cannot tell") and unsure["needed_samples"] > 400
    assert f"{unsure['needed_samples']:,} test samples would be needed" in unsure["verdict"]


def test_flips_by_hand() -> None:
    rows = pd.DataFrame({"sample_id": list("abcd"), "path": ["a.png", "b.png", "c.png", "d.png"]})
    truth = np.array([0, 0, 1, 1])
    first = np.array([[0.2, 0.7, 0.1], [0.9, 0.1, 0], [0.8, 0.1, 0.1], [0, 1, 0]])
    second = np.array([[0.6, 0.4, 0], [0.3, 0.3, 0.4], [0.1, 0.2, 0.7], [0, 1, 0]])
    flips = find_flips(rows, truth, first, second, ["cat", "dog", "owl"])
    assert [(one["sample_id"], one["kind"], one["before"], one["after"]) for one in flips] == [
        ("a", "fixed", "dog", "cat"),
        ("b", "broken", "cat", "owl"),
        ("c", "changed", "cat", "owl"),
    ]
    assert (flips[0]["p_before"], flips[0]["p_after"], flips[0]["label"]) == (0.7, 0.6, "cat")


def test_truth_with_another_class_is_a_problem(fresh: Trained) -> None:
    rows = read_manifest(fresh.dataset, "v2")
    rows.loc[rows.index[rows["split"] == "test"][-1], "label"] = "star"
    write_version(fresh.dataset, "v3", rows)
    with pytest.raises(Problem, match="star"):
        evaluate_model(fresh.dataset, SPEC, "m2", version="v3")
    with pytest.raises(Problem, match="star"):
        compare_models(fresh.dataset, SPEC, "m1", "m2", version="v3")


def test_no_unseen_test_sample_is_a_problem(fresh: Trained) -> None:
    rows = read_manifest(fresh.dataset, "v2")
    write_version(fresh.dataset, "v3", rows[rows["split"] == "train"].assign(split="test"))
    with pytest.raises(Problem, match="all 72 were seen"):
        compare_models(fresh.dataset, SPEC, "m1", "m2", version="v3")
    with pytest.raises(Problem, match="split"):
        evaluate_model(fresh.dataset, SPEC, "m2", split="tests")


def test_near_copies_of_what_was_seen_are_seen() -> None:
    manifest = pd.DataFrame({"sample_id": ["a", "b", "c"], "group_id": ["a", "a", "c"]})
    assert is_copy_of(manifest, {"b", "gone"}).tolist() == [True, True, False]
