"""Several voters' proposals to one: by hand, and against a plain loop."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from curate.log.proposals import PICKS, combine_proposals, read_picks, read_proposals, write_picks, write_proposals
from curate.storage.folder import DatasetFolder
from curate.storage.tables import VOTES

CLASSES = ["cat", "dog", "hen"]


def votes_of(*rows: tuple[str, str, str, float]) -> pd.DataFrame:
    return pd.DataFrame([(one, label, voter, "", share, "") for one, label, voter, share in rows], columns=list(VOTES))


@pytest.mark.parametrize(
    "shares, label, probability",
    [
        ([("cat", 0.9)], "cat", 0.9),
        ([("cat", 0.9), ("cat", 0.9)], "cat", 0.9),
        ([("cat", 5 / 6), ("cat", 0.5)], "cat", (3 * 5 / 6 + 0.5) / 4),  # 1/2 and 1/6 above chance
        ([("cat", 5 / 6), ("dog", 0.5)], "cat", (3 * 5 / 6 + 0.25) / 4),
        ([("cat", 0.9), ("dog", 1 / 3)], "cat", 0.9),  # who knows nothing changes nothing
        ([("cat", 1.0), ("dog", 1.0)], "cat", 0.5),  # the first of the spec among equals
        ([("cat", 5 / 6), ("dog", 5 / 6), ("dog", 5 / 6)], "dog", (2 * 5 / 6 + 1 / 12) / 3),
    ],
)
def test_the_mean_of_the_voters(shares: list[tuple[str, float]], label: str, probability: float) -> None:
    votes = votes_of(*[("a", name, f"v{number}", share) for number, (name, share) in enumerate(shares)])
    row = combine_proposals(votes, CLASSES).iloc[0]
    assert row["label"] == label and row["probability"] == pytest.approx(probability, abs=1e-6)
    assert row["voters"] == len(shares) and row["agreeing"] == sum(name == label for name, _ in shares)


def test_a_plain_loop_gives_the_same_in_any_order() -> None:
    rng = np.random.default_rng(0)
    rows = [
        (f"{one:03d}", str(rng.choice(CLASSES)), f"v{v}", float(rng.uniform(0.34, 1)))
        for one in range(60)
        for v in range(3)
    ]
    votes = votes_of(*rows).sample(frac=1, random_state=0)
    combined = combine_proposals(votes, CLASSES)
    for row in combined.itertuples():
        mine = [(label, share) for one, label, _, share in rows if one == row.sample_id]
        weights = [max(share - 1 / 3, 0) for _, share in mine]
        mean = {
            name: np.average([share if label == name else (1 - share) / 2 for label, share in mine], weights=weights)
            for name in CLASSES
        }
        assert mean[row.label] == pytest.approx(max(mean.values()), abs=1e-6)
        assert row.probability == pytest.approx(mean[row.label], abs=1e-6)
    pd.testing.assert_frame_equal(combined, combine_proposals(votes.sort_values("voter"), CLASSES))


def test_nothing_proposed_is_nothing_combined(tmp_path) -> None:
    dataset = DatasetFolder(tmp_path)
    assert len(combine_proposals(read_proposals(dataset), CLASSES)) == len(read_picks(dataset)) == 0
    assert combine_proposals(votes_of(("a", "cat", "rule:x", 0.9)), ["cat"])["probability"].tolist() == [0.9]


def test_votes_for_classes_that_are_gone_do_not_count() -> None:
    votes = votes_of(("a", "kitty", "model:m1", 0.99), ("a", "dog", "rule:yard", 0.6), ("b", "kitty", "model:m1", 0.9))
    combined = combine_proposals(votes, ["cat", "dog"])
    assert combined[["sample_id", "label", "voters"]].values.tolist() == [["a", "dog", 1]]


def test_a_broken_table_is_told_of_and_dropped(tmp_path, capsys) -> None:
    dataset = DatasetFolder(tmp_path)
    dataset.cache.mkdir()
    file = dataset.cache / "next.parquet"
    file.write_bytes(b"PK no parquet at all")
    assert read_picks(dataset).empty and not file.exists()
    assert f"Removed {file}" in capsys.readouterr().err


def test_proposals_and_picks_come_back_as_written(tmp_path) -> None:
    dataset = DatasetFolder(tmp_path)
    votes = votes_of(("b", "dog", "model:m1", 0.9), ("a", "cat", "rule:x", 0.8))
    written = write_proposals(dataset, votes)
    pd.testing.assert_frame_equal(read_proposals(dataset), written)
    assert written["sample_id"].tolist() == ["a", "b"]
    picks = pd.DataFrame(
        [("b", "b.jpg", 2, "train", "typical"), ("a", "a.jpg", 1, "test", "at random")], columns=list(PICKS)
    )
    ordered = write_picks(dataset, picks)
    pd.testing.assert_frame_equal(read_picks(dataset), ordered)
    assert read_picks(dataset)["sample_id"].tolist() == ["a", "b"]
