"""Runs every detector on the same evidence and writes one table of findings.

To add a check: write a function from ``Evidence`` to rows of ``tables.FINDINGS`` and name it in ``DETECTORS``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from curate.audit.consensus import settle_labels
from curate.audit.detectors import (
    coverage,
    label_conflict,
    label_error,
    leakage,
    near_duplicate,
    off_topic,
    outlier,
    overlaid_text,
    quality,
    unlabelled,
    weak_slice,
)
from curate.audit.detectors.shortcuts import shortcut
from curate.audit.evidence.evidence import CrossFit, Evidence
from curate.audit.findings import read_findings, with_conflicts
from curate.audit.patterns import KINDS, find_patterns, write_patterns
from curate.images.samples import Scan, read_voted
from curate.log.consensus import has_consensus, write_consensus
from curate.log.decision import UNTAUGHT, Decision
from curate.log.decisions import read_decisions
from curate.log.outcomes import fold_decisions
from curate.spec.model import Spec
from curate.storage.files import Problem, read_cached, read_json, write_json
from curate.storage.folder import DatasetFolder
from curate.storage.progress import track
from curate.storage.tables import FINDINGS, empty, read_parquet, shaped, write_table

TABLES = ("groups", "pred_probs", "findings", "consensus", "patterns", "pattern_members")
NOTES = "audit_notes.json"
VERSION = 1  # of what the audit computes as a whole; a detector's own version is in its DETECTOR name
DETECTORS: dict[str, Callable[[Evidence], pd.DataFrame]] = {
    "unreadable": quality.find_unreadable,
    "near_duplicate": near_duplicate.find_near_duplicates,
    "leakage": leakage.find_leakage,
    "label_conflict": label_conflict.find_label_conflicts,
    "label_error": label_error.find_label_errors,
    "unlabelled": unlabelled.find_unlabelled,
    "off_topic": off_topic.find_off_topic,
    "outlier": outlier.find_outliers,
    "dark": quality.find_dark,
    "light": quality.find_light,
    "blurry": quality.find_blurry,
    "low_information": quality.find_low_information,
    "odd_size": quality.find_odd_size,
    "odd_aspect_ratio": quality.find_odd_aspect_ratio,
    "grayscale": quality.find_grayscale,
    "overlaid_text": overlaid_text.find_overlaid_text,
    "placeholder": quality.find_placeholder,
    "border": quality.find_border,
}


def audit_dataset(dataset: DatasetFolder, spec: Spec, cross_fit: CrossFit | None = None) -> pd.DataFrame:
    """Return every scored row as ``tables.FINDINGS``, sorted by issue, score and sample_id; also those that passed.

    Among them are the conflicts between decisions that are open now: see ``curate.audit.findings.read_findings``.

    Writes ``findings``, ``groups``, ``pred_probs``, ``consensus`` and ``patterns`` (Parquet) and ``audit_notes.json``
    (what could not be looked for, and why) under ``.curate/``. When nothing changed since, the stored table comes back
    at once.

    Parameters
    ----------
    cross_fit
        Trains networks by k-fold where the spec asks for deep evidence: ``train.cross_fit.cross_fit`` of this dataset.

    Raises
    ------
    Problem
        When there is no scan yet, ``audit.skip`` names what is no issue, or ``audit.embedding`` a file that cannot be
        used.
    """
    _expect_known(spec.audit.skip)
    cross_fit = cross_fit if spec.audit.label_errors == "deep" else None
    scan = read_voted(dataset)
    stated = stated_labels(read_decisions(dataset.decisions))
    state, stored = _digest_of(dataset, scan, spec, stated, cross_fit is not None), dataset.cache / "audit.json"
    if read_cached(stored, read_json) == {"digest": state} and _is_whole(dataset):
        return read_findings(dataset)
    evidence = settle_labels(replace(gather_evidence(dataset, spec, scan), stated=stated, cross_fit=cross_fit))
    findings = _find_all(evidence)
    patterns = find_patterns(evidence, scan.metadata)
    stored.unlink(missing_ok=True)  # while the tables are being replaced they belong to no known state
    write_table(dataset.cache / "groups.parquet", evidence.groups)
    write_table(dataset.cache / "pred_probs.parquet", _tabulate_pred_probs(evidence))
    write_table(dataset.cache / "findings.parquet", findings)
    write_patterns(dataset, *patterns)
    write_consensus(dataset, evidence.consensus, scan.votes)
    write_json(dataset.cache / NOTES, evidence.notes)
    write_json(stored, {"digest": state})
    return with_conflicts(dataset, findings)


def _is_whole(dataset: DatasetFolder) -> bool:
    """Return whether everything that an audit leaves behind can be read."""
    return is_audited(dataset) and read_cached(dataset.cache / NOTES, read_json) is not None


def is_audited(dataset: DatasetFolder, tables: Iterable[str] = TABLES) -> bool:
    """Return whether an audit has left these ``tables`` behind, and they can be read."""
    return all(read_cached(dataset.cache / f"{name}.parquet", read_parquet) is not None for name in tables)


def has_seen_all(dataset: DatasetFolder) -> bool:
    """Return whether the last audit has seen all samples and votes of the last scan.

    Decisions made since do not count: they change what is found, but neither the copies nor the labels people gave.
    """
    scan, groups = read_voted(dataset), read_cached(dataset.cache / "groups.parquet", read_parquet)
    readable = scan.samples.loc[scan.samples["reason"] == "", "sample_id"]
    has_groups = groups is not None and readable.isin(groups["sample_id"]).all()
    return bool(has_groups) and has_consensus(dataset, scan.votes)


def _expect_known(skipped: list[str]) -> None:
    known = (*DETECTORS, *KINDS)
    unknown = [issue for issue in skipped if issue not in known]
    if unknown:
        raise Problem(f"audit.skip: expected issues ({', '.join(known)}), found {', '.join(map(repr, unknown))}.")


def stated_labels(decisions: list[Decision]) -> dict[str, str]:
    """Return the label that people state of each sample they decided; '' for one that they left out.

    What the policy decided is not in it: it follows from the audit, and an audit that followed it would never rest.
    """
    folded = fold_decisions([one for one in decisions if one.tool not in UNTAUGHT])
    folded = folded[folded["dropped"] | (folded["label"] != "")]
    labels = folded["label"].mask(folded["dropped"], "")
    return dict(zip(folded["sample_id"], labels, strict=True))


def read_notes(dataset: DatasetFolder) -> list[str]:
    """Return what the last audit could not look for, a sentence each."""
    return list(read_cached(dataset.cache / NOTES, read_json) or [])


def gather_evidence(dataset: DatasetFolder, spec: Spec, scan: Scan) -> Evidence:
    """Return the evidence of a scanned dataset; nothing is computed yet."""
    from curate.images.thumbnails import read_thumbnails
    from curate.vectors.embed import compute_embeddings, embed_crops

    return Evidence(
        spec=spec,
        samples=scan.samples,
        votes=scan.votes,
        locations=scan.locations,
        embed=partial(compute_embeddings, dataset, spec),
        read_thumbnails=partial(read_thumbnails, dataset),
        embed_crops=partial(embed_crops, dataset, spec),
        cache=dataset.cache,
    )


def _find_all(evidence: Evidence) -> pd.DataFrame:
    """Return the rows of all detectors that the spec does not skip, sorted by issue, score and sample_id."""
    wanted = [issue for issue in DETECTORS if issue not in evidence.spec.audit.skip]
    tables = [DETECTORS[issue](evidence) for issue in track(wanted, len(wanted), "audit", unit="checks")]
    filled = [table for table in tables if len(table)]
    rows = pd.concat(filled) if filled else empty(FINDINGS)
    # Rounded, so that the last bits of a processor's arithmetic decide neither an order nor a table's bytes.
    rows = rows.assign(score=rows["score"].clip(0, 1).round(6))
    return shaped(rows.sort_values(["issue", "score", "sample_id"]), FINDINGS)


def _tabulate_pred_probs(evidence: Evidence) -> pd.DataFrame:
    """Return ``sample_id`` and one column a class, for the samples that have probabilities."""
    probs = evidence.pred_probs
    if probs is None:
        probs = np.full((len(evidence.ids), len(evidence.spec.class_names)), np.nan)
    table = pd.DataFrame(probs, columns=evidence.spec.class_names)
    table.insert(0, "sample_id", pd.Series(evidence.ids, dtype="str"))
    return table[~np.isnan(probs).any(axis=1)].reset_index(drop=True)


def _digest_of(dataset: DatasetFolder, scan: Scan, spec: Spec, stated: dict[str, str], is_deep: bool = False) -> str:
    """Return the SHA-256 of all that the findings depend on."""
    digest = hashlib.sha256()
    modules = (label_conflict, label_error, leakage, near_duplicate, off_topic, outlier, quality, unlabelled)
    versions = [module.DETECTOR for module in (*modules, coverage, overlaid_text, shortcut, weak_slice)]
    options = {"version": VERSION, "detectors": versions, "audit": spec.audit.model_dump(), "classes": spec.class_names}
    slices = {name: part.model_dump() for name, part in spec.slices.items()}
    of_patterns = [slices, spec.check.min_per_class, spec.check.max_imbalance]
    digest.update(json.dumps([options, stated, is_deep, of_patterns], sort_keys=True).encode())
    for table in (scan.samples, scan.votes, scan.locations, scan.metadata):
        digest.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
    if spec.audit.embedding.endswith(".npy"):
        for file in (dataset.path / spec.audit.embedding, (dataset.path / spec.audit.embedding).with_suffix(".txt")):
            digest.update(hashlib.sha256(file.read_bytes()).digest() if file.is_file() else b"missing")
    return digest.hexdigest()
