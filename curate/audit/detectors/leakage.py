"""Finds near copies across the splits that the sources state: test images that training has seen.

The build puts near copies on one side, so what is found here is a fault of the splits as given: a model that was
trained on them elsewhere has seen its exam.
"""

from __future__ import annotations

import pandas as pd

from curate.audit.evidence.copy_groups import COPY
from curate.audit.evidence.evidence import Evidence, findings_table
from curate.audit.evidence.groups import compare_candidates
from curate.storage.tables import SPLITS

DETECTOR = "leakage-v3"
SAME_FILE = "identical_file"
MOST = 5  # members of a group on the other side that one sample is compared with


def find_leakage(evidence: Evidence) -> pd.DataFrame:
    """Return the samples with a given split; an issue where a copy was given to another, of both copies.

    Of a copy in train and one in test (or val), the one in train should go: the exam stays. Of val and test likewise.
    Score: 1 - similarity of the two, 0 for one file that was given to both, 1 without copies. No given splits: no rows.
    """
    rows = evidence.readable.merge(evidence.groups[["sample_id", "group_id"]], on="sample_id")
    rows = rows[rows["given_split"].isin(SPLITS)]
    if rows["given_split"].nunique() < 2 and not len(_straddling_files(evidence)):
        return findings_table(rows.head(0), "leakage", DETECTOR)
    leaks = pd.DataFrame(_file_leaks(evidence, rows) + _copy_leaks(evidence, rows), columns=LEAK)
    leaks = leaks.sort_values(["sample_id", "score", "evidence"]).drop_duplicates("sample_id")
    found = rows.merge(leaks, on="sample_id", how="left")
    is_leak = found["score"].notna()
    return findings_table(
        found,
        "leakage",
        DETECTOR,
        score=found["score"].fillna(1.0),
        is_issue=is_leak,
        group_id=found["group_id"].where(is_leak, ""),
        suggested_action=found["suggested_action"].fillna(""),
        evidence=found["evidence"].fillna(""),
    )


LEAK = ["sample_id", "score", "suggested_action", "evidence"]


def _straddling_files(evidence: Evidence) -> pd.DataFrame:
    """Return the files of samples whose byte copies were given to several splits, strictest split first."""
    files = evidence.locations[evidence.locations["split"].isin(SPLITS)]
    files = files.assign(rank=files["split"].map(SPLITS.index)).sort_values(["rank", "path"], ascending=[False, True])
    return files[files.groupby("sample_id")["split"].transform("nunique") > 1]


def _file_leaks(evidence: Evidence, rows: pd.DataFrame) -> list[tuple]:
    leaks = []
    files = _straddling_files(evidence)
    for sample_id, own in files[files["sample_id"].isin(rows["sample_id"])].groupby("sample_id", sort=True):
        held, seen = own.iloc[0], own.iloc[-1]
        leaks.append((sample_id, 0.0, "keep", _sentence(held.path, held.split, seen.path, seen.split, SAME_FILE, 1.0)))
    return leaks


def _copy_leaks(evidence: Evidence, rows: pd.DataFrame) -> list[tuple]:
    """Return both sides of each pair of near copies with different given splits, with the pair's own verdict."""
    place = {one: row for row, one in enumerate(evidence.ids)}
    pairs = sorted({(min(pair), max(pair)) for pair in _pairs(rows, place)})
    split = dict(zip(rows["sample_id"], rows["given_split"], strict=True))
    path = dict(zip(rows["sample_id"], rows["path"], strict=True))
    ids, leaks = evidence.ids, []
    for pair in compare_candidates(evidence.readable, pairs, evidence.read_thumbnails, evidence.cache).itertuples():
        sides = sorted((ids[pair.first], ids[pair.second]), key=lambda one: -SPLITS.index(split[one]))
        held, seen = sides
        said = _sentence(path[held], split[held], path[seen], split[seen], pair.kind, pair.similarity)
        leaks += [(one, 1 - pair.similarity, action, said) for one, action in ((held, "keep"), (seen, "drop"))]
    return leaks


def _pairs(rows: pd.DataFrame, place: dict[str, int]) -> list[tuple[int, int]]:
    """Return the pairs of rows of one group that were given to different splits."""
    pairs = []
    for _, group in rows.groupby("group_id", sort=True):
        if group["given_split"].nunique() > 1:
            sides = {split: [place[one] for one in some["sample_id"]] for split, some in group.groupby("given_split")}
            for one, other in (("test", "train"), ("test", "val"), ("val", "train")):
                held, seen = sides.get(one, []), sides.get(other, [])
                pairs += [(a, b) for a in held for b in seen[:MOST]] + [(a, b) for b in seen for a in held[:MOST]]
    return pairs


def _sentence(held: str, held_split: str, seen: str, seen_split: str, kind: str, similarity: float) -> str:
    what = {SAME_FILE: "the same file", "identical_pixels": "identical pixels"}
    words = what.get(kind) or f"{kind.replace('_', ' ')} copy, similarity {similarity:.2f}"
    words = words if similarity >= COPY else "both are copies of others in their group"
    return f"{held} was given to {held_split}, {seen} to {seen_split}: {words}"
