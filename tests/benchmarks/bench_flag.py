"""Which labels to flag, without truth: on published out-of-fold probabilities, clean labels, and a simulated review.

Run: python -m tests.benchmarks.bench_flag --data FOLDER   (about a minute; needs only pred_probs/)
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from curate.audit.evidence.calibration import choose_threshold, compute_label_posterior
from curate.audit.reliability import fit_reliability, forecast_right
from tests.benchmarks.results import expect_data, markdown_table, read_arguments, write_section

SETS = (
    "cifar10n_aggregate_resnet18",
    "cifar10n_aggregate_swin",
    "cifar10_synthetic20_resnet18",
    "cifar10_synthetic20_swin",
)
TOPS = (50, 100, 200, 1000, 4000)
SMALL = 2_000  # rows of a small set
DRAWS = 10


@dataclass(frozen=True)
class Labelled:
    """Probabilities (N, K), given labels and truth (N,) of one published set."""

    name: str
    probs: np.ndarray
    given: np.ndarray
    truth: np.ndarray

    @property
    def is_wrong(self) -> np.ndarray:
        wrong: np.ndarray = self.given != self.truth
        return wrong

    def take(self, rows: np.ndarray) -> Labelled:
        return Labelled(self.name, self.probs[rows], self.given[rows], self.truth[rows])


def read_set(folder: Path, name: str) -> Labelled:
    with np.load(folder / f"{name}.npz") as stored:
        probs = stored["pred_probs"].astype(np.float64)
        given, truth = (stored[key].astype(np.int64) for key in ("given_label", "true_label"))
    return Labelled(name, probs / probs.sum(axis=1, keepdims=True), given, truth)


def score_flag(flag: np.ndarray, is_wrong: np.ndarray) -> tuple[float, float, float]:
    """Return F1, precision and recall of a flagged set; 0 where nothing is flagged or nothing is wrong."""
    hits = int((flag & is_wrong).sum())
    flagged, wrong = max(int(flag.sum()), 1), max(int(is_wrong.sum()), 1)
    return 2 * hits / (flagged + wrong), hits / flagged, hits / wrong


def best_in_hindsight(scores: np.ndarray, is_wrong: np.ndarray) -> np.ndarray:
    """Return the flagged set of the threshold on ``scores`` (low = bad) that has the highest F1."""
    order = np.argsort(scores, kind="stable")
    hits = np.cumsum(is_wrong[order])
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + is_wrong.sum())
    flag: np.ndarray = scores <= scores[order[f1.argmax()]]
    return flag


def flag_ours(one: Labelled) -> tuple[np.ndarray, np.ndarray]:
    """Return the flagged set, and the probability that each label is right."""
    right = compute_label_posterior(one.given, one.probs)[np.arange(len(one.given)), one.given]
    return 1 - right >= choose_threshold(1 - right), right


def flag_cleanlab(one: Labelled) -> np.ndarray:
    from cleanlab.filter import find_label_issues

    flag: np.ndarray = find_label_issues(one.given, np.maximum(one.probs, 1e-6), n_jobs=1)
    return flag


def tabulate_flags(one: Labelled) -> list[dict[str, object]]:
    """Return a row a rule: what it flags of one set, and in how many seconds."""
    own = one.probs[np.arange(len(one.given)), one.given]
    others = np.where(np.arange(one.probs.shape[1]) == one.given[:, None], -1, one.probs).max(axis=1)
    rules = {
        "**ours**": lambda: flag_ours(one)[0],
        "cleanlab's default filter": lambda: flag_cleanlab(one),
        "best class is not the given": lambda: one.probs.argmax(axis=1) != one.given,
        "hindsight, self-confidence": lambda: best_in_hindsight(own, one.is_wrong),
        "hindsight, normalized margin": lambda: best_in_hindsight(own - others, one.is_wrong),
        "hindsight, our score": lambda: best_in_hindsight(flag_ours(one)[1], one.is_wrong),
    }
    rows: list[dict[str, object]] = []
    for rule, flags in rules.items():
        started = time.perf_counter()
        flag = flags()
        seconds = f"{time.perf_counter() - started:.1f}"
        f1, precision, recall = score_flag(flag, one.is_wrong)
        row = {"set": one.name, "rule": rule, "F1": f1, "precision": precision, "recall": recall}
        rows.append({**row, "flagged": int(flag.sum()), "wrong": int(one.is_wrong.sum()), "seconds": seconds})
    return rows


def tabulate_clean(one: Labelled) -> dict[str, object]:
    """Return what is flagged of each 1,000 labels when all of them are true."""
    clean = Labelled(one.name, one.probs, one.truth, one.truth)
    flags = {"ours": flag_ours(clean)[0], "cleanlab": flag_cleanlab(clean)}
    flags["best class is not the given"] = one.probs.argmax(axis=1) != one.truth
    rates: dict[str, object] = {rule: f"{1000 * flag.mean():.1f}" for rule, flag in flags.items()}
    return {"set": one.name, **rates}


def tabulate_small(one: Labelled, rng: np.random.Generator) -> dict[str, object]:
    """Return mean and spread of F1 over random parts of ``SMALL`` rows."""
    parts = [one.take(rng.choice(len(one.given), SMALL, replace=False)) for _ in range(DRAWS)]
    ours = np.array([score_flag(flag_ours(part)[0], part.is_wrong)[0] for part in parts])
    theirs = np.array([score_flag(flag_cleanlab(part), part.is_wrong)[0] for part in parts])
    gain = ours - theirs
    return {
        "set": one.name,
        "ours": f"{ours.mean():.3f} ± {ours.std():.3f}",
        "cleanlab": f"{theirs.mean():.3f} ± {theirs.std():.3f}",
        "worst difference": float(gain.min()),
    }


def tabulate_yield(one: Labelled) -> dict[str, object]:
    """Return how many of the worst are expected to be wrong, and how many are."""
    right = flag_ours(one)[1]
    order = np.argsort(right, kind="stable")
    row: dict[str, object] = {"set": one.name}
    for top in TOPS:
        worst = order[:top]
        row[f"top {top}"] = f"{(1 - right[worst]).sum():.0f} : {one.is_wrong[worst].sum()}"
    return row | {"all": f"{(1 - right).sum():.0f} : {one.is_wrong.sum()}"}


def tabulate_review(one: Labelled, answered: int) -> dict[str, object]:
    """Return the ledger's forecast after the worst ``answered`` flagged labels were answered from truth."""
    flag, right = flag_ours(one)
    order = np.flatnonzero(flag)[np.argsort(right[flag], kind="stable")]
    scores, is_wrong = np.round(right[order], 6), one.is_wrong[order]
    reliability = fit_reliability(scores[:answered], is_wrong[:answered])
    row: dict[str, object] = {"set": one.name, "answered": answered}
    for top in (50, 100, 200, len(order) - answered):
        ahead = slice(answered, answered + top)
        expected, low, high = forecast_right(reliability, scores[ahead])
        name = f"next {top}" if top in (50, 100, 200) else "all flagged"
        row[name] = f"{expected:.0f} ({low:.0f} to {high:.0f}) : {is_wrong[ahead].sum()}"
    return row


