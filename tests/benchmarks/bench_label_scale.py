"""Time and memory of the fast mode of label errors, as samples and as classes grow.

Samples: Lite0 embeddings of CIFAR-10N's cats and dogs with `worse_label`, repeated with noise; copies of one picture
are one group. Classes: generated clusters, one label in ten wrong. Each measurement has a process of its own.
Run: python -m tests.benchmarks.bench_label_scale --data FOLDER [--work FOLDER] [--limit 2000]
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from curate.audit.detectors.label_error import find_label_errors
from curate.audit.evidence.evidence import Evidence
from curate.spec.model import Source, Spec
from tests.benchmarks.bench_label_error import CLASSES, EMBEDDINGS, look_at, prepare
from tests.benchmarks.results import expect_data, markdown_table, run_alone, trial_parser, write_section

LABELS = "worse_label"
SAMPLES = (10_000, 30_000, 100_000)
NUMBERS_OF_CLASSES = (2, 30, 1_000)
SAMPLES_OF_CLASSES = 20_000
WIDTH = 1_280  # of Lite0's embeddings
OWN_NOISE = 0.3  # length of what is added to a repeated embedding of length 1
CLUSTER_DIMENSIONS, CLUSTER_NOISE = 64, 1.5  # clusters that overlap a little, even a thousand of them
WRONG = 0.1
CHUNK = 10_000


@dataclass(frozen=True)
class Case:
    """One measurement: the embeddings in the file ``base`` repeated to ``samples``, or clusters where it is ''."""

    samples: int
    classes: int
    base: str = ""


@dataclass(frozen=True)
class Labelled:
    """Embeddings ``(N, D)``, given labels ``(N,)``, which of them are wrong, and groups of copies ``(N,)``."""

    embeddings: np.ndarray
    labels: np.ndarray
    is_wrong: np.ndarray
    groups: np.ndarray


def main() -> None:
    parser = trial_parser(__doc__ or "")
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(Case(**json.loads(arguments.one)))))
        return
    source = expect_data(arguments.data / "cifar10n_catdog")
    with tempfile.TemporaryDirectory() as temporary:
        base = write_base(source, arguments.work or Path(temporary), Path(temporary), arguments.limit)
        most = arguments.limit or max(SAMPLES)
        grown = [
            run_alone("bench_label_scale", Case(count, len(CLASSES), str(base)))
            for count in sorted({min(most, one) for one in SAMPLES})
        ]
        classes = [
            run_alone("bench_label_scale", Case(min(most, SAMPLES_OF_CLASSES), count)) for count in NUMBERS_OF_CLASSES
        ]
    body = describe(grown, classes)
    if arguments.limit:
        print(body)
    else:
        write_section("Label errors: time and memory", body)


def write_base(source: Path, work: Path, folder: Path, limit: int) -> Path:
    """Write the embeddings and labels of the labelled pictures to a file of ``folder`` and return its path."""
    dataset, spec, sets = prepare(source, work, limit)
    [one] = [one for one in sets if one.name == LABELS]
    evidence = look_at(dataset, spec.model_copy(update={"audit": EMBEDDINGS["Lite0"]}))
    rows = np.array(one.labels) != ""
    labels = np.array([CLASSES.index(label) for label in np.array(one.labels)[rows]])
    np.savez(folder / "base.npz", embeddings=evidence.embeddings[rows], labels=labels, is_wrong=one.is_wrong[rows])
    return folder / "base.npz"


def measure(case: Case) -> dict[str, object]:
    """Return seconds and peak memory of each stage; memory is above the process with its embeddings."""
    one = repeat_base(case) if case.base else make_clusters(case)
    evidence = evidence_of(one, case.classes)
    started = peak_megabytes()
    model = seconds(lambda: evidence.pred_probs)
    model_peak = peak_megabytes() - started
    graph = seconds(lambda: evidence.neighbours)
    graph_peak = peak_megabytes() - started
    scores: list[pd.DataFrame] = []
    ranking = seconds(lambda: scores.append(find_label_errors(evidence)))
    found = scores[0].set_index("sample_id")["score"].reindex(evidence.ids).fillna(1.0)
    return {
        "samples": f"{case.samples:,}",
        "classes": f"{case.classes:,}",
        "probabilities, s": f"{model:.1f}",
        "neighbour graph, s": f"{graph:.1f}",
        "ranking and flag, s": f"{ranking:.1f}",
        "seconds together": f"{model + graph + ranking:.1f}",
        "embeddings, MB": round(one.embeddings.nbytes / 2**20),
        "peak: probabilities, MB": round(model_peak),
        "with graph": round(graph_peak),
        "with ranking": round(peak_megabytes() - started),
        "average precision": float(average_precision_score(one.is_wrong, -found.to_numpy())),
    }


def repeat_base(case: Case) -> Labelled:
    with np.load(case.base) as base:
        pictures, labels, is_wrong = base["embeddings"], base["labels"], base["is_wrong"]
    groups = np.arange(case.samples) % len(pictures)

    def some(rows: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        return pictures[groups[rows]] + make_noise(draw, len(rows), WIDTH, OWN_NOISE)

    return Labelled(fill(case.samples, some), labels[groups], is_wrong[groups], groups)


def make_clusters(case: Case) -> Labelled:
    """Return clusters of one length around random centres of a few dimensions, with labels wrong at random."""
    draw = np.random.default_rng(0)
    centres = make_noise(draw, case.classes, CLUSTER_DIMENSIONS, 1.0)
    turn = np.linalg.qr(draw.standard_normal((WIDTH, CLUSTER_DIMENSIONS)))[0].T.astype(np.float32)
    truth = np.arange(case.samples) % case.classes
    is_wrong = draw.random(case.samples) < WRONG
    other = (truth + draw.integers(1, case.classes, case.samples)) % case.classes

    def some(rows: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        within = centres[truth[rows]] + make_noise(draw, len(rows), CLUSTER_DIMENSIONS, CLUSTER_NOISE)
        return within @ turn + make_noise(draw, len(rows), WIDTH, OWN_NOISE)

    return Labelled(fill(case.samples, some), np.where(is_wrong, other, truth), is_wrong, np.arange(case.samples))


def fill(count: int, some: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> np.ndarray:
    """Return ``(count, WIDTH)`` rows of length 1; by chunks, so that making them needs no more memory than they do."""
    draw = np.random.default_rng(1)
    embeddings = np.empty((count, WIDTH), np.float32)
    for start in range(0, count, CHUNK):
        rows = np.arange(start, min(start + CHUNK, count))
        embeddings[rows] = some(rows, draw)
        embeddings[rows] /= np.linalg.norm(embeddings[rows], axis=1, keepdims=True)
    return embeddings


def make_noise(draw: np.random.Generator, rows: int, columns: int, length: float) -> np.ndarray:
    """Return normal rows whose mean squared length is ``length`` squared."""
    return draw.standard_normal((rows, columns), np.float32) * np.float32(length / np.sqrt(columns))


def evidence_of(one: Labelled, classes: int) -> Evidence:
    names = [f"c{place}" for place in range(classes)]
    ids = [f"{place:020x}" for place in range(len(one.labels))]
    given = [names[label] for label in one.labels]
    samples = pd.DataFrame({"sample_id": ids, "path": ids, "reason": "", "given_label": given})
    spec = Spec(name="scale", classes=dict.fromkeys(names, ""), sources=[Source(path="nowhere")])
    evidence = Evidence(spec, samples, pd.DataFrame(), embed=lambda _: one.embeddings, read_thumbnails=lambda _: {})
    groups = pd.DataFrame({"sample_id": ids, "group_id": [ids[group] for group in one.groups]})
    evidence.__dict__["groups"] = groups  # known here: looking for copies is not what is measured
    return evidence


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def peak_megabytes() -> float:
    """Return the most memory this process has held so far."""
    status = Path("/proc/self/status")
    if status.exists():  # there ru_maxrss starts from what the process that started this one held
        [line] = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)  # bytes there, kilobytes elsewhere


def describe(grown: list[dict[str, object]], classes: list[dict[str, object]]) -> str:
    return (
        f"Fast mode on embeddings that are there (D = {WIDTH:,}), a process a row; memory is the highest so far above "
        "the process that holds its embeddings.\n\nCIFAR-10N's cats and dogs, `worse_label`, repeated with noise:\n\n"
        + markdown_table(grown)
        + f"\n\nGenerated clusters, {WRONG:.0%} of the labels wrong at random:\n\n"
        + markdown_table(classes)
    )


if __name__ == "__main__":
    main()
