"""Time and memory of looking for near copies, as the samples grow from a thousand to a million.

Hashes and embeddings are generated: clusters of a few dimensions, as classes and kinds are, and one sample in ten is a
near copy of another, by its hash (1 to 8 bits flipped, every second one mirrored) and its embedding (cosine about 0.9).
Each size and each method has a process of its own. What reads pictures is not in it: `bench_scan` has that.
Run: python -m tests.benchmarks.bench_scale [--limit 100000]   (alone some nine minutes; --limit caps the largest)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from curate.audit.evidence.candidates import HAMMING, find_candidates
from curate.audit.evidence.copy_groups import COPY, connect_copies
from curate.audit.evidence.evidence import Evidence
from curate.spec.model import Source, Spec
from curate.vectors.neighbours import find_near_hashes
from tests.benchmarks.bench_label_scale import fill, make_noise, peak_megabytes, seconds
from tests.benchmarks.results import case_arguments, markdown_table, run_alone, sizes_to_run, write_section

SIZES = (1_000, 10_000, 100_000, 1_000_000)
LARGEST = {"ours": 1_000_000, "faiss flat": 30_000, "scikit-learn": 10_000}  # what takes minutes beyond is left out
WIDTH = 1_280  # of Lite0's embeddings
MEMBERS, DIMENSIONS, SPREAD, NOISE = 100, 48, 0.6, 0.3  # of a cluster: as near as two photos of one kind
COPIES = 10  # one sample in so many is a near copy
APART = 0.6  # length of what is added to a copy's embedding
NEIGHBOURS = 10
CHECKED = 500  # rows whose nearest are looked for among all, to know how many of them were found
STRIDE = 7_919  # prime: a copy lies anywhere, not beside its original


@dataclass(frozen=True)
class Case:
    samples: int
    method: str


@dataclass(frozen=True)
class Generated:
    """Hashes ``(N,)``, those of the mirror images, embeddings ``(N, D)``; rows of copies and of their originals."""

    hashes: np.ndarray
    mirrored: np.ndarray
    embeddings: np.ndarray
    copies: np.ndarray
    originals: np.ndarray


def main() -> None:
    arguments = case_arguments(__doc__ or "", Case, measure)
    sizes = sizes_to_run(SIZES, arguments.limit)
    cases = [Case(size, method) for size in sizes for method, largest in LARGEST.items()]
    body = describe(
        [run_alone("bench_scale", case) if case.samples <= LARGEST[case.method] else blank(case) for case in cases]
    )
    if arguments.limit:
        print(body)
    else:
        write_section("Near copies: time and memory", body)


def blank(case: Case) -> dict[str, object]:
    names: tuple[str, ...] = (
        "near hashes, s",
        "graph, s",
        "candidates, s",
        "groups, s",
        "embeddings, MB",
        "graph's peak, MB",
    )
    names += ("peak, MB", "pairs a sample", "nearest found", "copies by hash", "copies found")
    return {"samples": f"{case.samples:,}", "method": case.method, **dict.fromkeys(names, "-")}


def measure(case: Case) -> dict[str, object]:
    """Return seconds and peak memory of one method, embeddings included, and how much of what was planted it found."""
    one = generate(case.samples)
    row = {**blank(case), "embeddings, MB": round(one.embeddings.nbytes / 2**20)}
    if case.method == "ours":
        row |= measure_ours(one)
    else:
        graphs: dict[str, Callable[[np.ndarray], np.ndarray]] = {"faiss flat": flat, "scikit-learn": brute}
        row["graph, s"], found = timed(lambda: graphs[case.method](one.embeddings))
        row["nearest found"] = share_found(one.embeddings, found)
        if case.method == "faiss flat":
            row["near hashes, s"], _ = timed(lambda: flat_hashes(one.hashes))
    return {**row, "peak, MB": f"{peak_megabytes():,.0f}"}


def measure_ours(one: Generated) -> dict[str, object]:
    hashing, near = timed(lambda: find_near_hashes(one.hashes, one.mirrored, HAMMING))
    evidence = evidence_of(one)
    graph, (indices, _) = timed(lambda: evidence.neighbours)
    peak = peak_megabytes()
    candidates, pairs = timed(
        lambda: np.array(find_candidates(evidence.readable, evidence.neighbours), np.int64).reshape(-1, 2)
    )
    # What the pair test says of each is taken for right: it costs the same at any size, and is not measured here.
    alike = np.isin(pairs[:, 0] * len(one.hashes) + pairs[:, 1], planted_keys(one))
    compared = pd.DataFrame({"first": pairs[:, 0], "second": pairs[:, 1], "similarity": np.where(alike, 0.95, 0.3)})
    grouping, root = timed(lambda: connect_copies(compared, len(one.hashes), COPY, lambda asked: {}))
    by_hash = np.isin(planted_keys(one), near[:, 0] * len(one.hashes) + near[:, 1])
    return {
        "near hashes, s": hashing,
        "graph, s": graph,
        "candidates, s": candidates,
        "groups, s": grouping,
        "graph's peak, MB": round(peak),
        "pairs a sample": len(pairs) / len(one.hashes),
        "nearest found": share_found(one.embeddings, indices),
        "copies by hash": float(by_hash.mean()),
        "copies found": float((root[one.copies] == root[one.originals]).mean()),
    }


def planted_keys(one: Generated) -> np.ndarray:
    return np.minimum(one.copies, one.originals) * len(one.hashes) + np.maximum(one.copies, one.originals)


def generate(count: int) -> Generated:
    draw = np.random.default_rng(0)
    copies = np.arange(0, count, COPIES)
    originals = np.setdiff1d(np.arange(count), copies)[(np.arange(len(copies)) * STRIDE) % (count - len(copies))]
    source = np.arange(count)
    source[copies] = originals
    centres = make_noise(draw, count // MEMBERS + 1, DIMENSIONS, 1.0)
    turn = np.linalg.qr(draw.standard_normal((WIDTH, DIMENSIONS)))[0].T.astype(np.float32)
    cluster = draw.integers(0, len(centres), count)
    is_copy = source != np.arange(count)

    def some(rows: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        within = np.stack([own_noise(row, DIMENSIONS, SPREAD) for row in source[rows]])
        apart = (
            make_noise(draw, len(rows), WIDTH, NOISE) + make_noise(draw, len(rows), WIDTH, APART) * is_copy[rows, None]
        )
        return (centres[cluster[source[rows]]] + within) @ turn + apart.astype(np.float32)

    hashes = draw.integers(0, 2**64, count, dtype=np.uint64)
    mirrored = draw.integers(0, 2**64, count, dtype=np.uint64)
    flipped = np.array([mask_of(draw, 1 + row % 8) for row in range(len(copies))], np.uint64)
    hashes[copies] = np.where(np.arange(len(copies)) % 2, mirrored[originals], hashes[originals]) ^ flipped
    return Generated(hashes, mirrored, fill(count, some), copies, originals)


def own_noise(row: int, columns: int, length: float) -> np.ndarray:
    return make_noise(np.random.default_rng(int(row)), 1, columns, length)[0]


def mask_of(draw: np.random.Generator, bits: int) -> int:
    return sum(1 << int(bit) for bit in draw.choice(64, bits, replace=False))


def evidence_of(one: Generated) -> Evidence:
    ids = [f"{place:020x}" for place in range(len(one.hashes))]
    columns = {"phash": one.hashes, "phash_mirrored": one.mirrored}
    samples = pd.DataFrame({"sample_id": ids, "reason": "", "pixel_hash": ids, **columns})
    spec = Spec(name="scale", classes={"a": ""}, sources=[Source(path="nowhere")])
    return Evidence(spec, samples, pd.DataFrame(), embed=lambda _: one.embeddings, read_thumbnails=lambda _: {})


def flat(embeddings: np.ndarray) -> np.ndarray:
    import faiss

    _, indices = faiss.knn(embeddings, embeddings, NEIGHBOURS + 1, faiss.METRIC_INNER_PRODUCT)
    return np.asarray(indices)


def flat_hashes(hashes: np.ndarray) -> None:
    import faiss

    index = faiss.IndexBinaryFlat(64)
    index.add(hashes.view(np.uint8).reshape(-1, 8))
    index.search(hashes.view(np.uint8).reshape(-1, 8), NEIGHBOURS + 1)


def brute(embeddings: np.ndarray) -> np.ndarray:
    from sklearn.neighbors import NearestNeighbors

    index = NearestNeighbors(n_neighbors=NEIGHBOURS + 1, algorithm="brute", metric="cosine").fit(embeddings)
    return np.asarray(index.kneighbors(embeddings, return_distance=False))


def share_found(embeddings: np.ndarray, indices: np.ndarray) -> float:
    """Return how many of the ten nearest of some rows are among ``indices``."""
    rows = np.arange(0, len(embeddings), max(1, len(embeddings) // CHECKED))[:CHECKED]
    shares = []
    for some in np.array_split(rows, 10):  # all at once would be most of the memory that is measured
        likeness = embeddings[some] @ embeddings.T
        likeness[np.arange(len(some)), some] = -2
        nearest = np.argpartition(-likeness, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
        shares += [len(set(one) & set(two)) for one, two in zip(nearest, indices[some], strict=True)]
    return float(np.mean(shares)) / NEIGHBOURS


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    results: list[Any] = []
    return seconds(lambda: results.append(work())), results[0]


def describe(rows: list[dict[str, object]]) -> str:
    return (
        f"Generated: clusters of {MEMBERS} in {DIMENSIONS} dimensions, one sample in {COPIES} a near copy of another, "
        f"D = {WIDTH:,}. A process a row; memory is all that the process held, its embeddings included. `nearest "
        f"found`: of the {NEIGHBOURS} nearest of {CHECKED} rows; `copies found`: planted pairs in one group, the pair "
        "test taken for right. '-': not looked for, or minutes at this size.\n\n" + markdown_table(rows)
    )


if __name__ == "__main__":
    main()
