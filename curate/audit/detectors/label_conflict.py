"""Finds labels that disagree: between annotators, between folders, or between near copies."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import pandas as pd

from curate.audit.evidence.evidence import Evidence, describe_probs, findings_table
from curate.log.votes import by_people

DETECTOR = "label_conflict-v2"
NAMED = 6  # voters that a sentence names


def find_label_conflicts(evidence: Evidence) -> pd.DataFrame:
    """Return the samples that two votes or more speak about, their own and their copies'.

    Score, where several people voted on the picture itself: how sure their consensus is, the model's opinion weighed
    in. Else: the share of the most frequent label minus that of the next, 1 for agreement and 0 for a tie.
    """
    rows = evidence.readable.merge(evidence.groups[["sample_id", "group_id", "kind"]], on="sample_id")
    tally = _tally(evidence, rows)
    is_alone = ~rows["group_id"].duplicated(keep=False)
    is_one = np.array([len(tally[name]) < 2 for name in rows["group_id"]], dtype=bool)
    by_voters = rows["sample_id"].isin(evidence.consensus["sample_id"]) & (is_alone | is_one)
    parts = [_find_among_copies(evidence, rows[~by_voters], tally), _find_among_voters(evidence, rows[by_voters])]
    return pd.concat(parts).sort_values("sample_id", ignore_index=True)


def _tally(evidence: Evidence, rows: pd.DataFrame) -> defaultdict[str, Counter[str]]:
    """Return how many labels of each class a near-duplicate group has; a consensus counts once, not its votes."""
    settled = evidence.consensus[evidence.consensus["label"] != ""]
    votes = by_people(evidence.votes)
    votes = pd.concat([votes[~votes["sample_id"].isin(settled["sample_id"])], settled])[["sample_id", "label"]]
    votes = votes.merge(rows[["sample_id", "group_id"]], on="sample_id")
    tally: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name, label in zip(votes["group_id"], votes["label"], strict=True):
        tally[name][label] += 1
    return tally


def _find_among_voters(evidence: Evidence, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the findings on pictures on which several people voted, and whose copies, if any, say nothing else."""
    settled = evidence.consensus.set_index("sample_id").loc[rows["sample_id"]]
    votes = by_people(evidence.votes)
    votes = votes[votes["sample_id"].isin(rows["sample_id"])].drop_duplicates(["sample_id", "voter", "label"])
    votes = votes.sort_values(["sample_id", "voter", "label"])
    said: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for name, voter, label in zip(votes["sample_id"], votes["voter"], votes["label"], strict=True):
        said[name].append((voter, label))
    disagree = np.array([len({label for _, label in said[name]}) > 1 for name in rows["sample_id"]], dtype=bool)
    place = pd.Index(evidence.ids).get_indexer(rows["sample_id"])
    probs = [None if evidence.pred_probs is None else evidence.pred_probs[row] for row in place]
    names = evidence.spec.class_names
    return findings_table(
        rows,
        "label_conflict",
        DETECTOR,
        score=settled["quality"].to_numpy(),
        is_issue=disagree,
        suggested_action=np.where(disagree & (settled["label"] != ""), "keep", ""),
        suggested_label=np.where(disagree, settled["label"], ""),
        evidence=[
            _who_said_what(said[name], names, fit) if differ else ""
            for name, differ, fit in zip(rows["sample_id"], disagree, probs, strict=True)
        ],
    )


def _who_said_what(said: Sequence[tuple[str, str]], names: list[str], probs: np.ndarray | None) -> str:
    """Return who gave which label, as ``alice: cat, bob: dog; p(cat)=0.71, p(dog)=0.29``."""
    short = {voter: voter.split(":", 1)[-1] for voter, _ in said}
    ambiguous = {name for name, count in Counter(short.values()).items() if count > 1}
    shown = [f"{voter if short[voter] in ambiguous else short[voter]}: {label}" for voter, label in said[:NAMED]]
    more = [f"{len(said) - NAMED} more"] if len(said) > NAMED else []
    who = ", ".join(shown + more)
    voted = sorted({names.index(label) for _, label in said if label in names})
    if probs is None or np.isnan(probs[0]) or not voted:
        return who
    return f"{who}; {describe_probs(probs, names, voted)}"


def _find_among_copies(evidence: Evidence, rows: pd.DataFrame, tally: defaultdict[str, Counter[str]]) -> pd.DataFrame:
    """Return the findings on pictures that were labelled twice by one voter, or whose near copies have labels too."""
    several = [sum(tally[name].values()) > 1 for name in rows["group_id"]]
    rows = rows[np.array(several, dtype=bool)]
    probs = _group_probs(evidence, {name for name, count in tally.items() if len(count) > 1})
    counts = [tally[name] for name in rows["group_id"]]
    fitting = [probs.get(name) for name in rows["group_id"]]
    names = evidence.spec.class_names
    suggested = [_suggest(names, count, fit) for count, fit in zip(counts, fitting, strict=True)]
    given = list(rows["given_label"])
    return findings_table(
        rows,
        "label_conflict",
        DETECTOR,
        score=[_agreement(count) for count in counts],
        is_issue=[len(count) > 1 for count in counts],
        group_id=rows["group_id"].where(rows["kind"] != "", ""),
        suggested_action=[
            "" if not new else "keep" if new == old else "relabel" for new, old in zip(suggested, given, strict=True)
        ],
        suggested_label=suggested,
        evidence=[_sentence(names, count, fit) for count, fit in zip(counts, fitting, strict=True)],
    )


def _agreement(count: Counter[str]) -> float:
    ranked = [number for _, number in count.most_common(2)]
    return (ranked[0] - (ranked[1] if len(ranked) > 1 else 0)) / sum(count.values())


def _group_probs(evidence: Evidence, wanted: set[str]) -> dict[str, np.ndarray]:
    """Return the mean probabilities ``(K,)`` over the members of each wanted group that has any."""
    if not wanted or evidence.pred_probs is None:
        return {}
    known = ~np.isnan(evidence.pred_probs[:, 0])
    group = evidence.groups["group_id"].to_numpy()
    table = pd.DataFrame(evidence.pred_probs).groupby(group)
    return {
        str(name): evidence.pred_probs[rows[known[rows]]].mean(axis=0)
        for name, rows in table.indices.items()
        if name in wanted and known[rows].any()
    }


def _suggest(names: list[str], count: Counter[str], probs: np.ndarray | None) -> str:
    """Return the voted label that the pictures fit best, else the most frequent; '' for agreement and for a tie."""
    if len(count) < 2:
        return ""
    voted = [label for label in sorted(count) if label in names]
    if probs is not None and voted:
        return max(voted, key=lambda label: float(probs[names.index(label)]))
    (first, most), (_, next_most) = count.most_common(2)
    return first if most > next_most else ""


def _sentence(names: list[str], count: Counter[str], probs: np.ndarray | None) -> str:
    if len(count) < 2:
        return ""
    ranked = sorted(count.items(), key=lambda one: (-one[1], one[0]))
    said = ", ".join(f"{number} x {label}" for label, number in ranked)
    voted = [names.index(label) for label, _ in ranked if label in names]
    fit = "; " + describe_probs(probs, names, voted) if probs is not None and voted else ""
    return f"its files and their near copies are labelled {said}{fit}"
