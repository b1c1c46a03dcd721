"""Consensus label of several annotators, and each one's quality: CROWDLAB on the audit's probabilities.

References
----------
Goh, Tkachenko, Mueller: "CROWDLAB: Supervised learning to infer consensus labels and quality scores for data with
multiple annotators", 2022, arXiv:2210.06812.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from curate.log.consensus import CONSENSUS
from curate.log.votes import by_people
from curate.storage.tables import empty

MODEL = "(model)"  # its row among the annotators: the out-of-sample probabilities of the audit
LARGEST = 20_000_000  # samples x voters: cleanlab wants several arrays of that many, here of 160 MB each
# `votes`: of classes of the spec; `shared`: on samples with two voters or more, on which the rest is measured.
# `agreement` with the consensus and `quality` are shares 0..1; `weight` is what CROWDLAB gives a vote of theirs.
# Most often wrong: `said` in place of `consensus`, `times`.
ANNOTATORS = {
    "annotator": "str",
    "votes": "int64",
    "shared": "int64",
    "quality": "float64",
    "agreement": "float64",
    "weight": "float64",
    "consensus": "str",
    "said": "str",
    "times": "int64",
}


@dataclass(frozen=True)
class Consensus:
    """The labels of the samples with several voters, the annotators best to worst, and what could not be done ('')."""

    samples: pd.DataFrame
    annotators: pd.DataFrame
    note: str = ""


def is_too_large(votes: pd.DataFrame) -> bool:
    """Return whether the table of samples and voters would not fit into an ordinary memory."""
    people = by_people(votes)
    return people["sample_id"].nunique() * people["voter"].nunique() > LARGEST


def tabulate_votes(votes: pd.DataFrame, ids: Sequence[str], classes: Sequence[str]) -> pd.DataFrame:
    """Return the class number that each person gave each sample: rows sample_id, columns voters, NaN for none.

    A voter who gave one sample two labels, as by files in two class folders, has said nothing certain about it.
    """
    number = {name: place for place, name in enumerate(classes)}
    known = by_people(votes)
    known = known[known["sample_id"].isin(ids) & known["label"].isin(number)]
    said = known.drop_duplicates(["sample_id", "voter", "label"])
    said = said[~said.duplicated(["sample_id", "voter"], keep=False)]
    said = said.assign(label=said["label"].map(number).astype(np.float64))
    return said.pivot(index="sample_id", columns="voter", values="label").sort_index(axis=0).sort_index(axis=1)


def compute_consensus(
    wide: pd.DataFrame, ids: Sequence[str], probs: np.ndarray | None, classes: Sequence[str]
) -> Consensus:
    """Return the consensus of the votes ``wide`` (see ``tabulate_votes``).

    It is always a label that somebody gave, so the model breaks ties and weighs, but overrules neither a sample's
    only voter nor voters who all agree. Without probabilities it is the majority.

    Parameters
    ----------
    probs
        Out-of-sample probabilities ``(N, K)`` of the N samples ``ids``; rows of NaN where there are none.
    """
    votes = wide.to_numpy()
    known = np.full((len(wide), len(classes)), np.nan)
    if probs is not None:
        known = probs[pd.Index(ids).get_indexer(wide.index)]
    can = ~np.isnan(known).any(axis=1)
    quality, weights, note = _majority(votes, len(classes)), {}, _why_majority(votes, can, len(classes))
    if not note:
        crowdlab = _crowdlab(wide[can], known[can])
        quality[can] = np.where(np.isnan(crowdlab.quality), quality[can], crowdlab.quality)
        weights = crowdlab.weights
    labels, best = _best_voted(votes, quality)
    several = (~np.isnan(votes)).sum(axis=1) > 1
    samples = _tabulate_samples(wide.index, votes, labels, best, classes)[several].reset_index(drop=True)
    names = np.array([*classes, ""], dtype=object)
    people = [_row(str(name), votes[:, place], labels, several, names) for place, name in enumerate(wide.columns)]
    people = [row | weights.get(row["annotator"], {}) for row in people]
    people.sort(key=lambda row: (-row["quality"] if row["quality"] == row["quality"] else 2, row["annotator"]))
    if not note:
        guessed = np.where(can, np.nan_to_num(known).argmax(axis=1), np.nan)
        people.append(_row(MODEL, guessed, labels, several, names) | weights[MODEL])
    table = pd.DataFrame(people, columns=list(ANNOTATORS)).astype(ANNOTATORS)
    return Consensus(samples, table, note)


def _why_majority(votes: np.ndarray, can: np.ndarray, classes: int) -> str:
    """Return why CROWDLAB cannot be used; '' when it can."""
    if classes < 2 or not ((~np.isnan(votes)).sum(axis=1)[can] > 1).any():
        return (
            "label_conflict: the consensus of several voters is their majority: "
            "there are no out-of-sample probabilities of the samples that they share."
        )
    return ""


def _majority(votes: np.ndarray, classes: int) -> np.ndarray:
    """Return how many of a sample's voters, 0..1, said what each one said ``(N, M)``; NaN where one did not vote."""
    counts = np.stack([(votes == label).sum(axis=1) for label in range(classes)], axis=1)
    said = np.nan_to_num(votes).astype(int)
    share = np.take_along_axis(counts, said, axis=1) / np.maximum((~np.isnan(votes)).sum(axis=1, keepdims=True), 1)
    return np.where(np.isnan(votes), np.nan, share)