def main() -> None:
    folder = expect_data(read_arguments(__doc__ or "").data / "pred_probs")
    sets = [read_set(folder, name) for name in SETS]
    rng = np.random.default_rng(0)
    hard = [Labelled(f"{one.name}, {SMALL:,} rows", *_part(one, rng)) for one in sets[:2]]
    reviewed = [tabulate_review(one, answered) for one in sets for answered in (0, 50, 200, 1000)]
    reviewed += [tabulate_review(one, answered) for one in hard for answered in (0, 20, 50)]
    body = "\n\n".join(
        [
            "Published out-of-fold probabilities of two networks on CIFAR-10, 50,000 samples: with the "
            "aggregated human labels of CIFAR-10N, and with 20 % synthetic noise. The rule was developed "
            "with all four files in view: these are development figures. `hindsight` takes the threshold that is "
            "best by the truth, which nobody has.",
            markdown_table([row for one in sets for row in tabulate_flags(one)]),
            "False alarms for each 1,000 labels when the given labels are the true ones:",
            markdown_table([tabulate_clean(one) for one in sets]),
            f"F1 on {DRAWS} random parts of {SMALL:,} samples:",
            markdown_table([tabulate_small(one, rng) for one in sets]),
            "Wrong labels expected among the worst by our score, and really there (expected : real):",
            markdown_table([tabulate_yield(one) for one in sets]),
            "A reviewer answers the worst flagged labels from the truth; what the ledger then forecasts of the "
            "next ones (expected, 95 % interval : real):",
            markdown_table(reviewed),
        ]
    )
    write_section("The flag: which labels are wrong, and how many", body)


def _part(one: Labelled, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    part = one.take(rng.choice(len(one.given), SMALL, replace=False))
    return part.probs, part.given, part.truth


if __name__ == "__main__":
    main()
