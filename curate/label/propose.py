"""Proposes labels for samples without one.

Proposals are votes of machines: kept apart, shown as findings of the issue `unlabelled`, never taken for truth. They
are learnt from the given labels and from labels that people decided one by one; not from a policy's changes, nor from
proposals that were accepted in bulk, or the model would agree with itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from curate.audit.audit import gather_evidence
from curate.audit.detectors.unlabelled import find_unlabelled
from curate.audit.findings import read_scored
from curate.images.samples import Scan, read_scan
from curate.label.pool import gather_pool, missing_classes, tell_missing
from curate.log.proposals import combine_proposals, write_proposals
from curate.spec.model import Spec
from curate.storage.folder import DatasetFolder
from curate.storage.tables import FINDINGS, VOTES, shaped, write_table
from curate.versions.labels import number_labels
from curate.versions.slices import find_slice

BELIEVED, SEEN = 0.9, 10  # a rule counts as right in 9 of 10 before the labelled samples of its slice are counted


@dataclass(frozen=True)
class Proposals:
    """What is proposed.

    `rows` has one row a readable sample that is not left out, with ``sample_id, path, label`` (what may be learnt from,
    '' for none), ``is_unlabelled, group_id, split``. `votes` are those of the voters, `combined` the one proposal a
    sample (see ``combine_proposals``), `features` and `probs` the embeddings ``(rows, D)``, centred, and the voters'
    tables ``(rows, K)``; `notes` says what is lacking.
    """

    rows: pd.DataFrame
    votes: pd.DataFrame
    combined: pd.DataFrame
    features: np.ndarray
    probs: dict[str, np.ndarray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def lacking(self) -> list[str]:
        """The sample ids without a label, in the order of ``rows``."""
        return list(self.rows.loc[self.rows["is_unlabelled"], "sample_id"])


def propose_labels(dataset: DatasetFolder, spec: Spec, models: Mapping[str, np.ndarray] | None = None) -> Proposals:
    """Return what is proposed for the samples without a label, and leave it in ``.curate/`` and among the findings.

    Parameters
    ----------
    models
        Name of a model -> its probabilities ``(N, K)`` for the N samples of ``unlabelled_samples``, in their order;
        columns in the order of the spec's classes.

    Raises
    ------
    Problem
        When there was no scan or audit yet, or a rule's slice asks for a column that is not there.
    """
    from curate.label.prototypes import centre_embeddings
    from curate.vectors.embed import compute_embeddings

    scan = read_scan(dataset)
    rows = gather_pool(dataset, spec, scan)
    lacking = rows["is_unlabelled"].to_numpy()
    embeddings = compute_embeddings(dataset, spec, list(rows["sample_id"])) if lacking.any() else np.zeros((0, 0))
    probs, notes = _prototype_probs(rows, embeddings, spec) if lacking.any() else ({}, [])
    for name, table in (models or {}).items():
        probs[f"model:{name}"] = np.full((len(rows), len(spec.classes)), np.nan)
        probs[f"model:{name}"][lacking] = table
    tables = [_name_most_probable(rows, voter, values, spec) for voter, values in probs.items()]
    tables += [_rule_votes(rows, scan, spec, name) for name in spec.rules]
    filled = [table for table in tables if len(table)]
    votes = write_proposals(dataset, pd.concat(filled) if filled else shaped(pd.DataFrame(columns=list(VOTES)), VOTES))
    refresh_findings(dataset, spec, scan)
    features = centre_embeddings(embeddings) if len(embeddings) else embeddings
    return Proposals(rows, votes, combine_proposals(votes, spec.class_names), features, probs, tuple(notes))


def refresh_findings(dataset: DatasetFolder, spec: Spec, scan: Scan) -> None:
    """Write the findings of `unlabelled` anew from what is proposed and picked; the others stay as the audit left them.

    The audit finds the same rows with the same function, so nothing has to be audited again.
    """
    findings = read_scored(dataset)
    others = findings[findings["issue"] != "unlabelled"]
    own = find_unlabelled(gather_evidence(dataset, spec, scan))
    filled = [table for table in (others, own) if len(table) and "unlabelled" not in spec.audit.skip]
    table = pd.concat(filled or [others]).sort_values(["issue", "score", "sample_id"])
    write_table(dataset.cache / "findings.parquet", shaped(table, FINDINGS))


def _prototype_probs(rows: pd.DataFrame, embeddings: np.ndarray, spec: Spec) -> tuple[dict[str, np.ndarray], list[str]]:
    from curate.label.prototypes import compute_class_probs

    labels = number_labels(rows["label"], spec.class_names)
    missing = missing_classes(rows, spec)
    notes = [tell_missing(missing, spec)] if missing else []
    if len(np.unique(labels[labels >= 0])) < 2:
        return {}, notes
    groups = pd.factorize(rows["group_id"])[0]
    probs = compute_class_probs(embeddings, labels, groups, len(spec.class_names))
    return {f"prototype:{spec.audit.embedding}": probs}, notes


def _name_most_probable(rows: pd.DataFrame, voter: str, probs: np.ndarray, spec: Spec) -> pd.DataFrame:
    """Return the voter's votes for the unlabelled rows: its most probable class, with the probability as share."""
    asked = np.flatnonzero(rows["is_unlabelled"].to_numpy() & np.isfinite(probs).all(axis=1))
    best = probs[asked].argmax(axis=1)
    labels = np.array(spec.class_names, dtype=object)[best]
    share = np.clip(probs[asked, best], 0, 1)
    ids = rows["sample_id"].to_numpy()[asked]
    return pd.DataFrame({"sample_id": ids, "label": labels, "voter": voter, "path": "", "share": share, "time": ""})


def _rule_votes(rows: pd.DataFrame, scan: Scan, spec: Spec, name: str) -> pd.DataFrame:
    """Return a rule's votes; their share is how often it is right on labelled samples, of which a few are assumed."""
    held = set(scan.samples["sample_id"][find_slice(scan, spec.slices[name], name)])
    inside = rows[rows["sample_id"].isin(held)]
    known = inside[inside["label"] != ""]
    right = int((known["label"] == spec.rules[name]).sum())
    share = (right + BELIEVED * SEEN) / (len(known) + SEEN)
    votes = pd.DataFrame({"sample_id": inside.loc[inside["is_unlabelled"], "sample_id"]})
    return votes.assign(label=spec.rules[name], voter=f"rule:{name}", path="", share=share, time="")
