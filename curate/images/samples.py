"""Reads the tables that the last scan wrote: samples, files, votes, and the further columns of a CSV."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from curate.log.consensus import overlay_consensus
from curate.log.votes import by_people, read_votes
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder
from curate.storage.tables import LOCATIONS, SAMPLES, VOTES, read_table, shaped

TABLES = ("samples", "locations", "votes", "metadata")


@dataclass(frozen=True)
class Scan:
    """The tables of a scan; see ``storage.tables`` for their columns. ``metadata`` holds a CSV's further columns."""

    samples: pd.DataFrame
    locations: pd.DataFrame
    votes: pd.DataFrame
    metadata: pd.DataFrame

    def counts(self) -> dict[str, int]:
        """Return samples, locations (further copies), unreadable and ignored: together the files found."""
        status = self.locations["status"].value_counts()
        names = {"samples": "sample", "locations": "location", "unreadable": "unreadable", "ignored": "ignored"}
        return {name: int(status.get(value, 0)) for name, value in names.items()}

    def accounting(self) -> str:
        """Return the sentence that accounts for every file found, as ``3 samples + … + 1 ignored = 5 files found``."""
        counts = self.counts()
        names = {"samples": "samples", "locations": "further copies", "unreadable": "unreadable", "ignored": "ignored"}
        parts = " + ".join(f"{counts[key]:,} {name}" for key, name in names.items())
        return f"{parts} = {sum(counts.values()):,} files found"


def is_scanned(dataset: DatasetFolder) -> bool:
    """Return whether the tables of a scan are there, whole and of this version of specurate."""
    try:
        read_sources(dataset)
    except Problem:
        return False
    return True


def read_scan(dataset: DatasetFolder) -> Scan:
    """Return the last scan with the votes given up to now and their consensus, which the audit makes.

    Raises
    ------
    Problem
        When there was no scan; it names the command.
    """
    scan = read_voted(dataset)
    return replace(scan, samples=overlay_consensus(dataset, scan.samples, scan.votes))


def read_voted(dataset: DatasetFolder) -> Scan:
    """Return the last scan with the votes given up to now; a label given by several is what most of them say."""
    return join_votes(read_sources(dataset), read_votes(dataset.votes))


def read_sources(dataset: DatasetFolder) -> Scan:
    """Return the last scan as its sources state it, without votes.jsonl."""
    made_by = f"curate scan {dataset.path}"
    expected = {"samples": SAMPLES, "locations": LOCATIONS, "votes": VOTES, "metadata": ()}
    files = {name: dataset.cache / f"{name}.parquet" for name in TABLES}
    return Scan(**{name: read_table(file, made_by, expected[name]) for name, file in files.items()})


def join_votes(scan: Scan, said: pd.DataFrame) -> Scan:
    """Return ``scan`` with the votes ``said`` outside its sources, where it knows the sample, and its given labels.

    What a voter said wins over what a source states of the same voter and sample.
    """
    said = said[said["sample_id"].isin(scan.samples["sample_id"])]
    if not len(said):
        return scan
    key = ["sample_id", "voter"]
    is_older = pd.MultiIndex.from_frame(scan.votes[key]).isin(pd.MultiIndex.from_frame(said[key]))
    votes = shaped(pd.concat([scan.votes[~is_older], said]).sort_values(list(VOTES)), VOTES)
    given = given_labels(votes).to_dict()  # a dict: mapping text by a table is slow
    labels = [given.get(one, "") for one in scan.samples["sample_id"]]
    return replace(scan, votes=votes, samples=shaped(scan.samples.assign(given_label=labels), SAMPLES))


def given_labels(votes: pd.DataFrame) -> pd.Series:
    """Return the label most people gave each sample, indexed by sample_id; '' where the votes tie.

    Each voter counts once for each label it gave, however many copies of the file there are. Models, prototypes and
    rules do not count: what they say is a proposal.
    """
    votes = by_people(votes)
    if not len(votes):
        return pd.Series(dtype="str")
    counts = votes.drop_duplicates(["sample_id", "label", "voter"]).groupby(["sample_id", "label"]).size()
    top = counts[counts == counts.groupby("sample_id").transform("max")].reset_index()
    top["label"] = top["label"].where(~top["sample_id"].duplicated(keep=False), "")
    return top.drop_duplicates("sample_id").set_index("sample_id")["label"]


def find_sample(scan: Scan, name: str) -> str:
    """Return the id of the sample that ``name`` means: its id, a start of it of 6 or more digits, or a path of it."""
    ids = scan.samples["sample_id"]
    matches = set(ids[ids == name]) or set(scan.locations.loc[scan.locations["path"] == name, "sample_id"]) - {""}
    if not matches and len(name) >= 6:
        matches = set(ids[ids.str.startswith(name)])
    if len(matches) != 1:
        alike = [one for one in scan.locations["path"] if one.endswith(f"/{name}")]
        meant = f" (did you mean {' or '.join(alike[:3])}?)" if alike else ""
        found = f"none has it{meant}" if not matches else f"{len(matches)} have it"
        raise Problem(f"Expected a sample id (or 6 or more of its digits) or a path, found {name!r}: {found}.")
    return str(matches.pop())
