"""Holds the tables of a scan and what the detectors derive from them, each computed on first use.

Rows of ``readable`` are the N samples that have a picture; every array here has their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pandas as pd

from curate.log.consensus import CONSENSUS
from curate.spec.model import Spec
from curate.storage.cache import ContentCache
from curate.storage.engine import available_processors, batched
from curate.storage.progress import track
from curate.storage.tables import FINDINGS, LOCATIONS, empty, shaped
from curate.versions.labels import number_labels

THUMBNAILS = 1_000  # read at once, some 40 MB
# Sample ids, targets (N, K), near-duplicate groups and classes to out-of-sample log-probabilities (N, K).
CrossFit = Callable[[Sequence[str], np.ndarray, Sequence[str], Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class Evidence:
    """All that a detector may use.

    Parameters
    ----------
    samples, votes
        As the scan wrote them.
    embed
        Gives the ``(N, D)`` embeddings of N sample ids.
    read_thumbnails
        Gives the encoded thumbnail of each sample id.
    stated
        The label that people's decisions give a sample; '' for one that they left out.
    consensus
        Consensus labels of several voters (columns ``consensus.CONSENSUS``); already in the samples' given labels.
    locations
        One row a file, as the scan wrote them; byte copies and unreadable files are told apart by it.
    cache
        Where a detector may keep work between runs; None for nowhere.
    embed_crops
        Gives the ``(N, D)`` embeddings of each named part of N pictures; None where only saved vectors are known.
    cross_fit
        Trains networks by k-fold and gives their log-probabilities, see ``train.cross_fit``; None for fast evidence.
    seed
        Of the folds of the label model.
    notes
        Sentences on what could not be looked for, and why; the detectors add to it.
    """

    spec: Spec
    samples: pd.DataFrame
    votes: pd.DataFrame
    embed: Callable[[Sequence[str]], np.ndarray]
    read_thumbnails: Callable[[Sequence[str]], dict[str, bytes]]
    locations: pd.DataFrame = field(default_factory=partial(empty, LOCATIONS))
    stated: Mapping[str, str] = field(default_factory=dict)
    consensus: pd.DataFrame = field(default_factory=partial(empty, CONSENSUS))
    cache: Path | None = None
    embed_crops: Callable[[Sequence[str]], dict[str, np.ndarray] | None] | None = None
    cross_fit: CrossFit | None = None
    seed: int = 0
    notes: list[str] = field(default_factory=list)

    @cached_property
    def readable(self) -> pd.DataFrame:
        """The samples without a `reason`, sorted by sample_id."""
        return self.samples[self.samples["reason"] == ""].sort_values("sample_id", ignore_index=True)

    @cached_property
    def ids(self) -> list[str]:
        return list(self.readable["sample_id"])

    @cached_property
    def given(self) -> np.ndarray:
        """Class number of each label as given, whatever people decided since, ``(N,)``; -1 for none."""
        return number_labels(self.readable["given_label"], self.spec.class_names)

    @cached_property
    def labels(self) -> np.ndarray:
        """Class number of the label of each sample that is known best, ``(N,)``; -1 for none.

        What a person stated counts more than what was given, and what a person left out teaches nothing. Decisions of
        the policy are not in it: they follow from the audit, and must not lead it on.
        """
        pairs = zip(self.ids, self.readable["given_label"], strict=True)
        return number_labels([self.stated.get(one, label) for one, label in pairs], self.spec.class_names)

    @cached_property
    def embeddings(self) -> np.ndarray:
        """``(N, D)`` float32, rows of length 1."""
        return self.embed(self.ids)

    @cached_property
    def neighbours(self) -> tuple[np.ndarray, np.ndarray]:
        """Indices and cosine similarities ``(N, k)`` of the one neighbour graph."""
        from curate.vectors.neighbours import compute_neighbours

        return compute_neighbours(self.embeddings, self.spec.audit.neighbours)

    @cached_property
    def groups(self) -> pd.DataFrame:
        """One row a readable sample: ``sample_id, group_id, kind, keeper, similarity``; see ``evidence.groups``."""
        from curate.audit.evidence.groups import compute_groups

        return compute_groups(self.readable, self.neighbours, self.read_thumbnails, self.cache)

    @cached_property
    def group_numbers(self) -> np.ndarray:
        """Number of the near-duplicate group of each readable sample ``(N,)``."""
        return pd.factorize(self.groups["group_id"])[0]

    @cached_property
    def strangeness(self) -> pd.DataFrame:
        """One row a readable sample: how far it and its parts are from the classes; see ``evidence.strangers``."""
        from curate.audit.evidence.strangers import find_strangers

        # A flat folder has no classes yet, and still most of its pictures are of one kind: one more class.
        left_out = np.array([self.stated.get(one) == "" for one in self.ids], dtype=bool)
        classes = len(self.spec.class_names)
        kinds = np.where((self.labels < 0) & ~left_out, classes, self.labels)

        def crops(rows: np.ndarray) -> dict[str, np.ndarray] | None:
            assert self.embed_crops
            return self.embed_crops([self.ids[row] for row in rows])

        embed_crops = crops if self.embed_crops else None
        return find_strangers(self.embeddings, kinds, self.group_numbers, classes, embed_crops)

    @cached_property
    def regions(self) -> np.ndarray:
        """Number of the region of like pictures of each readable sample ``(N,)``, -1 where there are none."""
        from curate.audit.evidence.regions import compute_regions

        return compute_regions(self.embeddings)

    @cached_property
    def pred_probs(self) -> np.ndarray | None:
        """Out-of-sample probabilities ``(N, K)``, NaN rows where there are none; None when nothing can be learnt."""
        from curate.audit.evidence.label_probs import compute_pred_probs

        def cross_fit(targets: np.ndarray, names: Sequence[str]) -> np.ndarray:
            assert self.cross_fit
            return self.cross_fit(self.ids, targets, list(self.groups["group_id"]), names)

        return compute_pred_probs(
            self.embeddings,
            self.labels,
            self.group_numbers,
            self.spec.class_names,
            self.spec.audit.folds,
            self.seed,
            self.notes,
            cross_fit if self.cross_fit else None,
        )


def map_thumbnails(
    evidence: Evidence,
    ids: Sequence[str],
    name: str,
    columns: list[str],
    measure: Callable[[bytes], tuple[object, ...]],
    noun: str,
) -> pd.DataFrame:
    """Return ``sample_id`` and ``columns``, a row for each of ``ids``: what ``measure`` says of each thumbnail.

    It is kept by content under ``name``, which carries the version of ``measure``; ``noun`` labels the bar of progress.
    """

    def measured(wanted: list[str]) -> Iterator[pd.DataFrame]:
        with ThreadPoolExecutor(available_processors()) as pool:
            for part in track(batched(wanted, THUMBNAILS), len(wanted), noun):
                thumbnails = evidence.read_thumbnails(part)
                found = pd.DataFrame(pool.map(measure, [thumbnails[one] for one in part]), columns=columns)
                found.insert(0, "sample_id", list(part))
                yield found

    blank = pd.DataFrame(columns=["sample_id", *columns])
    if evidence.cache is None:
        return pd.concat([blank, *measured(list(ids))], ignore_index=True)
    return ContentCache(evidence.cache, name).complete(ids, measured) if len(ids) else blank


def findings_table(rows: pd.DataFrame, issue: str, detector: str, **columns: object) -> pd.DataFrame:
    """Return ``rows`` (with sample_id and path) as findings of ``issue``, the other columns given or ''."""
    blank = {"group_id": "", "suggested_action": "", "suggested_label": "", "evidence": "", "kind": ""}
    table = rows.assign(**{**blank, "issue": issue, "detector": detector, **columns})
    return shaped(table, FINDINGS) if len(table) else empty(FINDINGS)


def describe_probs(probs: np.ndarray, names: list[str], classes: Sequence[int]) -> str:
    """Return the probabilities of ``classes`` in words.

    >>> describe_probs(np.array([0.02, 0.97]), ["cat", "dog"], [1, 0])
    'p(dog)=0.97, p(cat)=0.02'
    """
    return ", ".join(f"p({names[place]})={probs[place]:.2f}" for place in dict.fromkeys(classes))
