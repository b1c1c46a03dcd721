"""Labels that models and rules propose for unlabelled samples: votes that can be recomputed at any time.

They lie in ``.curate/proposals.parquet`` with the columns of ``tables.VOTES``, one row a sample and voter, and are
never taken for truth: only a decision makes a label of one.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from curate.storage.files import read_cached
from curate.storage.folder import DatasetFolder
from curate.storage.tables import VOTES, empty, read_parquet, shaped, write_table

COMBINED = {"sample_id": "str", "label": "str", "probability": "float64", "voters": "int64", "agreeing": "int64"}
COMBINED |= {"said": "str"}
PICKED = 0.001  # scores of `unlabelled` below are places among the picks; the score of a proposal is at least chance
# What `curate label --next` picked: place 1 first, and why; the split that the sample is or would be in.
PICKS = {"sample_id": "str", "path": "str", "place": "int64", "split": "str", "why": "str"}


def read_proposals(dataset: DatasetFolder) -> pd.DataFrame:
    """Return the proposals that ``curate label`` left, with the columns of ``tables.VOTES``; no rows without any."""
    table = read_cached(dataset.cache / "proposals.parquet", read_parquet)
    return empty(VOTES) if table is None else shaped(table, VOTES)


def write_proposals(dataset: DatasetFolder, votes: pd.DataFrame) -> pd.DataFrame:
    """Write ``votes`` in place of the proposals before, sorted, and return them."""
    table = shaped(votes.sort_values(["sample_id", "voter", "label"]), VOTES)
    write_table(dataset.cache / "proposals.parquet", table)
    return table


def read_picks(dataset: DatasetFolder) -> pd.DataFrame:
    """Return what ``curate label --next`` picked last, the first to label first; see ``PICKS`` for the columns."""
    table = read_cached(dataset.cache / "next.parquet", read_parquet)
    return empty(PICKS) if table is None else shaped(table, PICKS)


def write_picks(dataset: DatasetFolder, picks: pd.DataFrame) -> pd.DataFrame:
    """Write ``picks`` in place of those before, and return them in order."""
    table = shaped(picks.sort_values("place"), PICKS)
    write_table(dataset.cache / "next.parquet", table)
    return table


def combine_proposals(votes: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Return one row a sample: the label proposed for it, and how probable it is.

    Each voter gives the class that it names its share, and the other classes equal parts of the rest. The probability
    of a class is the mean over the voters, each weighing as much as its share is above chance; the label is the most
    probable class. So voters that agree are as sure as they are on average, voters that contradict each other are
    unsure, however sure each is, and who knows nothing changes nothing.

    Parameters
    ----------
    votes
        Columns of ``tables.VOTES``, one row a sample and voter; those for other classes do not count.

    Returns
    -------
    Columns ``sample_id, label, probability`` (0..1), ``voters`` and ``agreeing`` (how many there are, and how many name
    this label) and ``said`` (who said what, in words); sorted by sample_id.

    >>> votes = pd.DataFrame([("a", "cat", "model:m1", "", 0.9, ""), ("a", "dog", "rule:yard", "", 0.6, "")],
    ...                      columns=list(VOTES))
    >>> combine_proposals(votes, ["cat", "dog"])[["label", "probability", "said"]].values.tolist()
    [['cat', 0.8, 'model:m1 cat 0.90, rule:yard dog 0.60']]
    """
    votes = votes[votes["label"].isin(classes)]  # what is stored may be from before a class was renamed
    if not len(votes):
        return empty(COMBINED)
    named = _weigh_named(votes, len(classes))
    order = {name: place for place, name in enumerate(classes)}
    named = named.assign(place=named["label"].map(order)).sort_values(
        ["sample_id", "probability", "place"], ascending=[True, False, True]
    )
    return shaped(named.drop_duplicates("sample_id"), COMBINED)


def _weigh_named(votes: pd.DataFrame, classes: int) -> pd.DataFrame:
    """Return one row a sample and class that a voter names: its probability, and who said so; see ``COMBINED``."""
    rest = (1 - votes["share"]) / max(classes - 1, 1)
    # Never 0: where nobody knows anything, all weigh the same.
    weight = (votes["share"] - 1 / classes).clip(lower=0) + 1e-9
    rows = votes.assign(weight=weight, rest=weight * rest, own=weight * (votes["share"] - rest), said=_say(votes))
    rows = rows.sort_values(["sample_id", "voter"])
    sums = {name: (name, "sum") for name in ("weight", "rest")}
    whole = rows.groupby("sample_id").agg(voters=("voter", "size"), said=("said", ", ".join), **sums)
    named = rows.groupby(["sample_id", "label"], as_index=False).agg(own=("own", "sum"), agreeing=("voter", "size"))
    named = named.join(whole, on="sample_id")
    # Rounded, so that the last bits of a sum do not decide between two classes.
    named["probability"] = ((named["own"] + named["rest"]) / named["weight"]).clip(0, 1).round(6)
    return named


def _say(votes: pd.DataFrame) -> list[str]:
    return [f"{row.voter} {row.label} {row.share:.2f}" for row in votes.itertuples()]
