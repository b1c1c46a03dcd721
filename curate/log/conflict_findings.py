"""Turns open conflicts between decisions into findings, with a sentence that says what each person decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from curate.log.conflicts import Pair, weigh_log
from curate.log.decision import CONFLICT, Decision, said_at, tell_word
from curate.storage.tables import FINDINGS, empty, shaped

DETECTOR = "decisions.jsonl"


class Row(NamedTuple):
    """A conflict as a finding: a row of ``tables.FINDINGS``."""

    sample_id: str
    path: str
    evidence: str
    issue: str = CONFLICT
    score: float = 0.0
    is_issue: bool = True
    group_id: str = ""
    suggested_action: str = ""
    suggested_label: str = ""
    kind: str = ""
    detector: str = DETECTOR


def find_conflicts(events: Sequence[Decision], paths: Mapping[str, str]) -> pd.DataFrame:
    """Return the open conflicts as rows of ``tables.FINDINGS``, one a sample; only of samples that ``paths`` names."""
    found = sorted(weigh_log(events)[1].items())
    rows = [conflict_row(one, pairs, paths) for one, pairs in found if one in paths]
    return shaped(pd.DataFrame(rows), FINDINGS) if rows else empty(FINDINGS)


def conflict_row(sample_id: str, pairs: Sequence[Pair], paths: Mapping[str, str]) -> Row:
    """Return the finding that asks about a sample's conflicts: those who contest the same word in one sentence."""
    contesting: dict[str, list[str]] = {}
    for first, second in pairs:
        aside = ", who had not seen that," if first.sample_id == second.sample_id else ""
        contesting.setdefault(_told(first, paths), []).append(_told(second, paths, aside))
    sentences = [f"{first}; {'; '.join(others)}." for first, others in contesting.items()]
    evidence = " ".join([*sentences, "The first stands until somebody decides."])
    return Row(sample_id, paths.get(sample_id, ""), evidence)


def _told(decision: Decision, paths: Mapping[str, str], aside: str = "") -> str:
    where = f"({decision.tool.replace('_', ' ')}, {said_at(decision)[:16].replace('T', ' ')})"
    word = tell_word(decision, paths)
    if decision.action == "merge":
        merged, kept = (paths.get(one, one) for one in (decision.sample_id, decision.label))
        word = f"merge {merged} into {kept}"
    return f"{decision.actor}{aside} said {word} {where}"
