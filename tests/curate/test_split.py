import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.spec import Split
from curate.split import assign_splits, hash_split

RECIPE = Split(train=0.6, val=0.2, test=0.2)


def samples(count: int, per_group: int = 1, start: int = 0, label: str = "cat") -> pd.DataFrame:
    ids = [f"{number:020x}" for number in range(start, start + count)]
    groups = [ids[place - place % per_group] for place in range(count)]
    return pd.DataFrame({"sample_id": ids, "group_id": groups, "label": label, "given_split": ""})


def test_shares_are_met_and_groups_stay_together():
    table = samples(6000, per_group=3)
    split = assign_splits(table, RECIPE).split
    shares = split.value_counts(normalize=True)
    assert abs(shares["train"] - 0.6) < 0.03 and abs(shares["test"] - 0.2) < 0.03
    assert table.assign(split=table["sample_id"].map(split)).groupby("group_id")["split"].nunique().max() == 1


def test_the_seed_matters_and_the_order_does_not():
    table = samples(300)
    first = assign_splits(table, RECIPE).split
    assert first.equals(assign_splits(table.sample(frac=1, random_state=1), RECIPE).split)
    assert not first.equals(assign_splits(table, Split(train=0.6, val=0.2, test=0.2, seed=1)).split)


def test_a_given_split_is_kept_and_a_leaking_group_goes_to_test():
    table = samples(4, per_group=2)
    table["given_split"] = ["train", "test", "val", ""]
    result = assign_splits(table, RECIPE)
    assert result.split.tolist() == ["test", "test", "val", "val"]
    assert list(result.moved) == [table["sample_id"][0]]
    ungiven = assign_splits(table, RECIPE.model_copy(update={"use_given": False}))
    assert ungiven.split.tolist()[0] == hash_split(table["sample_id"][0], RECIPE)


def test_a_small_class_gets_a_test_sample_and_keeps_one_to_train_on():
    for start in range(0, 300, 3):
        split = assign_splits(samples(3, start=start), RECIPE).split
        assert set(split) == {"train", "val", "test"}
        assert set(assign_splits(samples(2, start=start), RECIPE).split) == {"train", "test"}
        assert set(assign_splits(samples(1, start=start), RECIPE).split) == {"train"}


def test_no_rows():
    assert assign_splits(samples(0), RECIPE).split.empty


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 3)), min_size=1, max_size=6), st.integers(0, 50))
def test_growth_moves_nothing_old_and_never_splits_a_group(steps, seed):
    """New samples come, alone or as copies of old ones; old samples stay; the lock alone repeats the result."""
    recipe = RECIPE.model_copy(update={"seed": seed})
    table = samples(0)
    old: dict[str, str] = {}
    pins: dict[str, str] = {}
    for number, joins in steps:
        # ids count down, so that a newcomer often becomes the smallest id of its group
        ids = [f"{10_000 - len(table) - place:020x}" for place in range(number)]
        new = pd.DataFrame({"sample_id": ids, "group_id": ids, "label": "cat", "given_split": ""})
        table = pd.concat([table, new], ignore_index=True)
        for place in range(min(joins, len(old), number)):
            target = table.loc[table["sample_id"] == list(old)[place], "group_id"].iloc[0]
            table.loc[table["sample_id"] == ids[place], "group_id"] = target
        result = assign_splits(table, recipe, pins, old)
        assert (
            table.assign(split=table["sample_id"].map(result.split)).groupby("group_id")["split"].nunique().max() == 1
        )
        assert all(result.split[one] == where for one, where in old.items()) and not result.moved
        assert assign_splits(table, recipe, result.pins, {}).split.equals(result.split)
        old, pins = dict(result.split), result.pins


def test_merging_groups_go_to_the_locked_side_and_the_move_is_told():
    table = samples(2)
    old = {table["sample_id"][0]: "train", table["sample_id"][1]: "test"}
    result = assign_splits(table.assign(group_id="g"), RECIPE, {}, old)
    assert set(result.split) == {"test"} and list(result.moved) == [table["sample_id"][0]]
