"""label and slices: proposals for unlabelled samples, and the spec's named subsets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curate.api.dataset import open_dataset
from curate.commands.arguments import DatasetPath, Json, NoDeps
from curate.commands.show import print_json, print_table, say, warn
from curate.storage.files import Problem

if TYPE_CHECKING:
    import pandas as pd

    from curate.label.accept import Accepted
    from curate.label.propose import Proposals

CONFIDENCES = ((0.95, "0.95 and more"), (0.8, "0.80 to 0.95"), (0.6, "0.60 to 0.80"), (0.0, "below 0.60"))


def label(
    dataset: DatasetPath = Path("."),
    accept: Annotated[
        float | None,
        typer.Option(min=0, max=1, metavar="P", help="Accept every proposal with at least this probability."),
    ] = None,
    include_test: Annotated[
        bool, typer.Option("--include-test", help="With --accept: also for samples of the test split.")
    ] = False,
    next: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Pick the N samples to label by hand next.")
    ] = None,
    no_deps: NoDeps = False,
    json: Json = False,
) -> None:
    """Propose labels for unlabelled samples, learnt from labelled ones; a handful of each class is enough."""
    if accept is not None and next is not None:
        raise Problem("Expected either --accept P or --next N, found both. Accept first, then ask what comes next.")
    if include_test and accept is None:
        raise Problem("Expected --include-test together with --accept P.")
    opened = open_dataset(dataset, not no_deps)
    if accept is not None:
        _print_accepted(opened.accept_proposals(accept, include_test), dataset, accept, json)
    elif next is not None:
        _print_picks(opened.pick_next(next), dataset, json)
    else:
        _print_proposals(opened.label(), opened.spec.class_names, dataset, json)


def confidence_table(combined: pd.DataFrame, classes: list[str]) -> list[dict[str, Any]]:
    """Return how many proposals of each class there are in each range of their probability, the surest first."""
    rows, upper = [], float("inf")
    for lower, name in CONFIDENCES:
        part = combined[(combined["probability"] >= lower) & (combined["probability"] < upper)]
        counts = {one: int((part["label"] == one).sum()) for one in classes}
        rows.append(
            {"probability": name, "labels": counts, "voters_disagree": int((part["agreeing"] < part["voters"]).sum())}
        )
        upper = lower
    return rows


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Return ``row`` with a column a class, in place of its `labels`."""
    return {name: value for key, one in row.items() for name, value in (one if key == "labels" else {key: one}).items()}


def _print_proposals(proposals: Proposals, classes: list[str], dataset: Path, json: bool) -> None:
    for note in proposals.notes:
        warn(note)
    combined, lacking = proposals.combined, proposals.lacking
    table = confidence_table(combined, classes)
    if json:
        rows = combined.merge(proposals.rows[["sample_id", "path", "split"]], on="sample_id")
        said = {"unlabelled": len(lacking), "counts": table, "notes": list(proposals.notes)}
        print_json({**said, "proposals": rows.to_dict("records")})
        return
    if not lacking:
        say("Every readable sample has a label, or was left out by a decision: nothing to label.")
        return
    voters = ", ".join(sorted(proposals.votes["voter"].unique())) or "nobody yet"
    say(f"{len(lacking):,} samples have no label; {len(combined):,} have a proposal, by {voters}.")
    if len(combined):
        print_table([_flat(row) for row in table], "Proposals")
        say("The probability is the mean over the voters, the surer ones weighing more. Nothing is decided by this.")
        say(f"Look at them in `curate review {dataset}`; take the sure ones: `curate label {dataset} --accept 0.95`.")
    say(f"What to label by hand next: `curate label {dataset} --next 20`.")


def _print_accepted(done: Accepted, dataset: Path, at_least: float, json: bool) -> None:
    from collections import Counter

    for note in done.notes:
        warn(note)
    if json:
        print_json({"decisions": [one.model_dump() for one in done.decisions], "left_in_test": done.left_in_test})
        return
    counts = Counter(one.label for one in done.decisions)
    if counts:
        print_table([{"label": name, "accepted": count} for name, count in sorted(counts.items())], "Accepted")
    else:
        say(f"No proposal with a probability of {at_least:g} or more to accept.")
    if done.left_in_test:
        say(
            f"{done.left_in_test:,} more are for samples of the test split (by their hash, where no version has them): "
            f"a model must not write its own exam. Label them by hand in `curate review {dataset}`, or accept them "
            "too with --include-test."
        )
    if counts:
        say(
            f"Next: `curate build {dataset}`. A wrong one is put right by `curate decide {dataset} PATH relabel CLASS`."
        )


def _print_picks(picks: pd.DataFrame, dataset: Path, json: bool) -> None:
    for note in picks.attrs["notes"]:
        warn(note)
    if json:
        print_json({"next": picks.to_dict("records"), **picks.attrs})
        return
    if not len(picks):
        say("Nothing to label next: every readable sample has a label, is a copy of one that has, or is a poor image.")
        return
    shown = picks[["place", "path", "proposed", "probability", "why", "split"]]
    print_table(shown.to_dict("records"), f"{len(picks):,} to label next")
    if passed_over := picks.attrs["passed_over"]:
        say(f"Passed over: {passed_over:,} with an open finding such as outlier, dark or blurry.")
    say(f"`curate review {dataset}` shows them first; or, one by one, `curate decide {dataset} PATH relabel CLASS`.")


def slices(dataset: DatasetPath = Path("."), no_deps: NoDeps = False, json: Json = False) -> None:
    """List the spec's slices: their samples, the labels of these, and the class that a rule proposes."""
    opened = open_dataset(dataset, not no_deps)
    rows = opened.slices
    if json:
        print_json({"slices": rows})
    elif rows:
        print_table([_flat(row) for row in rows], "Slices")
    else:
        say(f"No slices yet: name subsets of the samples under `slices:` in {opened.folder.spec}.")
