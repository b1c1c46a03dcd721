"""label and slices: what comes without labels, and the named subsets that rules speak of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curate.commands.arguments import Dataset, Json
from curate.commands.show import print_json, print_table, say, warn
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder, open_folder, working_on

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from curate.label.accept import Accepted
    from curate.label.propose import Proposals
    from curate.spec.model import Spec

CONFIDENCES = ((0.95, "0.95 and more"), (0.8, "0.80 to 0.95"), (0.6, "0.60 to 0.80"), (0.0, "below 0.60"))


def label(
    dataset: Dataset = Path("."),
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
    json: Json = False,
) -> None:
    """Propose labels for the samples that have none, learnt from those that have; a handful a class is enough."""
    from curate.label.accept import accept_proposals
    from curate.label.pick import pick_next
    from curate.label.propose import propose_labels
    from curate.spec.reading import read_spec

    if accept is not None and next is not None:
        raise Problem("Expected either --accept P or --next N, found both. Accept first, then ask what comes next.")
    if include_test and accept is None:
        raise Problem("Expected --include-test together with --accept P.")
    folder = open_folder(dataset)
    spec = read_spec(folder)
    with working_on(folder):
        models, notes = _model_tables(folder, spec)
        proposals = propose_labels(folder, spec, models)
        for note in (*notes, *(proposals.notes if accept is None else ())):
            warn(note)
        if accept is not None:
            done = accept_proposals(folder, spec, accept, include_test)
            _print_accepted(done, dataset, accept, json)
        elif next is not None:
            picks, passed_over = pick_next(folder, spec, proposals, next)
            _print_picks(picks, passed_over, proposals, dataset, json)
        else:
            _print_proposals(proposals, spec, dataset, notes, json)


def _model_tables(folder: DatasetFolder, spec: Spec) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return what the newest model says of the unlabelled samples; none, and a note, when it knows other classes.

    It is flattened to be as sure as its samples of val and test show it may be.
    """
    from curate.audit.evidence.calibration import apply_temperature, fit_temperature
    from curate.label.pool import unlabelled_samples
    from train.models import list_models, read_predictions, read_run

    known = list_models(folder)
    asked = unlabelled_samples(folder, spec) if known else []
    if not asked:
        return {}, []
    model = known[-1]
    classes = read_run(folder, model)["classes"]
    if set(classes) != set(spec.classes):
        return {}, [f"{model} knows other classes ({', '.join(classes)}) than the spec: it is not asked."]
    from train.predict import predict_samples

    probs = predict_samples(folder, model, asked, spec.class_names)
    held = read_predictions(folder, model).query("split != 'train'")
    known = held[[f"p_{name}" for name in spec.classes]].to_numpy()
    temperature = fit_temperature(held["label"].map(spec.class_names.index).to_numpy(), known)
    return {model: apply_temperature(probs, max(1.0, temperature))}, []


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


def _print_proposals(proposals: Proposals, spec: Spec, dataset: Path, notes: list[str], json: bool) -> None:
    combined, lacking = proposals.combined, proposals.lacking
    table = confidence_table(combined, spec.class_names)
    if json:
        rows = combined.merge(proposals.rows[["sample_id", "path", "split"]], on="sample_id")
        said = {"unlabelled": len(lacking), "counts": table, "notes": [*notes, *proposals.notes]}
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


def _print_picks(picks: pd.DataFrame, passed_over: int, proposals: Proposals, dataset: Path, json: bool) -> None:
    combined = proposals.combined.set_index("sample_id")
    rows = picks.assign(
        proposed=picks["sample_id"].map(combined["label"]).astype(object).fillna(""),
        probability=picks["sample_id"].map(combined["probability"]),
    )
    if json:
        print_json({"next": rows.to_dict("records"), "passed_over": passed_over, "notes": list(proposals.notes)})
        return
    if not len(rows):
        say("Nothing to label next: every readable sample has a label, is a copy of one that has, or is a poor image.")
        return
    shown = rows[["place", "path", "proposed", "probability", "why", "split"]]
    print_table(shown.to_dict("records"), f"{len(rows):,} to label next")
    if passed_over:
        say(f"Passed over: {passed_over:,} with an open finding such as outlier, dark or blurry.")
    say(f"`curate review {dataset}` shows them first; or, one by one, `curate decide {dataset} PATH relabel CLASS`.")


def slices(dataset: Dataset = Path("."), json: Json = False) -> None:
    """List the slices of the spec: their samples, the labels among these, and the class that a rule proposes."""
    from curate.images.samples import read_scan
    from curate.log.decisions import read_decisions
    from curate.spec.reading import read_spec
    from curate.versions.slices import tabulate_slices

    folder = open_folder(dataset)
    rows = tabulate_slices(read_scan(folder), read_spec(folder), read_decisions(folder.decisions))
    if json:
        print_json({"slices": rows})
    elif rows:
        print_table([_flat(row) for row in rows], "Slices")
    else:
        say(f"No slices yet: name subsets of the samples under `slices:` in {folder.spec}.")
