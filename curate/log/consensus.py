"""Consensus labels that the last audit computed from several voters; they replace the scan's majority labels.

They hold for the votes from which they were computed; once those change, the majority applies until the next audit.
"""

from __future__ import annotations

import hashlib

import pandas as pd

from curate.log.votes import by_people
from curate.storage.files import read_cached
from curate.storage.folder import DatasetFolder
from curate.storage.tables import empty, read_parquet, read_table, shaped, write_table

# One row a sample with two voters or more; `quality` (0..1) is how sure it is that `label` is right, `agreement` the
# share of the voters who said so. `label` is '' where even the pictures cannot break a tie.
CONSENSUS = {"sample_id": "str", "label": "str", "quality": "float64", "votes": "int64", "agreement": "float64"}


def write_consensus(dataset: DatasetFolder, consensus: pd.DataFrame, votes: pd.DataFrame) -> None:
    """Keep ``consensus`` (columns ``CONSENSUS``) together with the digest of its ``votes``."""
    table = shaped(consensus, CONSENSUS).assign(votes_digest=votes_digest(votes))
    write_table(dataset.cache / "consensus.parquet", table)


def read_consensus(dataset: DatasetFolder, votes: pd.DataFrame) -> pd.DataFrame:
    """Return the consensus of ``votes`` with the columns ``CONSENSUS``; no rows when the audit has not seen them.

    Raises
    ------
    Problem
        When what the audit found is damaged: without a word, labels would become others.
    """
    path = dataset.cache / "consensus.parquet"
    table = read_table(path, f"curate audit {dataset.path}") if path.is_file() else empty(CONSENSUS)
    is_theirs = len(table) > 0 and table["votes_digest"].iloc[0] == votes_digest(votes)
    return shaped(table, CONSENSUS) if is_theirs else empty(CONSENSUS)


def has_consensus(dataset: DatasetFolder, votes: pd.DataFrame) -> bool:
    """Return whether the last audit has settled these ``votes``, or there is nothing to settle.

    A damaged table of consensus is removed: what it said of labels has to be found out again.
    """
    path = dataset.cache / "consensus.parquet"
    if path.is_file() and read_cached(path, read_parquet) is None:
        return False
    voters = by_people(votes).groupby("sample_id")["voter"].nunique()
    return not (voters > 1).any() or len(read_consensus(dataset, votes)) > 0


def overlay_consensus(dataset: DatasetFolder, samples: pd.DataFrame, votes: pd.DataFrame) -> pd.DataFrame:
    """Return ``samples`` with the consensus as ``given_label`` where there is one; it may be '', as a tie is."""
    return lay_over(samples, read_consensus(dataset, votes))


def lay_over(samples: pd.DataFrame, consensus: pd.DataFrame) -> pd.DataFrame:
    """Return ``samples`` with the labels of ``consensus`` in place of their given ones.

    >>> samples = pd.DataFrame({"sample_id": ["a", "b"], "given_label": ["cat", "dog"]})
    >>> lay_over(samples, pd.DataFrame({"sample_id": ["b"], "label": ["cat"]}))["given_label"].tolist()
    ['cat', 'cat']
    """
    if not len(consensus):
        return samples
    labels = samples["sample_id"].map(consensus.set_index("sample_id")["label"])
    return samples.assign(given_label=labels.where(labels.notna(), samples["given_label"]).astype("str"))


def votes_digest(votes: pd.DataFrame) -> str:
    """Return the SHA-256 of who said what, whatever the order of the rows."""
    said = by_people(votes)[["sample_id", "voter", "label"]].drop_duplicates()
    said = said.sort_values(["sample_id", "voter", "label"], ignore_index=True)
    return hashlib.sha256(pd.util.hash_pandas_object(said, index=False).to_numpy().tobytes()).hexdigest()
