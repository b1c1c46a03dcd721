"""Label errors on real human noise: our ranking beside cleanlab's, Datalab's, FiftyOne Brain's and a neighbours' vote.

CIFAR-10N's cats and dogs (10,000 images of 32 px); a label set keeps the images that it calls cat or dog, and an error
is where it differs from `clean_label`. All peers get the same embeddings. Settings were chosen on `random_label2`.
Datalab is left out where the package `datasets` is not installed.
Run: python -m tests.benchmarks.bench_label_error --data FOLDER [--work FOLDER] [--limit 1000] [--no-deep]
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from curate.audit.audit import gather_evidence
from curate.audit.detectors.label_error import find_label_errors
from curate.audit.evidence.evidence import Evidence
from curate.images.init import Start, init_dataset
from curate.images.samples import read_scan
from curate.images.scan import scan_dataset
from curate.spec.model import Audit, Spec
from curate.spec.reading import read_spec
from curate.storage.folder import DatasetFolder, open_folder
from tests.benchmarks.results import expect_data, markdown_table, trial_parser, write_section
from train.cross_fit import Recipe, cross_fit

CLASSES = ["cat", "dog"]
ACTIVATIONS = f"activations-lite0-{Recipe().side}-{Recipe().frozen_blocks}-v1"
CHOSEN_ON = "random_label2"
REPORTED = ("worse_label", "aggre_label", "random_label1")
EMBEDDINGS = {"Lite0": Audit(), "Lite0+1+2, mirrored": Audit(embedding="lite0+lite1+lite2", mirrored=True)}
SEEDS = (0, 1, 2)  # of the folds
Scores = Callable[[Evidence, int], np.ndarray]  # low = bad, one a labelled sample


@dataclass(frozen=True)
class LabelSet:
    """What one set of human labels says of the samples in order of sample_id; '' where it says neither class."""

    name: str
    labels: list[str]
    is_wrong: np.ndarray


def main() -> None:
    parser = trial_parser(__doc__ or "")
    parser.add_argument("--deep", action=argparse.BooleanOptionalAction, default=True, help="the deep mode too")
    arguments = parser.parse_args()
    source = expect_data(arguments.data / "cifar10n_catdog")
    with tempfile.TemporaryDirectory() as temporary:
        dataset, spec, sets = prepare(source, arguments.work or Path(temporary), arguments.limit)
        rows = measure(dataset, spec, sets, arguments.deep)
    body = describe(rows, sets)
    if arguments.limit:
        print(body)
    else:
        write_section("Label errors on human noise", body)


def prepare(source: Path, work: Path, limit: int) -> tuple[DatasetFolder, Spec, list[LabelSet]]:
    """Scan the images without labels and return them with every label set."""
    table = pd.read_csv(source / "labels.csv").iloc[: limit or None]
    images = work / "images"
    images.mkdir(parents=True, exist_ok=True)
    for file in table["file"]:
        if not (images / Path(file).name).exists():
            shutil.copyfile(source / file, images / Path(file).name)
    if not (work / "dataset" / "dataset.yaml").exists():
        init_dataset(work / "dataset", images, Start(classes=tuple(CLASSES)))
    dataset = open_folder(work / "dataset")
    spec = read_spec(dataset)
    scan_dataset(dataset, spec)
    samples = read_scan(dataset).samples.sort_values("sample_id")
    told = table.assign(path=[Path(file).name for file in table["file"]]).set_index("path").loc[samples["path"]]
    return dataset, spec, [read_labels(told, name) for name in (CHOSEN_ON, *REPORTED)]


def read_labels(told: pd.DataFrame, name: str) -> LabelSet:
    labels = told[name].where(told[name].isin(CLASSES), "")
    return LabelSet(name, list(labels), (labels != told["clean_label"]).to_numpy())


def measure(dataset: DatasetFolder, spec: Spec, sets: list[LabelSet], deep: bool) -> list[dict[str, object]]:
    """Return a row a label set and method: its measures over the labelled samples, each the mean over the seeds."""
    rows = []
    every = {name: look_at(dataset, spec.model_copy(update={"audit": audit})) for name, audit in EMBEDDINGS.items()}
    for one in sets:
        for name, unlabelled in every.items():
            evidence = with_labels(unlabelled, one)
            for method, (scores, seeds) in METHODS.items():
                if scores is not by_datalab or is_installed("datasets.arrow_dataset"):
                    rows.append(judge(one, f"{method}, {name}", evidence, scores, seeds))
        if deep and one.name in REPORTED:  # beside the last and best of the embeddings; it takes minutes
            networks = changed(evidence, cross_fit=partial(cross_fit, of_set(dataset, one.name)))
            rows.append(judge(one, f"**ours, deep**, {name}", networks, by_us, SEEDS[:1]))
    return rows


def look_at(dataset: DatasetFolder, spec: Spec) -> Evidence:
    """Return the evidence of the pictures, whatever their labels, with all that labels do not change computed."""
    evidence = gather_evidence(dataset, spec, read_scan(dataset))
    _ = evidence.neighbours, evidence.groups
    return evidence


def with_labels(evidence: Evidence, one: LabelSet) -> Evidence:
    """Return the evidence with the set's labels; without a look into the parts of suspects, which changes no rank."""
    samples = evidence.samples.sort_values("sample_id", ignore_index=True).assign(given_label=one.labels)
    return changed(evidence, samples=samples, embed_crops=None)


