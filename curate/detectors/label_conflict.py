"""Sources that disagree: one picture with two labels, or near copies with different ones."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pandas as pd

from curate.detectors.evidence import Evidence, describe_probs, findings_table

DETECTOR = "label_conflict-v1"


def find_label_conflicts(evidence: Evidence) -> pd.DataFrame:
    """Return the samples that two votes or more speak about, their own and their copies'.

    Score: the share of the most frequent label minus that of the next: 1 for agreement, 0 for a tie.
    """
    rows = evidence.readable.merge(evidence.groups[["sample_id", "group_id", "kind"]], on="sample_id")
    votes = evidence.votes.merge(rows[["sample_id", "group_id"]], on="sample_id")
    tally: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name, label in zip(votes["group_id"], votes["label"], strict=True):
        tally[name][label] += 1
    several = [name in tally and sum(tally[name].values()) > 1 for name in rows["group_id"]]
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
