"""Lists the samples to label next."""

from __future__ import annotations

import numpy as np
import pandas as pd

from curate.audit.findings import open_findings
from curate.images.samples import read_scan
from curate.label.propose import Proposals, refresh_findings
from curate.log.proposals import write_picks
from curate.spec.model import Spec
from curate.storage.folder import DatasetFolder
from curate.versions.labels import number_labels

JUNK = ("outlier", "off_topic", "low_information", "dark", "light", "blurry", "unreadable")


def pick_next(dataset: DatasetFolder, spec: Spec, proposals: Proposals, count: int) -> tuple[pd.DataFrame, int]:
    """Return ``count`` samples to label next, in order, as ``proposals.PICKS``, and how many poor images were left out.

    They are informative and unlike each other (see ``label.next_labels``), no near copies of each other or of what
    is labelled, and without an open finding that makes them poor examples. The test split's share of them is drawn at
    random from it, so that the test set does not become one of hard cases. Also left in ``.curate/`` and put first
    among the findings of `unlabelled`, so that ``curate review`` shows them first.
    """
    rows = proposals.rows
    findings = open_findings(dataset)
    poor = set(findings.loc[findings["issue"].isin(JUNK), "sample_id"])
    candidates = _candidates(rows)
    passed_over = rows["sample_id"].isin(poor).to_numpy()
    asked = candidates & ~passed_over
    is_test = (rows["split"] == "test").to_numpy()
    tested = np.flatnonzero(asked & is_test)[
        : round(count * spec.split.test)
    ]  # by sample_id, which is a hash: at random
    chosen, why = pick_rows(
        proposals.features,
        number_labels(rows["label"], spec.class_names),
        np.flatnonzero(asked & ~is_test),
        list(proposals.probs.values()),
        len(spec.classes),
        count - len(tested),
    )
    if len(chosen) + len(tested) < count:
        tested = np.flatnonzero(asked & is_test)[: count - len(chosen)]
    picks = rows.iloc[[*chosen, *tested]][["sample_id", "path", "split"]].assign(
        place=range(1, len(chosen) + len(tested) + 1),
        why=[why] * len(chosen) + ["at random, for the test split"] * len(tested),
    )
    table = write_picks(dataset, picks)
    refresh_findings(dataset, spec, read_scan(dataset))
    return table, int((candidates & passed_over).sum())


def _candidates(rows: pd.DataFrame) -> np.ndarray:
    """Return which rows may be asked for: unlabelled, one of each near-duplicate group, none of a labelled one."""
    labelled = set(rows.loc[~rows["is_unlabelled"], "group_id"])
    open_ = rows["is_unlabelled"] & ~rows["group_id"].isin(labelled)
    first = ~rows["group_id"].where(open_, rows["sample_id"] + " taken").duplicated()
    return (open_ & first).to_numpy()


def pick_rows(
    features: np.ndarray, labels: np.ndarray, asked: np.ndarray, probs: list[np.ndarray], classes: int, count: int
) -> tuple[np.ndarray, str]:
    """Return ``count`` of the rows ``asked`` (or all), the first to label first, and why these, in words.

    Parameters
    ----------
    features
        ``(N, D)`` centred embeddings with rows of length 1.
    labels
        ``(N,)`` class numbers, -1 for none.
    probs
        Tables ``(N, classes)``, one a voter; rows that a voter knows nothing of are NaN.
    """
    from curate.label.next_labels import FEW, compute_informativeness, pick_informative, pick_typical

    if not len(asked) or count < 1:
        return asked[:0], ""
    known = [table for table in probs if np.isfinite(table[asked]).all()]
    fewest = np.bincount(labels[labels >= 0], minlength=classes).min()
    if known and fewest >= FEW:
        weights = compute_informativeness([table[asked] for table in known])
        return asked[pick_informative(features[asked], weights, count)], "informative"
    rows = np.concatenate([np.flatnonzero(labels >= 0), asked])
    is_labelled = np.arange(len(rows)) < len(rows) - len(asked)
    return rows[pick_typical(features[rows], is_labelled, count)], "typical"