def changed(evidence: Evidence, **fields: Any) -> Evidence:
    new = replace(evidence, notes=[], **fields)
    new.__dict__.update({key: evidence.__dict__[key] for key in ("embeddings", "groups", "neighbours")})
    return new


def is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def of_set(dataset: DatasetFolder, name: str) -> DatasetFolder:
    """Return a dataset of the same pictures with its own networks: those of one label set must not help another."""
    own = DatasetFolder(dataset.path.parent / f"deep-{name}")
    own.cache.mkdir(parents=True, exist_ok=True)
    (dataset.cache / ACTIVATIONS).mkdir(exist_ok=True)
    for shared in ("thumbnails-v1", ACTIVATIONS):  # they hold pictures, no labels
        if not (own.cache / shared).exists():
            (own.cache / shared).symlink_to((dataset.cache / shared).resolve())
    return own


def judge(one: LabelSet, method: str, evidence: Evidence, scores: Scores, seeds: tuple[int, ...]) -> dict[str, object]:
    labelled = evidence.labels >= 0
    wrong = one.is_wrong[labelled]
    measures = []
    started = time.perf_counter()
    for seed in seeds:
        low = scores(evidence, seed)
        order = np.argsort(low, kind="stable")
        measures.append(
            (
                average_precision_score(wrong, -low),
                roc_auc_score(wrong, -low),
                wrong[order[:100]].mean(),
                wrong[order[:500]].mean(),
            )
        )
    mean, spread = np.mean(measures, axis=0), np.std(measures, axis=0)
    print(one.name, method, np.round(mean, 4), flush=True)
    return {
        "set": one.name,
        "method": method,
        "average precision": f"{mean[0]:.3f}" + (f" ± {spread[0]:.3f}" if len(seeds) > 1 else ""),
        "AUROC": float(mean[1]),
        "precision at 100": float(mean[2]),
        "at 500": float(mean[3]),
        "seconds": f"{(time.perf_counter() - started) / len(seeds):.1f}",
    }


def by_us(evidence: Evidence, seed: int) -> np.ndarray:
    """Our scores by the audit's own function, its folds drawn with ``seed``."""
    found = find_label_errors(changed(evidence, seed=seed)).set_index("sample_id")["score"]
    labelled = evidence.readable["sample_id"][evidence.labels >= 0]
    return found.reindex(labelled).fillna(1.0).to_numpy()


PLAIN: dict[tuple[int, int, bytes], tuple[np.ndarray, np.ndarray]] = {}  # three peers start from the same


