"""Accuracy with and without leaked test samples."""

import json

import numpy as np
import pytest

from curate.storage.tables import write_table
from tests.conftest import curate
from tests.train.conftest import Trained
from train.leaks import collect_leaks, compare_without, leak_sentence, score_without
from train.models import read_predictions


def test_by_hand():
    right = np.array([True] * 8 + [False] * 2)
    leaked = np.array([True] * 4 + [False] * 6)
    found = compare_without(right, leaked)
    assert (found["n"], found["leaked"]) == (10, 4)
    assert found["all"]["value"] == 0.8 and found["without"]["value"] == pytest.approx(4 / 6)
    gap = found["difference"]
    assert gap["value"] == pytest.approx(4 / 6 - 0.8) and gap["low"] < gap["value"] < gap["high"]


def test_the_interval_is_that_of_a_plain_bootstrap():
    rng = np.random.default_rng(3)
    right, leaked = rng.random(400) < 0.8, rng.random(400) < 0.1
    gaps = []
    for _ in range(3000):
        draw = rng.integers(0, 400, 400)
        gaps.append(right[draw][~leaked[draw]].mean() - right[draw].mean())
    gap = compare_without(right, leaked)["difference"]
    assert [gap["low"], gap["high"]] == pytest.approx(np.quantile(gaps, [0.025, 0.975]), abs=0.003)


@pytest.mark.parametrize("leaked", [[True, True], [False, False]])
def test_all_or_none_leaked(leaked):
    found = compare_without(np.array([True, False]), np.array(leaked))
    assert found["without"]["value"] == (None if leaked[0] else 0.5)
    assert found["difference"]["value"] == (None if leaked[0] else 0.0)


def test_a_model_is_scored_without_copies_that_a_later_audit_found(fresh: Trained):
    """Two test images turn out to be copies of training images: the version leaks, and its score says so."""
    table = read_predictions(fresh.dataset, "m2")
    test, train = (table.loc[table["split"] == split, "sample_id"].tolist() for split in ("test", "train"))
    groups = table[["sample_id"]].assign(group_id=table["sample_id"])
    groups.loc[groups["sample_id"].isin([*test[:2], train[0]]), "group_id"] = train[0]
    write_table(fresh.dataset.cache / "groups.parquet", groups)
    (row,) = collect_leaks(fresh.dataset, ["m2"])
    assert row["where"] == "are in train or val of v2" and (row["n"], row["leaked"]) == (len(test), 2)
    assert row["model"] == "m2" and "2 of 24 test images of v2 have copies" in leak_sentence(row)
    assert score_without(fresh.dataset, "m2", {train[0]}) is None
    fresh.dataset.spec.write_text("name: shapes\nclasses: [disc, square]\nsources: [{path: images}]\n")
    assert "2 of 24 test images" in curate("evaluate", fresh.dataset.path, "m2").stdout
    assert json.loads(curate("evaluate", fresh.dataset.path, "m2", "--json").stdout)["leaks"][0]["leaked"] == 2
