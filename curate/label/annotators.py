"""Tabulates annotators: how many votes each gave, and how often other annotators and the model agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from curate.images.samples import read_scan, read_voted
from curate.log.votes import by_people, list_voters, read_votes
from curate.spec.model import Spec
from curate.storage.files import Problem, read_cached
from curate.storage.folder import DatasetFolder
from curate.storage.tables import read_parquet

NEW = 20  # shared samples below which nothing is said of somebody's labels
POOR = 0.8  # agreement with the consensus below which a person's labels deserve a look


def tabulate_annotators(dataset: DatasetFolder, spec: Spec) -> pd.DataFrame:
    """Return one row a person who voted, best to worst, and the model last; no rows when no two saw the same sample.

    Returns
    -------
    The columns of ``crowdlab.ANNOTATORS``. What the last audit learnt of the pictures weighs in; without it
    a person is measured by the majority alone, and there is no row of the model.

    Raises
    ------
    Problem
        When there was no scan yet, or the table of samples and annotators would not fit into memory.
    """
    from curate.audit.evidence.crowdlab import ANNOTATORS, compute_consensus, is_too_large, tabulate_votes
    from curate.storage.tables import empty

    scan = read_voted(dataset)
    if is_too_large(scan.votes):
        raise Problem(
            "Expected a table of samples and annotators of at most 20 million cells, but the votes need more."
        )
    ids = sorted(scan.samples.loc[scan.samples["reason"] == "", "sample_id"])
    wide = tabulate_votes(scan.votes, ids, spec.class_names)
    if not (wide.notna().sum(axis=1) > 1).any():
        return empty(ANNOTATORS)
    return compute_consensus(wide, ids, _read_probs(dataset, spec, ids), spec.class_names).annotators


def _read_probs(dataset: DatasetFolder, spec: Spec, ids: list[str]) -> np.ndarray | None:
    """Return the audit's probabilities ``(N, K)`` of ``ids``, NaN where it has none; None before an audit."""
    table = read_cached(dataset.cache / "pred_probs.parquet", read_parquet)
    # Of other classes: from before dataset.yaml was changed.
    if table is None or list(table.columns)[1:] != spec.class_names:
        return None
    known = table.iloc[:, 1:].to_numpy(dtype=np.float64)
    place = pd.Index(table["sample_id"]).get_indexer(ids)
    return np.where((place >= 0)[:, None], known[place], np.nan) if len(known) else None


def advise(annotators: pd.DataFrame) -> str:
    """Return a sentence that says what to do about the worst annotator; '' when there is none.

    >>> row = {"annotator": "csv:cem", "shared": 80, "agreement": 0.6, "consensus": "cat", "said": "dog", "times": 31}
    >>> advise(pd.DataFrame([row]))[:73]
    'csv:cem agrees with the consensus on 60 % of 80 samples and said dog 31 t'
    """
    people = annotators[(annotators["shared"] >= NEW) & annotators["agreement"].notna()]
    if not len(people):
        return f"Nobody shares {NEW} samples with others yet: too few to judge anybody by." if len(annotators) else ""
    worst: Any = people.iloc[-1]
    mistake = (
        f" and said {worst['said']} {worst['times']} times where it is {worst['consensus']}" if worst["times"] else ""
    )
    found = f"{worst['annotator']} agrees with the consensus on {worst['agreement']:.0%} of {worst['shared']:,} samples"
    found = found.replace("%", " %") + mistake
    if worst["agreement"] >= POOR:
        return f"{found}: nobody stands out."
    return (
        f"{found}. Show them the definitions in dataset.yaml, have what only they labelled labelled once more, "
        "and look at `curate findings --issue label_conflict`."
    )


def count_votes(dataset: DatasetFolder) -> dict[str, Any]:
    """Return who voted (``voters``, rows of ``list_voters``) and the counts of readable samples by their votes.

    ``samples`` can be read, of them ``ties`` have votes that tie, ``unlabelled`` have none of a person;
    ``of_unknown_samples`` counts votes in votes.jsonl whose sample no source holds now.
    """
    scan = read_scan(dataset)
    logged = read_votes(dataset.votes)["sample_id"]
    readable = scan.samples[scan.samples["reason"] == ""]
    has_vote = readable["sample_id"].isin(by_people(scan.votes)["sample_id"])
    return {
        "voters": list_voters(scan.votes).to_dict("records"),
        "samples": len(readable),
        "ties": int((has_vote & (readable["given_label"] == "")).sum()),
        "unlabelled": int((~has_vote).sum()),
        "of_unknown_samples": int((~logged.isin(scan.samples["sample_id"])).sum()),
    }
