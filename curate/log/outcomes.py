"""Computes from the decisions the label of each sample, and whether it is dropped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from curate.log.decision import Decision


def fold_decisions(decisions: list[Decision]) -> pd.DataFrame:
    """Return what the log amounts to: one row a decided sample.

    Returns
    -------
    Columns ``sample_id, label, dropped, merged_into, decided_by``: the decided class ('' when the given one stands),
    whether the sample is left out, the sample it was merged into, and the id of the last decision that changed it.
    """
    said: dict[str, list[Decision]] = {}
    for decision in decisions:
        said.setdefault(decision.sample_id, []).append(decision)
    rows = [{"sample_id": sample_id, **fold_sample(mine)._asdict()} for sample_id, mine in said.items()]
    columns = ["sample_id", *Folded._fields]
    return pd.DataFrame(rows, columns=columns).astype({"dropped": bool}).sort_values("sample_id", ignore_index=True)


class Folded(NamedTuple):
    """The outcome of the decisions on one sample; see `fold_decisions`."""

    label: str = ""
    dropped: bool = False
    merged_into: str = ""
    decided_by: str = ""


def fold_sample(decisions: Iterable[Decision]) -> Folded:
    """Return the outcome of the decisions on one sample, taken in their order.

    >>> drop = Decision(actor="ann", tool="decide", sample_id="0" * 20, action="drop")
    >>> fold_sample([drop]).dropped
    True
    """
    folded = Folded()
    for one in decisions:
        if one.action in ("drop", "merge"):
            merged_into = one.label if one.action == "merge" else ""
            folded = folded._replace(dropped=True, merged_into=merged_into)
        elif one.action == "undrop":
            folded = folded._replace(dropped=False, merged_into="")
        else:
            folded = Folded(label=one.label or folded.label)
        folded = folded._replace(decided_by=one.id)
    return folded


def decided_pairs(decisions: list[Decision]) -> set[tuple[str, str]]:
    """Return the (sample_id, issue) pairs that some decision answered: their findings are closed.

    A merge answers for the sample that stays, too.
    """
    answered = {(one.sample_id, one.finding) for one in decisions if one.finding}
    return answered | {(one.label, one.finding) for one in decisions if one.finding and one.action == "merge"}