def plain_probs(evidence: Evidence, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Out-of-fold probabilities as cleanlab's tutorials make them: scikit-learn's defaults on standardised features."""
    rows = evidence.labels >= 0
    labels = evidence.labels[rows]
    key = (seed, evidence.embeddings.shape[1], evidence.labels.tobytes())
    if key not in PLAIN:
        model = make_pipeline(StandardScaler(), LogisticRegression())
        folds = StratifiedKFold(5, shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it does not converge, which is part of the plain way
            probs = cross_val_predict(model, evidence.embeddings[rows], labels, cv=folds, method="predict_proba")
        PLAIN[key] = labels, probs
    return PLAIN[key]


def by_cleanlab(evidence: Evidence, seed: int) -> np.ndarray:
    from cleanlab.rank import get_label_quality_scores

    labels, probs = plain_probs(evidence, seed)
    return get_label_quality_scores(labels, probs)


def by_datalab(evidence: Evidence, seed: int) -> np.ndarray:
    from cleanlab import Datalab

    labels, probs = plain_probs(evidence, seed)
    rows = evidence.labels >= 0
    lab = Datalab(data={"label": labels}, label_name="label", verbosity=0)
    lab.find_issues(pred_probs=probs, features=evidence.embeddings[rows], issue_types={"label": {}})
    return lab.get_issues("label")["label_score"].to_numpy()


def by_brain(evidence: Evidence, seed: int) -> np.ndarray:
    """FiftyOne Brain's mistakenness from the same plain probabilities, turned so that low is bad."""
    import fiftyone as fo
    import fiftyone.brain as fob

    labels, probs = plain_probs(evidence, seed)
    dataset = fo.Dataset()
    dataset.add_samples([fo.Sample(filepath=f"{place}.png") for place in range(len(labels))], progress=False)
    names = evidence.spec.class_names
    given = [fo.Classification(label=names[label]) for label in labels]
    logits = np.log(np.maximum(probs, 1e-12))
    said = [
        fo.Classification(label=names[row.argmax()], confidence=float(row.max()), logits=logit)
        for row, logit in zip(probs, logits, strict=True)
    ]
    dataset.set_values("given", given)
    dataset.set_values("said", said)
    fob.compute_mistakenness(dataset, "said", label_field="given", use_logits=True, progress=False)
    mistaken = np.array(dataset.values("mistakenness"))
    dataset.delete()
    return 1 - mistaken


def by_neighbours(evidence: Evidence, seed: int) -> np.ndarray:
    """The share of the 50 nearest labelled neighbours that have the sample's label."""
    from curate.vectors.neighbours import compute_neighbours

    rows = evidence.labels >= 0
    labels = evidence.labels[rows]
    indices, _ = compute_neighbours(np.ascontiguousarray(evidence.embeddings[rows]), 50)
    return (labels[indices] == labels[:, None]).mean(axis=1)


METHODS: dict[str, tuple[Scores, tuple[int, ...]]] = {
    "**ours, fast**": (by_us, SEEDS),
    "cleanlab, scikit-learn's defaults": (by_cleanlab, SEEDS[:1]),
    "cleanlab Datalab": (by_datalab, SEEDS[:1]),
    "FiftyOne Brain mistakenness": (by_brain, SEEDS[:1]),
    "vote of 50 neighbours": (by_neighbours, SEEDS[:1]),
}


def describe(rows: list[dict[str, object]], sets: list[LabelSet]) -> str:
    counts = [
        f"`{one.name}` {len(wrong):,} labels, {wrong.mean():.1%} wrong"
        for one in sets
        for wrong in [one.is_wrong[np.array(one.labels) != ""]]
    ]
    return (
        f"CIFAR-10N's cats and dogs: {'; '.join(counts)}. Settings were chosen on `{CHOSEN_ON}`, which comes first. "
        "Seeds draw the folds (± is their standard deviation); one seed where nothing is drawn or it takes minutes. "
        "Seconds are for a ranking on embeddings that are there; Datalab and the Brain take cleanlab's probabilities."
        "\n\n" + markdown_table(rows)
    )


if __name__ == "__main__":
    main()
