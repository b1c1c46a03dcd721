"""Three human annotators of CIFAR-10N's cats and dogs: whose consensus is right how often, and what its doubt teaches.

A vote for another class than cat or dog is left out, so a sample has none to three; samples without any are left out.
Run: python -m tests.benchmarks.bench_annotators --data FOLDER [--limit 600] [--work FOLDER_THAT_KEEPS_THE_EMBEDDINGS]
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from curate.audit.audit import audit_dataset
from curate.audit.evidence.crowdlab import MODEL, tabulate_votes
from curate.images.init import init_dataset
from curate.images.samples import read_scan
from curate.images.scan import scan_dataset
from curate.label.annotators import tabulate_annotators
from curate.spec.model import Source, Spec
from curate.spec.reading import read_spec
from curate.storage.folder import DatasetFolder, open_folder
from curate.vectors.embed import compute_embeddings
from curate.versions.soft_labels import compute_soft_labels
from tests.benchmarks.results import expect_data, markdown_table, trial_parser, write_section

COLUMNS = ("random_label1", "random_label2", "random_label3")
CLASSES = ["cat", "dog"]
DRAWS = 5  # of broken ties, and of training sets
RESAMPLES = 1_000
STRENGTHS = (10, 1)  # C of the head
LEARNT = 0.8  # share of the samples in each draw: what the model knows of the others is in its posterior
SKIPPED = [
    "near_duplicate",
    "leakage",
    "outlier",
    "dark",
    "light",
    "blurry",
    "low_information",
    "odd_size",
    "grayscale",
]


@dataclass(frozen=True)
class Voted:
    """What is needed of the N voted samples; classes are numbers, -1 for none, votes ``(N, 3)`` NaN for none."""

    votes: np.ndarray
    truth: np.ndarray
    probs: np.ndarray
    ours: np.ndarray
    soft_labels: np.ndarray
    embeddings: np.ndarray
    test_embeddings: np.ndarray
    test_truth: np.ndarray


def write_sources(data: Path, work: Path, limit: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Copy the images and write the three columns as annotators; return path and truth of both parts."""
    train = pd.read_csv(data / "cifar10n_catdog" / "labels.csv")
    test = pd.read_csv(data / "cifar10_test_catdog" / "labels.csv")
    if limit:
        train, test = train.sample(limit, random_state=0), test.sample(max(limit // 5, 20), random_state=0)
    for name, table in (("cifar10n_catdog", train), ("cifar10_test_catdog", test)):
        for file in table["file"]:
            (work / name / file).parent.mkdir(parents=True, exist_ok=True)
            if not (work / name / file).exists():
                shutil.copyfile(data / name / file, work / name / file)
    long = train.melt("file", list(COLUMNS), "annotator", "label").rename(columns={"file": "path"})
    long["label"] = long["label"].where(long["label"].isin(CLASSES), "")
    long.to_csv(work / "cifar10n_catdog" / "votes.csv", index=False)
    return train, test


def audit_votes(work: Path) -> tuple[DatasetFolder, Spec]:
    """Return the dataset of both sources, scanned and audited as `curate audit` does."""
    folder = work / "dataset"
    if not (folder / "dataset.yaml").exists():
        init_dataset(folder, work / "cifar10n_catdog" / "votes.csv")
    dataset = open_folder(folder)
    spec = read_spec(dataset)
    flat = Source(path="../cifar10_test_catdog", kind="flat")
    audit = spec.audit.model_copy(update={"skip": SKIPPED})
    spec = spec.model_copy(update={"sources": [*spec.sources, flat], "audit": audit})
    scan_dataset(dataset, spec)
    audit_dataset(dataset, spec)
    return dataset, spec


def gather_voted(dataset: DatasetFolder, spec: Spec, train: pd.DataFrame, test: pd.DataFrame) -> Voted:
    scan = read_scan(dataset)
    ids = scan.locations.drop_duplicates("path").set_index("path")["sample_id"]
    wide = tabulate_votes(scan.votes, list(scan.samples["sample_id"]), spec.class_names)
    number = {name: place for place, name in enumerate(spec.class_names)}
    truth = pd.Series(train["clean_label"].map(number).to_numpy(), ids[train["file"]])[
        lambda one: ~one.index.duplicated()
    ]
    names = [name for name in wide.index if name in truth.index]
    probs = pd.read_parquet(dataset.cache / "pred_probs.parquet").set_index("sample_id")[spec.class_names]
    given = scan.samples.set_index("sample_id")["given_label"].map(number).fillna(-1)
    labels = dict.fromkeys(names, spec.class_names[0])
    soft_labels = compute_soft_labels(scan.votes, labels, {}, spec.class_names).set_index("sample_id")
    return Voted(
        wide.loc[names].to_numpy(),
        truth[names].to_numpy(),
        probs.loc[names].to_numpy(),
        given[names].to_numpy().astype(int),
        soft_labels.loc[names].to_numpy(),
        compute_embeddings(dataset, spec, names),
        compute_embeddings(dataset, spec, list(ids[test["file"]])),
        test["label"].map(number).to_numpy(),
    )


def by_majority(votes: np.ndarray, ties: np.ndarray) -> np.ndarray:
    """Return the class ``(N,)`` that most said, and among equals the one that ``ties`` ``(N, K)`` ranks highest."""
    counts = np.stack([(votes == place).sum(axis=1) for place in range(ties.shape[1])], axis=1)
    return (counts + 0.5 * ties / np.maximum(ties.max(axis=1, keepdims=True), 1e-9)).argmax(axis=1)


def by_dawid_skene(votes: np.ndarray, classes: int, rounds: int = 50) -> np.ndarray:
    """Return ``(N, K)``: each annotator's confusions and the labels, in turns, from the votes alone.

    References
    ----------
    Dawid, Skene: Maximum likelihood estimation of observer error-rates using the EM algorithm, 1979.
    """
    belief = np.stack([(votes == place).sum(axis=1) for place in range(classes)], axis=1) + 1e-9
    belief = belief / belief.sum(axis=1, keepdims=True)
    said = np.stack([votes == place for place in range(classes)], axis=2).astype(float)  # (N, M, K)
    for _ in range(rounds):
        confusion = np.einsum("nt,nms->mts", belief, said) + 1
        confusion /= confusion.sum(axis=2, keepdims=True)
        logs = np.log(belief.mean(axis=0)) + np.einsum("nms,mts->nt", said, np.log(confusion))
        belief = np.exp(logs - logs.max(axis=1, keepdims=True))
        belief /= belief.sum(axis=1, keepdims=True)
    return belief


def plain_crowdlab(votes: np.ndarray, probs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return cleanlab's consensus as it comes ``(N,)``, and its posterior of each class ``(N, K)``."""
    from cleanlab.multiannotator import get_label_quality_multiannotator

    made = get_label_quality_multiannotator(votes, probs, verbose=False)
    labels = made["label_quality"]["consensus_label"].to_numpy()
    quality = made["label_quality"]["consensus_quality_score"].to_numpy()[:, None]
    return labels, np.where(np.eye(probs.shape[1])[labels] == 1, quality, (1 - quality) / (probs.shape[1] - 1))


def tabulate_consensus(voted: Voted) -> list[dict[str, object]]:
    """Return a row a method: the share of right labels, where several voted, and where their votes tie."""
    count = (~np.isnan(voted.votes)).sum(axis=1)
    counts = np.stack([(voted.votes == place).sum(axis=1) for place in range(2)], axis=1)
    parts = {"all": count > 0, "2 or 3 votes": count > 1, "2 : 1": (count == 3) & (counts.min(axis=1) == 1)}
    parts["1 : 1"] = counts[:, 0] == counts[:, 1]
    rng = np.random.default_rng(0)
    drawn = [by_majority(voted.votes, rng.random(voted.probs.shape)) == voted.truth for _ in range(DRAWS)]
    right = {
        f"majority, ties at random (mean of {DRAWS})": np.mean(drawn, axis=0),
        "Dawid-Skene": by_dawid_skene(voted.votes, 2).argmax(axis=1) == voted.truth,
        "majority, ties by the model": by_majority(voted.votes, voted.probs) == voted.truth,
        "the model alone": voted.probs.argmax(axis=1) == voted.truth,
        "CROWDLAB as cleanlab gives it": plain_crowdlab(voted.votes, voted.probs)[0] == voted.truth,
        "**given_label after the audit**": voted.ours == voted.truth,
    }
    first = next(iter(right.values()))
    return [
        {"method": name, **{part: float(one[rows].mean()) for part, rows in parts.items()}}
        | {"above the majority (95 % interval)": _interval(one.astype(float) - first)}
        for name, one in right.items()
    ]


def _interval(difference: np.ndarray) -> str:
    rng = np.random.default_rng(0)
    means = [difference[rng.integers(0, len(difference), len(difference))].mean() for _ in range(RESAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{difference.mean():+.4f} ({low:+.4f} to {high:+.4f})"


def tabulate_targets(voted: Voted) -> list[dict[str, object]]:
    """Return a row a kind of target: test accuracy and log loss of a linear head that learnt it, mean and spread."""
    hard = np.eye(2)[by_majority(voted.votes, np.ones((1, 2)))]
    tied = (voted.votes == 0).sum(axis=1) == (voted.votes == 1).sum(axis=1)
    targets = {
        "majority, ties left out": np.where(tied[:, None], np.nan, hard),
        "consensus": np.eye(2)[voted.ours],
        "vote shares": voted.soft_labels,
        "CROWDLAB's posterior": plain_crowdlab(voted.votes, voted.probs)[1],
    }
    rng = np.random.default_rng(0)
    size = int(LEARNT * len(voted.truth))
    draws = [rng.choice(len(voted.truth), size, replace=False) for _ in range(DRAWS)]
    rows: list[dict[str, object]] = []
    for name, target in targets.items():
        row: dict[str, object] = {"target": name}
        for strength in STRENGTHS:
            scores = np.array([_fit_head(voted, target, drawn, strength) for drawn in draws])
            (accuracy, loss), (spread, loss_spread) = scores.mean(axis=0), scores.std(axis=0)
            row[f"accuracy, C {strength}"] = f"{accuracy:.3f} ± {spread:.3f}"
            row[f"log loss, C {strength}"] = f"{loss:.3f} ± {loss_spread:.3f}"
        rows.append(row)
    return rows


def _fit_head(voted: Voted, target: np.ndarray, rows: np.ndarray, strength: float) -> tuple[float, float]:
    """Return test accuracy and log loss of a logistic regression on ``rows``, each taken once for each class."""
    from sklearn.linear_model import LogisticRegression

    centre = voted.embeddings.mean(axis=0)
    scale = np.sqrt(((voted.embeddings - centre) ** 2).sum(axis=1).mean())
    rows = rows[~np.isnan(target[rows, 0])]
    features = np.concatenate([voted.embeddings[rows]] * 2) - centre
    weight = np.concatenate([target[rows, 0], target[rows, 1]])
    label = np.repeat([0, 1], len(rows))
    used = weight > 0
    model = LogisticRegression(C=strength, tol=1e-3, max_iter=200).fit(
        features[used] / scale, label[used], weight[used]
    )
    probs = model.predict_proba((voted.test_embeddings - centre) / scale)
    right = probs[np.arange(len(probs)), voted.test_truth]
    return float((right > 0.5).mean()), float(-np.log(np.maximum(right, 1e-9)).mean())


def tabulate_people(dataset: DatasetFolder, spec: Spec, voted: Voted) -> list[dict[str, object]]:
    """Return each annotator as `curate annotators` has them, beside how often they are really right."""
    table = tabulate_annotators(dataset, spec).set_index("annotator")
    accuracy = {}
    for place, name in enumerate(f"csv:{column}" for column in COLUMNS):
        said = ~np.isnan(voted.votes[:, place])
        accuracy[name] = float((voted.votes[said, place] == voted.truth[said]).mean())
    accuracy[MODEL] = float((voted.probs.argmax(axis=1) == voted.truth).mean())
    columns = ["votes", "quality", "agreement"]
    return [{"annotator": name, **row[columns], "really right": accuracy[name]} for name, row in table.iterrows()]


def main() -> None:
    arguments = trial_parser(__doc__ or "").parse_args()
    expect_data(arguments.data / "cifar10n_catdog")
    with tempfile.TemporaryDirectory() as folder:
        work = arguments.work or Path(folder)
        train, test = write_sources(arguments.data, work, arguments.limit)
        dataset, spec = audit_votes(work)
        voted = gather_voted(dataset, spec, train, test)
        people = tabulate_people(dataset, spec, voted)
    count = (~np.isnan(voted.votes)).sum(axis=1)
    body = "\n\n".join(
        [
            f"{len(count):,} images with a vote for cat or dog ({(count > 1).sum():,} with two or three) among "
            "`random_label1..3` of CIFAR-10N; votes for other classes are left out. Share of labels that are "
            "`clean_label`, by how many voted and how they split.",
            markdown_table(tabulate_consensus(voted)),
            "Each column of CIFAR-10N holds labels of many people, so the three annotators are equally good:",
            markdown_table(people),
            f"What a linear head learns of {100 * LEARNT:.0f} % of these images, {DRAWS} draws, measured on "
            f"{len(voted.test_truth):,} test images, weakly (C 10) and strongly (C 1) held back; a version with "
            "`train: labels: shares` carries the vote shares:",
            markdown_table(tabulate_targets(voted)),
        ]
    )
    if arguments.limit:
        print(body)
    else:
        write_section("Several annotators", body)


if __name__ == "__main__":
    main()
