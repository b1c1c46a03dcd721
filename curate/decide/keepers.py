"""Chooses the sample to keep from each group of near copies."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import pandas as pd


def find_keepers(
    groups: pd.DataFrame,
    samples: pd.DataFrame,
    gone: AbstractSet[str] = frozenset(),
    exam: AbstractSet[str] = frozenset(),
) -> dict[str, str]:
    """Return the sample that stays of each sample's near-duplicate group: the audit's, or the next best if it is gone.

    What is in the test set by itself (``exam``) stays before copies that were trained on or came later, however good
    these are. Members of a group of which nothing is left have none: merging them into what is gone would lose the
    picture.
    """
    left = groups[~groups["sample_id"].isin(gone)]
    left = left.assign(chosen=left["sample_id"] == left["keeper"])
    left = left.assign(tested=left["sample_id"].isin(exam))
    sizes = samples[["sample_id", "bytes"]].assign(pixels=samples["width"] * samples["height"])
    order = ["tested", "chosen", "pixels", "bytes", "sample_id"]
    best = left.merge(sizes, on="sample_id").sort_values(order, ascending=[False, False, False, False, True])
    keeper = best.drop_duplicates("group_id").set_index("group_id")["sample_id"].to_dict()
    members = zip(groups["sample_id"], groups["group_id"], strict=True)
    return {sample_id: keeper[group] for sample_id, group in members if group in keeper}
