from collections import Counter
from collections.abc import Set as AbstractSet

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.spec.model import Split
from curate.versions.claims import History, hash_split, position
from curate.versions.split import Assignment, assign_splits

RECIPE = Split(train=0.6, val=0.2, test=0.2)


def samples(count: int, per_group: int = 1, start: int = 0, label: str = "cat") -> pd.DataFrame:
    ids = [f"{number:020x}" for number in range(start, start + count)]
    groups = [ids[place - place % per_group] for place in range(count)]
    return pd.DataFrame({"sample_id": ids, "group_id": groups, "label": label, "given_split": ""})


def straddling(table: pd.DataFrame, split: pd.Series) -> int:
    return int((table.assign(split=table["sample_id"].map(split)).groupby("group_id")["split"].nunique() > 1).sum())


@pytest.mark.parametrize("count", [10, 40, 57, 1000])
def test_shares_are_met_to_within_half_a_sample_in_each_class(count):
    table = pd.concat([samples(count), samples(2 * count, start=10_000, label="dog")], ignore_index=True)
    counts = table.assign(split=assign_splits(table, RECIPE).split.to_numpy()).groupby(["label", "split"]).size()
    for label, size in {"cat": count, "dog": 2 * count}.items():
        assert abs(counts[label, "test"] - 0.2 * size) <= 0.5 and abs(counts[label, "val"] - 0.2 * size) <= 0.5


def test_shares_are_met_to_within_half_a_group_and_groups_stay_together():
    table = samples(6000, per_group=3)
    split = assign_splits(table, RECIPE).split
    assert abs((split == "test").sum() - 1200) <= 1.5 and abs((split == "val").sum() - 1200) <= 1.5
    assert straddling(table, split) == 0


def test_the_hash_decides_who_and_few_are_moved_from_where_it_falls():
    table = samples(1000)
    result = assign_splits(table, RECIPE)
    rank = table["sample_id"].map(lambda one: position(one, 0)).rank().to_numpy()
    assert ((rank <= 200) == (result.split == "test").to_numpy()).all()
    hashed = pd.Series({one: hash_split(one, RECIPE) for one in table["sample_id"]})
    assert result.pins == result.split[result.split != hashed].to_dict() and len(result.pins) < 60
    assert set(result.places.query("rule == 'share'")["sample_id"]) == set(result.pins)


def test_the_seed_matters_and_the_order_does_not():
    table = samples(300)
    first = assign_splits(table, RECIPE).split
    assert first.equals(assign_splits(table.sample(frac=1, random_state=1), RECIPE).split)
    assert not first.equals(assign_splits(table, Split(train=0.6, val=0.2, test=0.2, seed=1)).split)


