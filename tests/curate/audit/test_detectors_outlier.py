"""Unusual pictures and pictures of something else: found by hand-made embeddings, without any picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from curate.audit.detectors.label_error import find_label_errors
from curate.audit.detectors.off_topic import find_off_topic
from curate.audit.detectors.outlier import compute_company, find_outliers
from curate.audit.evidence.evidence import Evidence
from curate.audit.evidence.ordinary import measure_ordinary
from curate.audit.evidence.strangers import compare_with_cores, find_cores
from tests.curate.audit.test_detectors_label import gather

WIDTH = 40
NAMES = ("cat", "dog")


def crowds(sizes: Sequence[int], spread: float = 0.2, seed: int = 0) -> np.ndarray:
    """``sizes`` points around as many of the first directions of ``WIDTH``, each with its own luck."""
    centres = np.repeat(np.eye(WIDTH)[: len(sizes)], sizes, axis=0)
    return centres + np.random.default_rng(seed).normal(scale=spread, size=centres.shape)


def strangers(count: int) -> np.ndarray:
    """Points that lie on none of the first directions and far from each other."""
    return np.eye(WIDTH)[10 : 10 + count] + np.random.default_rng(9).normal(scale=0.05, size=(count, WIDTH))


def with_strangers(others: np.ndarray, size: int = 100) -> Evidence:
    labels = ["cat"] * size + ["dog"] * size + [NAMES[place % 2] for place in range(len(others))]
    return gather(labels, np.concatenate([crowds([size, size]), others]))


def flagged(evidence: Evidence) -> list[int]:
    return np.flatnonzero(find_off_topic(evidence)["is_issue"]).tolist()


def changed(evidence: Evidence, **fields: object) -> Evidence:
    new = replace(evidence, **fields)  # type: ignore[arg-type]
    new.__dict__["groups"] = evidence.groups
    return new


def test_company_by_hand() -> None:
    """Rows 0 to 2 are 0.9 like each other; row 3 is 0.5 like them."""
    indices = np.array([[1, 2], [0, 2], [0, 1], [0, 1]])
    similarities = np.array([[0.9, 0.9]] * 3 + [[0.5, 0.5]])
    likeness, others = compute_company(indices, similarities, np.arange(4))
    assert likeness.tolist() == [0.9, 0.9, 0.9, 0.5]
    assert others.round(6).tolist() == [0.9, 0.9, 0.9, 0.9]


def test_a_copy_is_no_company() -> None:
    indices = np.array([[1, 2], [0, 2], [3, 0], [2, 0]])
    similarities = np.array([[1.0, 0.2], [1.0, 0.2], [0.9, 0.2], [0.9, 0.2]])
    likeness, _ = compute_company(indices, similarities, np.array([0, 0, 2, 3]))
    assert likeness[0] == pytest.approx(0.2)


def test_what_is_ordinary_is_told_from_what_is_not() -> None:
    """A tenth of the values lies far above: the rest is measured as if they were not there."""
    values = np.random.default_rng(0).normal(3, 2, 5_000)
    middle, spread = measure_ordinary(np.append(values, np.full(500, 40.0)))
    assert (middle, spread) == (pytest.approx(3, abs=0.15), pytest.approx(2, abs=0.15))


def test_alike_values_are_all_ordinary() -> None:
    assert measure_ordinary(np.ones(5)) == (1.0, 0.02)


def test_strangers_are_off_topic_and_none_of_the_others_is() -> None:
    found = find_off_topic(with_strangers(strangers(6)))
    assert np.flatnonzero(found["is_issue"]).tolist() == list(range(200, 206))
    assert set(found["suggested_action"].iloc[200:]) == {"drop"} and set(found["suggested_action"].iloc[:200]) == {""}
    assert found["score"].between(0, 1).all()
    assert (
        found["evidence"].iloc[200].startswith("most like ")
        and "like the nearest of them" in found["evidence"].iloc[200]
    )


def test_strangers_are_no_company_for_each_other() -> None:
    """Twenty pictures of one car, half of them labelled cat, are a tenth of the dataset."""
    cars = np.eye(WIDTH)[[12] * 20] + np.random.default_rng(1).normal(scale=0.03, size=(20, WIDTH))
    assert flagged(with_strangers(cars)) == list(range(200, 220))


def test_clean_sets_raise_next_to_nothing() -> None:
    counts = [len(flagged(gather(["cat"] * 60 + ["dog"] * 60, crowds([60, 60], seed=seed)))) for seed in range(10)]
    assert sum(counts) <= 10 and max(counts) <= 2


def test_the_verdict_holds_for_any_scale_of_similarities_and_more_images() -> None:
    """A second embedding that finds everything alike, as joined ones do, and four times as many good images."""
    evidence = with_strangers(strangers(6))
    constant = np.concatenate([evidence.embeddings, np.full((206, 1), 1.5)], axis=1)
    assert flagged(gather(list(evidence.readable["given_label"]), constant)) == list(range(200, 206))
    assert flagged(with_strangers(strangers(6), size=400))[-6:] == list(range(800, 806))


def test_wrong_labels_make_nobody_a_stranger() -> None:
    evidence = with_strangers(strangers(4))
    labels = np.array(evidence.readable["given_label"])
    turned = np.random.default_rng(0).choice(200, 50, replace=False)
    labels[turned] = np.where(labels[turned] == "cat", "dog", "cat")
    found = set(flagged(gather(list(labels), evidence.embeddings)))
    assert set(range(200, 204)) <= found and len(found) <= 5


def test_distances_are_those_of_a_plain_loop() -> None:
    points = crowds([30, 40], seed=3)
    points = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    kinds, groups = np.repeat([0, 1], [30, 40]), np.arange(70)
    groups[1] = groups[0]
    cores = find_cores(points, kinds, groups)
    table = compare_with_cores(cores, points, groups)
    for row in (0, 1, 5, 50, 69):
        spreads = []
        for core in cores:

            def apart(one: int, core=core) -> tuple[float, list[int]]:
                alike = {
                    other: float(points[one] @ points[other]) for other in core.rows if groups[other] != groups[one]
                }
                nearest = sorted(alike, key=alike.__getitem__)[-core.near :]
                return 1 - float(np.mean([alike[other] for other in nearest])), nearest

            own, nearest = apart(row)
            ratio = np.log(own / np.mean([apart(other)[0] for other in nearest]))
            spreads.append((ratio - core.middle) / core.spread)
        assert table["whole"][row] == pytest.approx(min(spreads), abs=1e-3)


def test_one_class_and_no_labels_at_all_are_enough() -> None:
    points = np.concatenate([crowds([60]), strangers(2)])
    assert flagged(gather(["cat"] * 62, points, ("cat",)))[-2:] == [60, 61]
    assert flagged(gather([""] * 62, points))[-2:] == [60, 61]


def test_classes_too_small_to_be_known_are_not_judged_and_it_is_said() -> None:
    points = np.concatenate([crowds([60, 60]), strangers(3)])
    evidence = gather(["cat"] * 60 + ["dog"] * 60 + ["emu"] * 3, points, ("cat", "dog", "emu"))
    found = find_off_topic(evidence)
    assert found["score"].iloc[120:].tolist() == [1, 1, 1] and not found["is_issue"].iloc[120:].any()
    assert any("3 of 123 samples are not judged" in note for note in evidence.notes)


def test_what_people_left_out_is_no_class_but_is_judged() -> None:
    blank = gather(["cat"] * 60 + [""] * 12, np.concatenate([crowds([60]), np.eye(WIDTH)[[12] * 12] + 0.001]))
    assert not set(flagged(blank)) & set(range(60, 72))  # twelve alike without a label might be a class
    left_out = changed(blank, stated={blank.ids[row]: "" for row in range(60, 72)})
    assert set(range(60, 72)) <= set(flagged(left_out))


def test_a_part_that_shows_a_class_makes_it_no_stranger() -> None:
    evidence = with_strangers(strangers(2))
    cat = evidence.embeddings[0]

    def parts(ids: Sequence[str]) -> dict[str, np.ndarray]:
        """The parts of the second stranger show what it shows as a whole, those of all others a cat."""
        rows = [int(one, 16) for one in ids]
        return {"left": np.stack([evidence.embeddings[row] if row == 201 else cat for row in rows])}

    seen = changed(evidence, embed_crops=parts)
    found = find_off_topic(seen)
    assert np.flatnonzero(found["is_issue"]).tolist() == [201]
    assert "a part of it is more like them" in found["evidence"].iloc[200]
    assert "no part of it" in found["evidence"].iloc[201]


def test_without_suspects_no_parts_are_asked_for() -> None:
    asked: list[Sequence[str]] = []
    evidence = gather(["cat"] * 40, np.ones((40, 3)))

    def parts(ids: Sequence[str]) -> dict[str, np.ndarray]:
        asked.append(ids)
        return {"left": np.ones((len(ids), 3))}

    find_off_topic(changed(evidence, embed_crops=parts))
    assert not asked


def test_a_stranger_is_no_outlier_and_no_other_class_is_proposed_for_it() -> None:
    evidence = with_strangers(strangers(6))
    outliers = find_outliers(evidence)
    assert not outliers["is_issue"].iloc[200:].any() and set(outliers["suggested_action"]) == {""}
    errors = find_label_errors(evidence).set_index("sample_id")
    kinds = errors.loc[[evidence.ids[row] for row in range(200, 206)]].query("is_issue")["kind"]
    assert set(kinds) <= {"none of the classes"}
    skipping = evidence.spec.model_copy(
        update={"audit": evidence.spec.audit.model_copy(update={"skip": ["off_topic"]})}
    )
    assert find_outliers(changed(evidence, spec=skipping))["is_issue"].iloc[200:].any()


def test_the_odd_one_of_a_class_is_an_outlier() -> None:
    points = crowds([100, 100], spread=0.05)
    points[7] = 0.6 * np.eye(WIDTH)[0] + 0.8 * np.eye(WIDTH)[20]  # a cat, but like no other cat
    found = find_outliers(gather(["cat"] * 100 + ["dog"] * 100, points))
    assert found["score"].idxmin() == 7 and found["score"].iloc[7] < 0.5


@pytest.mark.parametrize("count", [0, 1, 2, 9, 10])
def test_sets_of_any_size_and_of_one_picture_many_times(count: int) -> None:
    evidence = gather(["cat"] * count, np.ones((count, 3)))
    found = find_off_topic(evidence)
    assert len(found) == count and not found["is_issue"].any()
    assert any("off_topic" in note for note in evidence.notes) == (0 < count < 10)
    assert not find_outliers(evidence)["is_issue"].any()
