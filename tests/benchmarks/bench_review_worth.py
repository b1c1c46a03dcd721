"""What reviewing labels is worth: accuracy after a reviewer looked at the first few per cent, by several orders.

The reviewer answers with `clean_label` of CIFAR-10N's cats and dogs; labels that are neither are left out. After each
share the same plain classifier learns from the labels as they then are and is tested on 2,000 other images.
Run: python -m tests.benchmarks.bench_review_worth --data FOLDER [--work FOLDER] [--limit 1000]
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from curate.audit.evidence.evidence import Evidence
from curate.images.init import Start, init_dataset
from curate.images.samples import read_scan
from curate.images.scan import scan_dataset
from curate.spec.model import Spec
from curate.spec.reading import read_spec
from curate.storage.folder import open_folder
from tests.benchmarks.bench_label_error import (
    CLASSES,
    EMBEDDINGS,
    SEEDS,
    LabelSet,
    by_cleanlab,
    by_us,
    look_at,
    prepare,
    with_labels,
)
from tests.benchmarks.results import RESULTS, expect_data, markdown_table, trial_parser, write_section

SETS = ("worse_label", "random_label1")
SHARES = (0.02, 0.05, 0.1, 0.2)
LEARNT_FROM = 0.9  # of the labelled rows, drawn anew by each seed, the same for every order
STRENGTHS = (1.0, 10.0, 100.0)  # C of the classifier, chosen anew by each training: likelihood of held-out labels
HELD_OUT = 0.25  # share of the rows that choose it
ORDERS = {
    "ours": (by_us, "Lite0+1+2, mirrored"),
    "cleanlab, scikit-learn's defaults": (by_cleanlab, "Lite0+1+2, mirrored"),
}
AT_RANDOM = "at random"
PLOT = RESULTS.with_name("review_worth.svg")


@dataclass(frozen=True)
class Study:
    """Labelled rows: embeddings ``(N, D)``, labels as given and as they truly are ``(N,)``; a test."""

    embeddings: np.ndarray
    given: np.ndarray
    truth: np.ndarray
    test: tuple[np.ndarray, np.ndarray]


def main() -> None:
    arguments = trial_parser(__doc__ or "").parse_args()
    source = expect_data(arguments.data / "cifar10n_catdog")
    held_out = expect_data(arguments.data / "cifar10_test_catdog")
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary)
        dataset, spec, sets = prepare(source, work, arguments.limit)
        every = {name: look_at(dataset, spec.model_copy(update={"audit": audit})) for name, audit in EMBEDDINGS.items()}
        test = read_test(held_out, work, arguments.limit)
        trials = pd.concat([try_set(one, every, test) for one in sets if one.name in SETS], ignore_index=True)
    picture = PLOT if not arguments.limit else Path(tempfile.gettempdir()) / PLOT.name
    draw(trials, picture)
    if arguments.limit:
        print(describe(trials), f"\n\n{picture}")
    else:
        write_section("The worth of reviewing", describe(trials))


def read_test(source: Path, work: Path, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Return Lite0 embeddings and class numbers of the test images."""
    table = pd.read_csv(source / "labels.csv").iloc[: limit or None]
    images = work / "test_images"
    images.mkdir(parents=True, exist_ok=True)
    for file in table["file"]:
        shutil.copyfile(source / file, images / Path(file).name)
    if not (work / "test" / "dataset.yaml").exists():
        init_dataset(work / "test", images, Start(classes=tuple(CLASSES)))
    dataset = open_folder(work / "test")
    spec: Spec = read_spec(dataset)
    scan_dataset(dataset, spec)
    evidence = look_at(dataset, spec.model_copy(update={"audit": EMBEDDINGS["Lite0"]}))
    label_of = {
        Path(file).name: CLASSES.index(label) for file, label in zip(table["file"], table["label"], strict=True)
    }
    paths = read_scan(dataset).samples.set_index("sample_id")["path"].loc[evidence.ids]
    rows = np.flatnonzero(paths.isin(label_of))  # a kept folder may hold more than a trial asks for
    return evidence.embeddings[rows], paths.iloc[rows].map(label_of).to_numpy()


def try_set(one: LabelSet, every: dict[str, Evidence], test: tuple[np.ndarray, np.ndarray]) -> pd.DataFrame:
    """Return a row an order, share and seed: ``set, order, reviewed, share, errors, of, accuracy``."""
    evidences = {name: with_labels(evidence, one) for name, evidence in every.items()}
    study = make_study(one, evidences["Lite0"], test)
    labelled = len(study.given)
    wrong = study.given != study.truth
    rows = []
    for seed in SEEDS:
        orders = {name: np.argsort(scores(evidences[on], seed), kind="stable") for name, (scores, on) in ORDERS.items()}
        orders[AT_RANDOM] = np.random.default_rng(seed).permutation(labelled)
        for share in (0.0, *SHARES, 1.0):
            count = round(share * labelled)
            # Nothing reviewed and all reviewed are the same by any order: learnt once, told of each.
            known = None
            for name, order in orders.items():
                if known is None or share in SHARES:
                    known = learn_after(study, order[:count], seed)
                errors = int(wrong[order[:count]].sum())
                rows.append((one.name, name, seed, share, count, errors, int(wrong.sum()), known))
            print(one.name, seed, share, known, flush=True)
    return pd.DataFrame(rows, columns=["set", "order", "seed", "share", "reviewed", "errors", "of", "accuracy"])


