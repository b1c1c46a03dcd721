"""Finds the copies and nearest neighbours of one image, be it a sample or any other file.

Copies are told by the audit's own test of pairs; the order of the others is the similarity of their embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from curate.audit.evidence.evidence import Evidence
from curate.audit.query_image import QueryImage, find_image
from curate.images.samples import Scan, read_scan
from curate.log.decisions import read_decisions
from curate.log.outcomes import fold_decisions
from curate.spec.model import Spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder
from curate.storage.tables import shaped
from curate.versions.labels import resolve_labels
from curate.versions.read import current_version, read_manifest

SIMILAR = {
    "rank": "int64",
    "path": "str",
    "sample_id": "str",
    "label": "str",
    "similarity": "float64",
    "relation": "str",
    "split": "str",
}
SAME_FILE, SAME_PIXELS = "identical file", "identical pixels"
TESTED = 20  # nearest by hash, and as many by embedding, that are tested for being copies


@dataclass(frozen=True)
class Similar:
    """What is like one image.

    `table` has the columns ``SIMILAR``: copies first, then the nearest. `label` is as decided, else as given, `split`
    that of the current version ('' when it is not in it), `similarity` the cosine of the embeddings (0..1; NaN where
    there is none), `relation` how it is a copy ('' when it is none). `standing` is `sample`, `copy` or `new`;
    `sentence` says that to a person, `notes` what could not be done.
    """

    table: pd.DataFrame
    standing: str
    sentence: str
    notes: list[str] = field(default_factory=list)


def find_similar(dataset: DatasetFolder, spec: Spec, image: str | Path, limit: int = 10) -> Similar:
    """Return the ``limit`` samples most like ``image``, copies first.

    Parameters
    ----------
    image
        A sample's id, 6 or more digits of it, or its path in the dataset; else any image file.

    Raises
    ------
    Problem
        When there was no scan yet, ``image`` is neither a sample nor a file, or it cannot be read.
    """
    if limit < 1:
        raise Problem(f"Expected a limit of 1 or more, found {limit}.")
    scan = read_scan(dataset)
    asked = find_image(scan, spec, str(image))
    evidence = _gather(dataset, spec, scan, asked)
    others = np.flatnonzero(evidence.readable["sample_id"] != asked.sample_id)
    notes: list[str] = []
    likeness = _compute_likeness(dataset, spec, evidence, asked, others, notes)
    relation = _find_relations(evidence, asked, others, likeness)
    rows = _tabulate(dataset, spec, scan, evidence, others, likeness, relation)
    if asked.is_file and not asked.thumbnail:
        rows = pd.concat([_itself(dataset, spec, scan, asked), rows], ignore_index=True)
    table = shaped(rows.head(limit).assign(rank=range(1, len(rows.head(limit)) + 1)), SIMILAR)
    return Similar(table, *_describe(dataset, spec, scan, asked, table), notes)


def _gather(dataset: DatasetFolder, spec: Spec, scan: Scan, asked: QueryImage) -> Evidence:
    """Return the samples, and the image where it is none of them, as one evidence; it keeps nothing on disk."""
    from curate.images.thumbnails import read_thumbnails

    samples = scan.samples
    if asked.thumbnail:
        samples = pd.concat([samples, asked.row.astype(samples.dtypes.to_dict(), errors="ignore")], ignore_index=True)

    def read(ids: list[str]) -> dict[str, bytes]:
        outside = {asked.sample_id: asked.thumbnail} if asked.thumbnail else {}
        return {**read_thumbnails(dataset, [one for one in ids if one not in outside]), **outside}

    def embed(ids: object) -> np.ndarray:
        raise AssertionError("similar embeds on its own")

    return Evidence(spec, samples, scan.votes, embed=embed, read_thumbnails=read)  # type: ignore[arg-type]


def _compute_likeness(
    dataset: DatasetFolder, spec: Spec, evidence: Evidence, asked: QueryImage, others: np.ndarray, notes: list[str]
) -> np.ndarray:
    """Return the similarity ``(M,)`` of each other sample, 0..1; NaN where the image has no embedding."""
    from curate.vectors.embed import compute_embeddings, embed_thumbnails

    if not len(others):
        return np.zeros(0)
    one = embed_thumbnails(spec, [asked.thumbnail]) if asked.thumbnail else None
    if asked.thumbnail and one is None:
        notes.append(
            f"audit.embedding is {spec.audit.embedding}: saved vectors hold none of a file outside the dataset, so "
            "only copies that its perceptual hash finds are shown. With lite0 the nearest could be told, too."
        )
        return np.full(len(others), np.nan)
    ids = [evidence.ids[row] for row in others]
    known = compute_embeddings(dataset, spec, ids if one is not None else [asked.sample_id, *ids])
    one, known = (one, known) if one is not None else (known[:1], known[1:])
    return np.clip(np.round((known @ one[0]).astype(np.float64), 6), 0, 1)


def _find_relations(evidence: Evidence, asked: QueryImage, others: np.ndarray, likeness: np.ndarray) -> dict[int, str]:
    """Return how rows are copies of the image, by row of ``evidence.readable``."""
    from curate.audit.evidence.candidates import HAMMING
    from curate.audit.evidence.copy_groups import COPY
    from curate.audit.evidence.groups import compare_candidates

    rows, mine = evidence.readable, evidence.ids.index(asked.sample_id)
    same = rows["pixel_hash"].to_numpy(object)[others] == rows["pixel_hash"].iloc[mine]
    plain, mirrored = (rows[name].to_numpy(np.uint64) for name in ("phash", "phash_mirrored"))
    bits = np.minimum(np.bitwise_count(plain[others] ^ plain[mine]), np.bitwise_count(plain[others] ^ mirrored[mine]))
    near = [place for place in np.lexsort((others, bits))[:TESTED] if bits[place] <= HAMMING]
    alike = [place for place in np.lexsort((others, -likeness))[:TESTED] if likeness[place] == likeness[place]]
    tested = {int(others[place]) for place in (*near, *alike) if not same[place]}
    asked_pairs = sorted((min(mine, row), max(mine, row)) for row in tested)
    pairs = compare_candidates(evidence.readable, asked_pairs, evidence.read_thumbnails, evidence.cache)
    copies = pairs[pairs["similarity"] >= COPY]
    found = {int(row.first + row.second - mine): row.kind.replace("_", " ") for row in copies.itertuples()}
    return {**found, **dict.fromkeys(others[same].tolist(), SAME_PIXELS)}


def _tabulate(
    dataset: DatasetFolder,
    spec: Spec,
    scan: Scan,
    evidence: Evidence,
    others: np.ndarray,
    likeness: np.ndarray,
    relation: dict[int, str],
) -> pd.DataFrame:
    """Return all copies and everything with a similarity, copies first, then the most similar."""
    table = evidence.readable.iloc[others][["sample_id", "path"]].assign(
        similarity=likeness, relation=[relation.get(int(row), "") for row in others]
    )
    table = table[(table["relation"] != "") | table["similarity"].notna()]
    is_new = table["relation"] == ""
    table = table.assign(is_new=is_new, is_other=table["relation"] != SAME_PIXELS, apart=-table["similarity"])
    table = table.sort_values(["is_new", "is_other", "apart", "sample_id"], ignore_index=True)
    return _with_labels(dataset, spec, scan, table)


def _with_labels(dataset: DatasetFolder, spec: Spec, scan: Scan, table: pd.DataFrame) -> pd.DataFrame:
    decided = resolve_labels(scan, fold_decisions(read_decisions(dataset.decisions)), spec)
    label = dict(zip(decided["sample_id"], decided["label"], strict=True))
    version = current_version(dataset)
    built = read_manifest(dataset, version) if version else pd.DataFrame(columns=["sample_id", "split"])
    split = dict(zip(built["sample_id"], built["split"], strict=True))
    ids = table["sample_id"]
    return table.assign(label=[label.get(one, "") for one in ids], split=[split.get(one, "") for one in ids])


def _itself(dataset: DatasetFolder, spec: Spec, scan: Scan, asked: QueryImage) -> pd.DataFrame:
    row = asked.row[["sample_id", "path"]].assign(similarity=1.0, relation=SAME_FILE)
    return _with_labels(dataset, spec, scan, row)


def _describe(
    dataset: DatasetFolder, spec: Spec, scan: Scan, asked: QueryImage, table: pd.DataFrame
) -> tuple[str, str]:
    """Return the standing of the image and the sentence that says it."""
    copies = table[table["relation"].isin(set(table["relation"]) - {"", SAME_FILE})]
    count = len(copies) - 1
    more = f" ({count} more)" if count > 0 else ""
    if not asked.thumbnail:
        [itself] = _itself(dataset, spec, scan, asked).to_dict("records")
        place = "" if asked.name == itself["path"] else f" as {itself['path']}"
        also = f"; {copies['path'].iloc[0]} is a copy of it{more}" if len(copies) else "; nothing else is a copy of it"
        return "sample", f"{asked.name} is in the dataset{place} ({_facts(itself)}){also}."
    if not len(copies):
        return "new", f"{asked.name} is new: nothing in the dataset was found to be a copy of it."
    first = copies.iloc[0]
    how = "has the same pixels as" if first["relation"] == SAME_PIXELS else f"is a copy ({first['relation']}) of"
    return "copy", f"{asked.name} is not in the dataset, but {how} {first['path']} ({_facts(first)}){more}."


def _facts(row: object) -> str:
    facts = [row["sample_id"], row["label"] or "no label", row["split"]]  # type: ignore[index]
    return ", ".join(filter(None, facts))