@dataclass(frozen=True)
class _Crowdlab:
    quality: np.ndarray  # (N, M) how likely each vote is right, NaN for no vote
    weights: dict[str, dict[str, float]]  # annotator -> quality, weight


def _crowdlab(wide: pd.DataFrame, probs: np.ndarray) -> _Crowdlab:
    from cleanlab.multiannotator import get_label_quality_multiannotator

    used = wide.dropna(axis=1, how="all")
    # Equal probabilities would make cleanlab break a tie by chance; this is too little to break any other.
    untied = probs + np.arange(probs.shape[1]) * 1e-12
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # voters without overlap, or who never agree: their quality says so
        made: dict[str, Any] = get_label_quality_multiannotator(used, untied, verbose=False, return_weights=True)
    quality = made["detailed_label_quality"].set_axis(used.columns, axis=1).reindex(columns=wide.columns).to_numpy()
    stats = made["annotator_stats"]["annotator_quality"].round(6)
    given = np.round(made["annotator_weight"], 6)
    weights = {
        str(name): {"quality": float(stats[name]), "weight": float(weight)}
        for name, weight in zip(used.columns, given, strict=True)
    }
    return _Crowdlab(quality, weights | {MODEL: {"weight": round(float(made["model_weight"]), 6)}})


def _best_voted(votes: np.ndarray, quality: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the voted label ``(N,)`` that is most likely right, -1 where two are equally so, and how likely it is."""
    # Coarse, so that the last bits of a processor's arithmetic break no tie.
    rounded = np.round(np.nan_to_num(quality, nan=-1.0), 4)
    best = rounded.argmax(axis=1)
    rows = np.arange(len(votes))
    labels = votes[rows, best]
    rivals = (rounded == rounded[rows, best][:, None]) & (votes != labels[:, None]) & ~np.isnan(votes)
    return np.where(rivals.any(axis=1), -1, labels).astype(int), np.clip(np.round(quality[rows, best], 6), 0, 1)


def _tabulate_samples(
    ids: pd.Index, votes: np.ndarray, labels: np.ndarray, quality: np.ndarray, classes: Sequence[str]
) -> pd.DataFrame:
    count = (~np.isnan(votes)).sum(axis=1)
    agreement = np.round((votes == labels[:, None]).sum(axis=1) / count, 6)
    names = np.array([*classes, ""], dtype=object)  # -1 is the last
    columns = {"sample_id": ids, "label": names[labels], "quality": quality, "votes": count, "agreement": agreement}
    return pd.DataFrame(columns).astype(CONSENSUS) if len(ids) else empty(CONSENSUS)


def _row(name: str, said: np.ndarray, labels: np.ndarray, several: np.ndarray, names: np.ndarray) -> dict[str, Any]:
    """Return the row of one annotator, measured where two or more voted and there is a consensus."""
    voted = ~np.isnan(said)
    rows = voted & several & (labels >= 0)
    mine, theirs = said[rows].astype(int), labels[rows]
    pairs = pd.Series(list(zip(theirs[mine != theirs], mine[mine != theirs], strict=True)), dtype=object)
    counts = pairs.value_counts()
    # The most frequent mistake; of equals the first in the order of the classes.
    (truth, other), times = min(counts.items(), key=lambda one: (-one[1], one[0])) if len(counts) else ((-1, -1), 0)
    agreement = round(float((mine == theirs).mean()), 6) if len(mine) else np.nan
    return {
        "annotator": name,
        "votes": int(voted.sum()),
        "shared": int((voted & several).sum()),
        "quality": agreement,
        "agreement": agreement,
        "weight": np.nan,
        "consensus": names[truth],
        "said": names[other],
        "times": int(times),
    }