def make_study(one: LabelSet, evidence: Evidence, test: tuple[np.ndarray, np.ndarray]) -> Study:
    rows = evidence.labels >= 0
    given, embeddings = evidence.labels[rows], evidence.embeddings[rows]
    truth = np.where(one.is_wrong[rows], 1 - given, given)  # of two classes
    return Study(embeddings, given, truth, test)


def choose_strength(embeddings: np.ndarray, labels: np.ndarray) -> float:
    """Return the C under which held-out labels, as right or wrong as they are by then, are likeliest."""
    held = round(HELD_OUT * len(labels))

    def loss(strength: float) -> float:
        model = classifier(strength).fit(embeddings[held:], labels[held:])
        return float(log_loss(labels[:held], model.predict_proba(embeddings[:held])))

    return min(STRENGTHS, key=loss)


def classifier(strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, tol=1e-3, max_iter=200)


def learn_after(study: Study, reviewed: np.ndarray, seed: int) -> float:
    """Return the accuracy of what is learnt once the ``reviewed`` labels are the true ones."""
    labels = study.given.copy()
    labels[reviewed] = study.truth[reviewed]
    draws = np.random.default_rng(1_000 + seed)  # not those of the random order
    rows = draws.choice(len(labels), round(LEARNT_FROM * len(labels)), replace=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        strength = choose_strength(study.embeddings[rows], labels[rows])
        model = classifier(strength).fit(study.embeddings[rows], labels[rows])
    embeddings, truth = study.test
    return float((model.predict(embeddings) == truth).mean())


def describe(trials: pd.DataFrame) -> str:
    parts = [
        "A reviewer answers with the true label. A logistic regression on Lite0 embeddings, its C chosen each time "
        f"by the likelihood of held-out labels, learns from {LEARNT_FROM:.0%} of the labels, drawn by each of "
        f"{trials['seed'].nunique()} seeds, which also draw the folds of the order; ± is their standard deviation. "
        "Test: CIFAR-10 test cats and dogs, so 0.9 points are one standard error.",
        f"![Accuracy against labels reviewed]({PLOT.name})",
    ]
    for name, trial in trials.groupby("set", sort=False):
        labelled = int(trial["reviewed"].max())
        parts.append(
            f"`{name}`: {labelled:,} labels, {int(trial['of'].iloc[0]):,} wrong. Nothing reviewed "
            f"{told(trial, 0.0)}, everything reviewed {told(trial, 1.0)}. Accuracy, and wrong labels among the "
            "reviewed:"
        )
        parts.append(markdown_table([row_of(str(order), part) for order, part in trial.groupby("order", sort=False)]))
    return "\n\n".join(parts)


def row_of(order: str, part: pd.DataFrame) -> dict[str, object]:
    cells: dict[str, object] = {"reviewed by": order}
    for share in SHARES:
        chosen = part[part["share"] == share]
        header = f"{share:.0%} ({int(chosen['reviewed'].iloc[0]):,})"
        cells[header] = f"{told(part, share)}; {chosen['errors'].mean():.0f}"
    return cells


def told(trial: pd.DataFrame, share: float) -> str:
    accuracy = trial[trial["share"] == share].groupby("seed")["accuracy"].mean()
    return f"{accuracy.mean():.4f} ± {accuracy.std(ddof=0):.4f}"


def draw(trials: pd.DataFrame, picture: Path) -> None:
    """Write accuracy against the number of labels reviewed, a panel a label set, with the spread of the seeds."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "specurate"  # the same numbers give the same file
    import matplotlib.pyplot as plt

    sets = list(trials["set"].unique())
    figure, panels = plt.subplots(1, len(sets), figsize=(5.5 * len(sets), 4.8), squeeze=False, layout="constrained")
    for panel, name in zip(panels[0], sets, strict=True):
        trial = trials[trials["set"] == name]
        for order, part in trial[trial["share"] < 1].groupby("order", sort=False):
            at = part.groupby("reviewed")["accuracy"].agg(["mean", "std"])
            dashed = "--" if order == AT_RANDOM else "-"
            panel.errorbar(at.index, at["mean"], at["std"], fmt=dashed, marker="o", ms=4, capsize=2, label=str(order))
        everything = trial.loc[trial["share"] == 1, "accuracy"].mean()
        panel.axhline(everything, color="grey", ls=":", label="all reviewed")
        panel.set(title=name, xlabel="labels reviewed", ylabel="accuracy on the test images")
        panel.grid(alpha=0.3)
    names = {name: line for panel in panels[0] for line, name in zip(*panel.get_legend_handles_labels(), strict=True)}
    figure.legend(names.values(), names.keys(), loc="outside lower center", ncols=3, fontsize=9)
    figure.savefig(picture, format="svg", metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
