"""Samples without a label to proposals, to what to label next, and to a person's decisions.

Proposals are votes of machines: kept apart, shown as findings of the issue `unlabelled`, never taken for truth. They
are learnt from the given labels and from what people decided one by one; not from what a policy changed, nor from
proposals that were accepted in bulk, or the machine would agree with itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from curate.audit.audit import gather_evidence
from curate.audit.detectors.unlabelled import DETECTOR, find_unlabelled
from curate.audit.findings import open_findings, read_scored
from curate.decide.policy import current_user
from curate.images.scan import Scan, read_scan
from curate.log.decisions import UNTAUGHT, Decision, append_decisions, fold_decisions, read_decisions
from curate.log.proposals import combine_proposals, read_proposals, write_picks, write_proposals
from curate.spec.model import Spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder
from curate.storage.tables import FINDINGS, VOTES, shaped, write_table
from curate.versions.build import place_samples, read_groups, resolve_labels
from curate.versions.slices import find_slice

JUNK = ("outlier", "off_topic", "low_information", "dark", "light", "blurry", "unreadable")
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


def unlabelled_samples(dataset: DatasetFolder, spec: Spec) -> list[str]:
    """Return the ids of the samples that `curate label` would propose a label for: readable, not left out, no label."""
    rows = _gather_rows(dataset, spec, read_scan(dataset))
    return list(rows.loc[rows["is_unlabelled"], "sample_id"])


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
    rows = _gather_rows(dataset, spec, scan)
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


def _gather_rows(dataset: DatasetFolder, spec: Spec, scan: Scan) -> pd.DataFrame:
    decisions = read_decisions(dataset.decisions)
    now = resolve_labels(scan, fold_decisions(decisions), spec)
    by_people = resolve_labels(scan, fold_decisions([one for one in decisions if one.tool not in UNTAUGHT]), spec)
    taught = now["sample_id"].map(by_people.set_index("sample_id")["label"])
    now["group_id"] = now["sample_id"].map(read_groups(dataset, scan))
    now["split"] = now["sample_id"].map(place_samples(dataset, now, spec).split).fillna("")
    now["is_unlabelled"] = now["excluded"] == "unlabelled"
    # A label that only a policy or an acceptance in bulk made is right now, but nothing to learn from.
    now["label"] = now["label"].where((now["label"] == taught) & (now["excluded"] == ""), "")
    wanted = now["is_unlabelled"] | (now["excluded"] == "")
    columns = ["sample_id", "path", "label", "is_unlabelled", "group_id", "split"]
    return now.loc[wanted, columns].sort_values("sample_id", ignore_index=True)


def _numbers(rows: pd.DataFrame, spec: Spec) -> np.ndarray:
    number = {name: place for place, name in enumerate(spec.class_names)}
    return np.array([number.get(label, -1) for label in rows["label"]], dtype=np.int64)


def _prototype_probs(rows: pd.DataFrame, embeddings: np.ndarray, spec: Spec) -> tuple[dict[str, np.ndarray], list[str]]:
    from curate.label.prototypes import compute_class_probs

    labels = _numbers(rows, spec)
    missing = missing_classes(rows, spec)
    notes = [_what_is_missing(missing, spec)] if missing else []
    if len(np.unique(labels[labels >= 0])) < 2:
        return {}, notes
    groups = pd.factorize(rows["group_id"])[0]
    probs = compute_class_probs(embeddings, labels, groups, len(spec.class_names))
    return {f"prototype:{spec.audit.embedding}": probs}, notes


def missing_classes(rows: pd.DataFrame, spec: Spec) -> list[str]:
    """Return the classes that no label can be learnt of, in the order of the spec."""
    known = set(rows["label"])
    return [name for name in spec.classes if name not in known]


def _what_is_missing(missing: list[str], spec: Spec) -> str:
    have = len(spec.classes) - len(missing)
    named = ", ".join(f"`{name}`" for name in missing[:5]) + (" ..." if len(missing) > 5 else "")
    effect = "Nothing can be learnt yet" if have < 2 else "No sample can be proposed as one of the others"
    return (
        f"{have} of {len(spec.classes)} classes have a label. {effect}: label at least one each of {named} by hand, "
        f"as in `curate decide PATH relabel {missing[0]}`, or in `curate review`."
    )


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


@dataclass(frozen=True)
class Accepted:
    """The decisions made, and how many proposals as sure were left because their samples are in the test split."""

    decisions: list[Decision]
    left_in_test: int


def accept_proposals(
    dataset: DatasetFolder, spec: Spec, at_least: float, include_test: bool = False, actor: str | None = None
) -> Accepted:
    """Write a person's acceptance of every proposal with a probability of ``at_least``, as relabel decisions.

    Parameters
    ----------
    include_test
        Also for samples of the test split, or that would fall there. Without it a model never writes its own exam:
        ``curate.versions.split`` brings no sample there whose label was accepted.

    Raises
    ------
    Problem
        When a class has no label yet: its samples would all be taken for another.
    """
    rows = _gather_rows(dataset, spec, read_scan(dataset))
    if not rows["is_unlabelled"].any():
        return Accepted([], 0)
    if missing := missing_classes(rows, spec):
        raise Problem(
            "Expected a label of each class before proposals are accepted. " + _what_is_missing(missing, spec)
        )
    waiting = combine_proposals(read_proposals(dataset), spec.class_names)
    asked = rows.loc[rows["is_unlabelled"], ["sample_id", "split"]]
    chosen = waiting[waiting["probability"] >= at_least].merge(asked, on="sample_id")
    is_test = (chosen["split"] == "test") & (not include_test)
    chosen = chosen[~is_test]
    decisions = [
        Decision(
            actor=actor or current_user(),
            tool="label",
            sample_id=row.sample_id,
            action="relabel",
            label=row.label,
            reason=row.said,
            finding="unlabelled",
            score=row.probability,
            detector=DETECTOR,
        )
        for row in chosen.itertuples()
    ]
    made = append_decisions(dataset.decisions, decisions) if decisions else []
    return Accepted(made, int(is_test.sum()))


def pick_next(dataset: DatasetFolder, spec: Spec, proposals: Proposals, count: int) -> tuple[pd.DataFrame, int]:
    """Return ``count`` samples to label next, in order, as ``proposals.PICKS``, and how many poor images were left out.

    They are informative and unlike each other (see ``detectors.next_labels``), no near copies of each other or of what
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
        _numbers(rows, spec),
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
