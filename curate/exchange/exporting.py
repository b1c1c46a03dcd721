"""Writes votes to a file for other tools: CSV, JSONL, or Label Studio tasks with their configuration."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pandas as pd

from curate.audit.findings import open_findings
from curate.exchange.formats import written_format
from curate.exchange.label_studio import SUGGESTED_BY, render_config, write_tasks
from curate.exchange.lines import write_csv, write_jsonl
from curate.images.samples import Scan, read_scan
from curate.log.decision import LABEL_ISSUES
from curate.log.proposals import read_proposals
from curate.log.votes import by_people
from curate.spec.model import Spec
from curate.storage.files import Problem, read_cached, write_atomic
from curate.storage.folder import DatasetFolder
from curate.storage.tables import VOTES, empty, read_parquet, shaped

LOCAL_FILES = "/data/local-files/?d="  # Label Studio's address of a file on its own disk


def export_votes(dataset: DatasetFolder, spec: Spec, path: Path, form: str = "", image_prefix: str = "") -> list[Path]:
    """Write what all voters say now to the new file ``path``, and return the files written.

    ``csv`` and ``jsonl`` have one row a vote. ``labelstudio`` has one task a readable sample, with people's votes as
    annotations and proposals and the audit's suggestions as predictions, the most doubtful first; the labelling
    configuration lies beside it (``.xml``).

    Parameters
    ----------
    image_prefix
        What goes before a sample's path to make the address of its picture. '' for files on the disk of Label Studio:
        its local storage, with ``/`` as the document root.

    Raises
    ------
    Problem
        When ``path`` exists, the format is none that is written, or there was no scan yet.
    """
    form = written_format(path, form)
    config = path.with_suffix(".xml")
    there = [one for one in (path, config) if one.exists() and (one == path or form == "labelstudio")]
    if there:
        raise Problem(f"Expected a new file to export to, but {there[0]} is there. Name another one or remove it.")
    above = next(one for one in path.absolute().parents if one.exists())
    if not above.is_dir():
        raise Problem(f"Expected a folder to export into, but {above} is a file. Name another place than {path}.")
    scan = read_scan(dataset)
    if form == "labelstudio":
        tasks = _label_studio(dataset, scan, image_prefix)
        return [write_atomic(path, tasks), write_atomic(config, render_config(spec.classes))]
    write = write_csv if form == "csv" else write_jsonl
    return [write_atomic(path, write(_one_a_vote(scan)))]


def _one_a_vote(scan: Scan) -> pd.DataFrame:
    """A source states a vote once for each copy of a file; here it is one, with the sample's own path."""
    paths = dict(zip(scan.samples["sample_id"], scan.samples["path"], strict=True))
    votes = scan.votes.drop_duplicates([name for name in VOTES if name != "path"])
    return votes.assign(path=votes["sample_id"].map(paths)).reset_index(drop=True)


def _label_studio(dataset: DatasetFolder, scan: Scan, image_prefix: str) -> str:
    votes = _one_a_vote(scan)
    people = by_people(votes)
    suggested = _suggestions(dataset)
    proposals = pd.concat([suggested, read_proposals(dataset), votes.drop(people.index)], ignore_index=True)
    samples = scan.samples[scan.samples["reason"] == ""]
    order = pd.Series(range(len(suggested)), index=suggested["sample_id"], dtype="float64")
    order = order[~order.index.duplicated()]
    samples = samples.assign(order=samples["sample_id"].map(order)).sort_values(["order", "sample_id"])
    return write_tasks(samples.assign(image=_addresses(dataset, scan, samples, image_prefix)), people, proposals)


def _addresses(dataset: DatasetFolder, scan: Scan, samples: pd.DataFrame, image_prefix: str) -> list[str]:
    if image_prefix:
        return [image_prefix + quote(path) for path in samples["path"]]
    files = scan.locations.drop_duplicates(["source", "path"]).set_index(["source", "path"])["file"]
    places = [dataset.path / files[key] for key in zip(samples["source"], samples["path"], strict=True)]
    return [LOCAL_FILES + quote(place.resolve().as_posix().lstrip("/")) for place in places]


def _suggestions(dataset: DatasetFolder) -> pd.DataFrame:
    """Return the labels that the audit suggests for open findings as votes, the most doubtful sample first."""
    if not (dataset.cache / "findings.parquet").is_file():
        return empty(VOTES)
    found = open_findings(dataset)
    found = found[found["issue"].isin(LABEL_ISSUES) & (found["suggested_label"] != "")].sort_values("score")
    found = found.drop_duplicates("sample_id")
    votes = found.assign(label=found["suggested_label"], voter=SUGGESTED_BY, share=1.0, time="")
    return shaped(votes.assign(share=_probabilities(dataset, found)), VOTES)


def _probabilities(dataset: DatasetFolder, found: pd.DataFrame) -> list[float]:
    """Return how probable the audit holds each suggested label: its pred_probs, or what is left of the score."""
    table = read_cached(dataset.cache / "pred_probs.parquet", read_parquet)
    probs = pd.DataFrame() if table is None else table.set_index("sample_id")
    return [
        float(probs.at[row.sample_id, row.suggested_label])
        if row.sample_id in probs.index and row.suggested_label in probs.columns
        else 1 - float(row.score)
        for row in found.itertuples()
    ]
