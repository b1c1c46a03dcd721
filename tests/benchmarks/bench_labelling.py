"""What a label is worth: from ten labels a class, five rounds of twenty chosen by `--next`, against random choice.

The answers are the photos' folders; accuracy is that of the proposals for 500 photos that take no part in the choice.
Run: python -m tests.benchmarks.bench_labelling --data FOLDER [--limit 600] [--work FOLDER_THAT_KEEPS_THE_EMBEDDINGS]
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from curate.audit.audit import audit_dataset
from curate.images.init import init_dataset
from curate.images.scan import scan_dataset
from curate.label.pick import pick_rows
from curate.label.prototypes import centre_embeddings, compute_class_probs
from curate.log.proposals import combine_proposals
from curate.spec.reading import read_spec
from curate.storage.folder import open_folder
from curate.storage.tables import VOTES
from curate.vectors.embed import compute_embeddings
from curate.versions.groups import read_groups
from tests.benchmarks.results import expect_data, markdown_table, trial_parser, write_section

SEEDS = 10
HELD = 500
STARTS = ((10, 20, "10 labels a class, then 20 a round"), (1, 6, "1 label a class, then 6 a round"))
ROUNDS = 5
SURE = (0.8, 0.9, 0.95)


def gather_photos(photos: Path, work: Path, limit: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return embeddings ``(N, D)``, classes and near-duplicate groups of at most ``limit`` photos."""
    folder = work / "photos"
    if not (folder / "dataset.yaml").exists():
        init_dataset(folder, photos)
    dataset = open_folder(folder)
    spec = read_spec(dataset)
    scan = scan_dataset(dataset, spec)
    rows = scan.samples[scan.samples["reason"] == ""]
    if not limit:
        audit_dataset(dataset, spec)
    else:
        rows = rows.groupby("given_label").head(limit // 2)
    ids = list(rows["sample_id"])
    groups = ids if limit else list(rows["sample_id"].map(read_groups(dataset, scan)))
    return (
        compute_embeddings(dataset, spec, ids),
        pd.factorize(rows["given_label"], sort=True)[0],
        pd.factorize(pd.Series(groups))[0],
    )


def spend_labels(
    embeddings: np.ndarray, truth: np.ndarray, groups: np.ndarray, start: int, batch: int, seed: int, by_next: bool
) -> list[float]:
    """Return the accuracy on the held-out photos after each round, the first before any round."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(truth))
    held = order[: min(HELD, len(order) // 3)]
    pool = order[len(held) :]
    pool = pool[~np.isin(groups[pool], groups[held])]
    labels = np.full(len(truth), -1)
    for one in range(2):
        first = pool[truth[pool] == one][:start]
        labels[first] = one
    features = centre_embeddings(embeddings)
    found = []
    for step in range(ROUNDS + 1):
        probs = compute_class_probs(embeddings, labels, groups, 2)
        found.append(float((probs[held].argmax(axis=1) == truth[held]).mean()))
        if step == ROUNDS:
            break
        asked = np.sort(pool[(labels[pool] < 0) & ~np.isin(groups[pool], groups[labels >= 0])])
        asked = asked[np.unique(groups[asked], return_index=True)[1]]
        chosen = pick_rows(features, labels, asked, [probs], 2, batch)[0] if by_next else rng.permutation(asked)[:batch]
        labels[chosen] = truth[chosen]
    return found


def describe_proposals(embeddings: np.ndarray, truth: np.ndarray, groups: np.ndarray, start: int) -> dict[str, object]:
    """Return how many unlabelled photos get a proposal of each probability, and how many of those are right."""
    counts: dict[float, list[tuple[float, float]]] = {sure: [] for sure in SURE}
    right = []
    for seed in range(SEEDS):
        order = np.random.default_rng(seed).permutation(len(truth))
        labels = np.full(len(truth), -1)
        for one in range(2):
            labels[order[truth[order] == one][:start]] = one
        probs = compute_class_probs(embeddings, labels, groups, 2)[labels < 0]
        hits = probs.argmax(axis=1) == truth[labels < 0]
        right.append(hits.mean())
        for sure in SURE:
            is_sure = probs.max(axis=1) >= sure
            counts[sure].append((float(is_sure.mean()), float(hits[is_sure].mean()) if is_sure.any() else np.nan))
    row: dict[str, object] = {"labels a class": start, "right, of all": float(np.mean(right))}
    for sure, pairs in counts.items():
        share, precision = np.array(pairs).T
        known = precision[~np.isnan(precision)]
        row[f">= {sure}: share"] = float(share.mean())
        row[f">= {sure}: right"] = float(known.mean()) if len(known) else "none"
    return row


def tabulate_spending(
    embeddings: np.ndarray, truth: np.ndarray, groups: np.ndarray, start: int, batch: int
) -> list[dict[str, object]]:
    ways = {
        name: np.array([spend_labels(embeddings, truth, groups, start, batch, seed, by_next) for seed in range(SEEDS)])
        for name, by_next in (("random", False), ("--next", True))
    }
    better = ways["--next"] - ways["random"]
    return [
        {
            "labels": 2 * start + step * batch,
            **{name: f"{runs[:, step].mean():.4f} ± {runs[:, step].std(ddof=1):.4f}" for name, runs in ways.items()},
            "difference (± standard error)": f"{better[:, step].mean():+.4f} ± "
            f"{better[:, step].std(ddof=1) / SEEDS**0.5:.4f}",
        }
        for step in range(ROUNDS + 1)
    ]


def compare_voters(embeddings: np.ndarray, truth: np.ndarray, groups: np.ndarray) -> str:
    """Return a sentence on the rule that joins two voters: prototypes of two halves of the labels."""
    right = []
    for seed in range(SEEDS):
        order = np.random.default_rng(seed).permutation(len(truth))
        tables = []
        for half in (order[:20], order[20:40]):
            labels = np.full(len(truth), -1)
            labels[half] = truth[half]
            tables.append(compute_class_probs(embeddings, labels, groups, 2))
        rest = order[40:]
        votes = pd.concat(
            pd.DataFrame({"sample_id": rest, "label": table[rest].argmax(1), "voter": f"v{number}", "path": ""}).assign(
                share=table[rest].max(1), time=""
            )
            for number, table in enumerate(tables)
        ).astype({"sample_id": "str", "label": "str"})
        joined = combine_proposals(votes[list(VOTES)], ["0", "1"]).set_index("sample_id")["label"]
        both = [float((table[rest].argmax(1) == truth[rest]).mean()) for table in tables]
        right.append([*both, float((joined.loc[rest.astype(str)].astype(int).to_numpy() == truth[rest]).mean())])
    first, second, joined_right = np.mean(right, axis=0)
    return (
        f"Two voters that each learnt from 20 photos are right on {first:.3f} and {second:.3f} of the others, "
        f"their combined proposal on {joined_right:.3f}."
    )


def main() -> None:
    arguments = trial_parser(__doc__ or "").parse_args()
    photos = expect_data(arguments.data / "photos")
    with tempfile.TemporaryDirectory() as folder:
        evidence = gather_photos(photos, arguments.work or Path(folder), arguments.limit)
    parts = [
        f"{len(evidence[1]):,} photos, {min(HELD, len(evidence[1]) // 3)} of them held out; answers from the folders; "
        f"{SEEDS} seeds, mean ± standard deviation. Accuracy of the proposals for the held-out photos."
    ]
    for start, batch, title in STARTS:
        parts.append(f"**{title}**\n\n{markdown_table(tabulate_spending(*evidence, start, batch))}")
    parts.append(
        "**How sure the proposals are**, and how many of those as sure are right (labels drawn at random)\n\n"
        + markdown_table([describe_proposals(*evidence, start) for start in (1, 2, 5, 10, 50)])
    )
    parts.append(compare_voters(*evidence))
    body = "\n\n".join(parts)
    if arguments.limit:
        print(body)
    else:
        write_section("Labelling", body)


if __name__ == "__main__":
    main()