def test_a_given_split_is_kept_and_a_leaking_group_goes_to_test():
    table = samples(4, per_group=2).assign(path=["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    table["given_split"] = ["train", "test", "val", ""]
    result = assign_splits(table, RECIPE)
    assert result.split.tolist() == ["test", "test", "val", "val"]
    assert result.moved == {table["sample_id"][0]: "train -> test: its near copy b.jpg is in test"}
    assert result.places["rule"].tolist() == ["given"] * 4 and result.places["by"][3] == table["sample_id"][2]
    ungiven = assign_splits(table, RECIPE.model_copy(update={"use_given": False}))
    assert set(ungiven.split) == {"train", "test"} and not ungiven.moved


def test_what_is_given_counts_towards_the_shares():
    table = samples(100)
    table.loc[:9, "given_split"] = "test"
    assert assign_splits(table, RECIPE).split.value_counts().to_dict() == {"train": 60, "val": 20, "test": 20}


def test_a_pin_wins_over_what_is_given_and_over_history():
    table = samples(3).assign(pinned=["test", "", ""])
    table["given_split"] = ["train", "train", ""]
    old = dict.fromkeys(table["sample_id"], "train")
    result = assign_splits(table, RECIPE, History(old, {}))
    assert result.split.tolist() == ["test", "train", "train"]
    assert result.moved == {table["sample_id"][0]: "train -> test: dataset.yaml states test now"}
    assert result.pins == {table["sample_id"][2]: "train"} or hash_split(table["sample_id"][2], RECIPE) == "train"


def test_a_small_class_gets_a_test_sample_and_keeps_one_to_train_on():
    for start in range(0, 300, 3):
        split = assign_splits(samples(3, start=start), RECIPE).split
        assert set(split) == {"train", "val", "test"}
        assert set(assign_splits(samples(2, start=start), RECIPE).split) == {"train", "test"}
        assert set(assign_splits(samples(1, start=start), RECIPE).split) == {"train"}


def test_a_class_of_two_large_groups_is_tested_too_with_the_smaller():
    table = pd.concat([samples(3, per_group=3), samples(2, per_group=2, start=50)], ignore_index=True)
    result = assign_splits(table, RECIPE)
    assert result.split.tolist() == ["train"] * 3 + ["test"] * 2
    assert result.places["rule"].tolist()[3:] == ["needed"] * 2


def test_a_group_that_is_all_of_another_class_is_not_taken_from_train():
    """Two groups: one all cats, one cats and the only dogs. Cats need a test sample, dogs one to learn from more."""
    table = samples(6, per_group=3).assign(label=["cat", "cat", "cat", "cat", "dog", "dog"])
    split = assign_splits(table, RECIPE).split
    assert split.tolist() == ["test"] * 3 + ["train"] * 3


def test_no_rows():
    assert assign_splits(samples(0), RECIPE).split.empty


def test_labels_that_a_machine_made_fill_no_test_split():
    table = samples(200).assign(may_test="hashed")
    table.loc[:9, "may_test"] = "any"
    result = assign_splits(table, RECIPE)
    made = table["sample_id"][10:]
    assert {one for one in made if result.split[one] == "test"} == {
        one for one in made if hash_split(one, RECIPE) == "test"
    }
    assert (result.split.iloc[:10] == "test").sum() == 0  # so many of the machine's lie there by hash already
    never = assign_splits(table.assign(may_test=table["may_test"].replace("hashed", "never")), RECIPE).split
    assert (never.iloc[10:] == "test").sum() == 0 and (never.iloc[:10] == "test").sum() == 2


def test_what_has_no_label_is_not_counted_and_stays_where_the_hash_falls():
    table = samples(400)
    table.loc[100:, "label"] = ""
    split = assign_splits(table, RECIPE).split
    assert (split.iloc[:100] == "test").sum() == 20
    assert all(split[one] == hash_split(one, RECIPE) for one in table["sample_id"][100:])


def test_a_locked_test_set_gains_copies_only_and_loses_nothing():
    table = samples(60)
    first = assign_splits(table, RECIPE.model_copy(update={"locked": True}))
    exam = {one for one, where in first.split.items() if where == "test"}
    assert {one for one, where in first.pins.items() if where == "test"} == exam
    grown = pd.concat([table, samples(100, start=500)], ignore_index=True)
    copy_, given, pinned, merged = 60, 61, 62, 0  # rows
    of = sorted(exam)[0]
    grown.loc[copy_, "group_id"] = of
    grown.loc[given, "given_split"] = "test"
    grown["pinned"] = ["test" if row == pinned else "" for row in range(len(grown))]
    grown.loc[grown["sample_id"] == sorted(exam)[1], "given_split"] = "train"  # the source says otherwise now
    trained = next(one for one, where in first.split.items() if where == "train")
    grown.loc[grown["sample_id"] == trained, "group_id"] = sorted(exam)[2]
    locked = RECIPE.model_copy(update={"locked": True})
    ids = grown["sample_id"]
    for history in (History(dict(first.split), first.pins, exam), History(None, first.pins, exam)):
        result = assign_splits(grown, locked, history)
        test = {one for one, where in result.split.items() if where == "test"}
        assert test == exam | {ids[copy_], trained}
        assert result.split[ids[given]] == result.split[ids[pinned]] == "val"
        assert "the test set is locked" in result.moved[ids[given]]
    assert merged == 0 and set(result.split[ids[63:]]) == {"train", "val"}


def test_merging_groups_go_to_the_locked_side_and_the_move_is_told():
    table = samples(2).assign(path=["one.jpg", "two.jpg"])
    old = {table["sample_id"][0]: "train", table["sample_id"][1]: "test"}
    result = assign_splits(table.assign(group_id="g"), RECIPE, History(old, {}))
    assert set(result.split) == {"test"}
    assert result.moved == {table["sample_id"][0]: "train -> test: its near copy two.jpg is in test"}
    stated = table.assign(group_id="g", given_split=["train", ""])  # what a source states of a copy changes nothing
    assert set(assign_splits(stated, RECIPE, History(old, {})).split) == {"test"}


def test_what_was_built_by_the_plain_hash_stays_and_new_samples_make_up_for_it():
    """Versions before this rule: every sample where its hash fell, however few that left in test."""
    table = samples(40, start=7)
    old = {one: hash_split(one, RECIPE) for one in table["sample_id"]}
    assert assign_splits(table, RECIPE, History(old, {})).split.to_dict() == old
    assert assign_splits(table, RECIPE, History(None, {})).split.to_dict() == old  # a clone with the lock alone
    grown = pd.concat([table, samples(60, start=5000)], ignore_index=True)
    split = assign_splits(grown, RECIPE, History(old, {})).split
    assert split[list(old)].to_dict() == old and split.value_counts().to_dict() == {"train": 60, "val": 20, "test": 20}


STEP = st.lists(
    st.tuples(
        st.sampled_from(["cat", "dog", ""]),  # label
        st.sampled_from(["", "", "", "train", "test"]),  # what its source states
        st.one_of(st.none(), st.integers(0, 60)),  # a copy of which sample before, and so joins groups
        st.one_of(st.none(), st.none(), st.integers(0, 60)),  # and of which other
    ),
    max_size=12,
)


def merge(table: pd.DataFrame, one: str, other: str) -> pd.DataFrame:
    group = table.set_index("sample_id")["group_id"]
    both = table["group_id"].isin([group[one], group[other]])
    return table.assign(group_id=table["group_id"].mask(both, min(table.loc[both, "sample_id"])))


def grow(table: pd.DataFrame, step: list, numbers: list[int]) -> pd.DataFrame:
    for label, stated, first, second in step:
        new = f"{numbers[len(table)]:020x}"
        row = {"sample_id": new, "group_id": new, "label": label, "given_split": stated}
        table = pd.concat([table, pd.DataFrame([row])], ignore_index=True)
        for other in (first, second):
            if other is not None:
                table = merge(table, new, table["sample_id"][other % len(table)])
    return table


def check_stability(table: pd.DataFrame, before: pd.Series, result: Assignment, exam: AbstractSet[str] | None) -> None:
    """No old sample moves unless a near copy of it is on a stricter side, and then it is told."""
    group = dict(zip(table["sample_id"], table["group_id"], strict=True))
    stated = dict(zip(table["sample_id"], table["given_split"], strict=True))
    order = ("test", "val", "train").index
    for one, where in before.items():
        claims = {before[other] for other in before.index if group[other] == group[one]}
        claims |= {stated[other] for other in table["sample_id"] if group[other] == group[one] and stated[other]}
        if result.split[one] != where:
            assert one in result.moved and result.split[one] in claims | {"val"}
            assert order(result.split[one]) < order(where)
        if exam is not None and one in exam:
            assert result.split[one] == "test"
    if exam is not None:
        of_exam = {group[one] for one in exam}
        assert all(group[one] in of_exam for one, where in result.split.items() if where == "test")


@settings(max_examples=150)
@given(st.lists(STEP, min_size=1, max_size=5), st.integers(0, 50), st.booleans(), st.randoms(use_true_random=False))
def test_growth_moves_nothing_old_and_never_splits_a_group(steps, seed, locked, random):
    """Samples come in any order and number of builds, as copies that join groups, labelled or not, given or not."""
    recipe = RECIPE.model_copy(update={"seed": seed, "locked": locked})
    numbers = random.sample(range(10_000), 100)  # a newcomer is often the smallest id of its group
    table, history, before = samples(0), History(), pd.Series(dtype="str")
    for step in steps:
        table = grow(table, step, numbers)
        result = assign_splits(table, recipe, history)
        assert straddling(table, result.split) == 0
        check_stability(table, before, result, history.exam)
        shuffled = assign_splits(table.sample(frac=1, random_state=seed), recipe, history)
        assert shuffled.split.equals(result.split) and shuffled.pins == result.pins and shuffled.moved == result.moved
        exam = {one for one, where in result.split.items() if where == "test"}
        history = History(dict(result.split), result.pins, exam if locked and exam else None)
        again = assign_splits(table, recipe, history)
        assert again.split.equals(result.split) and again.pins == result.pins
        alone = assign_splits(table, recipe, History(None, result.pins, history.exam))
        assert alone.split.equals(result.split)
        before = result.split


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 6)), min_size=1, max_size=40),
    st.integers(0, 20),
)
def test_ratios_are_within_what_groups_allow(sizes, seed):
    """Groups of one class each: a share is missed by half of the largest group at most, where none was needed."""
    recipe = RECIPE.model_copy(update={"seed": seed})
    rows = [
        {"sample_id": f"{number:018x}{member:02x}", "group_id": number, "label": label, "given_split": ""}
        for number, (label, size) in enumerate(sizes)
        for member in range(size)
    ]
    table = pd.DataFrame(rows)
    result = assign_splits(table, recipe)
    counts = Counter(zip(table["label"], table["sample_id"].map(result.split), strict=True))
    rule = dict(zip(result.places["sample_id"], result.places["rule"], strict=True))
    for label in set(table["label"]):
        groups = [size for one, size in sizes if one == label]
        total, largest = sum(groups), max(groups)
        if len(groups) > 1:
            assert counts[label, "test"] and counts[label, "train"]
        if all(rule[one] != "needed" for one in table.loc[table["label"] == label, "sample_id"]):
            wanted = {"test": max(0.2 * total, len(groups) >= 2), "val": max(0.2 * total, len(groups) >= 3)}
            for split, share in wanted.items():
                assert abs(counts[label, split] - share) <= largest / 2 + 1e-6
