"""demo, init, schema, run, report, doctor: the whole job, and what comes before and after it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from curate.api.dataset import demo_dataset, init_dataset, open_dataset
from curate.commands.arguments import DatasetPath, Json, Workers, expect_device
from curate.commands.show import print_json, print_table, say, warn


def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.")],
    samples: Annotated[int, typer.Option(min=40, help="About how many images.")] = 1200,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Draw a dataset of cats and dogs with planted, recorded faults, to try everything on."""
    from curate.demo.folder import read_truth

    made = demo_dataset(folder, samples, seed)
    truth = read_truth(made.path / "truth.csv")
    planted = truth["fault"].value_counts()
    if json:
        print_json({"files": len(truth), "planted": planted.to_dict(), "dataset": str(folder)})
        return
    say(f"Drew {len(truth):,} files into {folder}. These are drawings; truth.csv says what was planted in them.")
    say(f"Next: curate run {folder}")


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where dataset.yaml goes.")],
    source: Annotated[Path, typer.Option("--from", metavar="FOLDER|CSV", help="Class folders, images, or a CSV.")],
    classes: Annotated[str, typer.Option(help="The classes, where the source states none: cat,dog")] = "",
    json: Json = False,
) -> None:
    """Write a commented dataset.yaml for a folder of images or a CSV."""
    from curate.spec.names import find_spellings, labels_line, quote_name

    made = init_dataset(folder, source, [name.strip() for name in classes.split(",") if name.strip()])
    path, spec = made.folder.spec, made.spec
    if joined := find_spellings(spec.classes):
        pairs = ", ".join(f"{quote_name(old)} and {quote_name(stays)}" for old, stays in joined.items())
        warn(
            f"Most likely one class in two spellings: {pairs}. To join them, write in {path}, in place of `labels:`,\n"
            f"    {labels_line(joined)}\nand take {', '.join(map(quote_name, joined))} out of its `classes:`."
        )
    if json:
        print_json({"spec": str(path), "classes": spec.class_names, "sources": [one.path for one in spec.sources]})
        return
    say(f"Wrote {path} with the classes {', '.join(spec.class_names[:8])}. Read it, then: curate run {folder}")


def schema() -> None:
    """Print the JSON Schema of dataset.yaml, for editors."""
    from curate.spec.digest import spec_schema

    print_json(spec_schema())


def run(
    dataset: DatasetPath = Path("."),
    workers: Workers = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    json: Json = False,
) -> None:
    """Run the whole job from scan to report; what has not changed is not done again."""
    opened = open_dataset(dataset)
    expect_device(device)
    summary = opened.run(workers, device, tell=warn if json else say)
    if json:
        print_json(summary)
        return
    _print_score(opened.folder)
    seconds = summary["seconds"]
    say(f"{sum(seconds.values()):.1f} s: " + ", ".join(f"{stage} {value:.1f}" for stage, value in seconds.items()))
    say(f"Report: {summary['report']}")
    say(f"Review: curate review {dataset}")


def _print_score(folder: Any) -> None:
    """Write what the audit found of the planted faults, where they are known."""
    from curate.run import read_score

    score = read_score(folder)
    if not score:
        return
    columns = ["fault", "issue", "planted", "found", "false_alarms"]
    print_table(score["rows"], "Planted faults (these are drawings)", columns)
    for model, accuracy in score["model_accuracy"].items():
        if accuracy is not None:
            say(f"{model}: accuracy against the planted truth {accuracy:.3f}")


def report(dataset: DatasetPath = Path("."), json: Json = False) -> None:
    """Write the report of the current state: one HTML file that needs no network, and the same as JSON."""
    path = open_dataset(dataset).report()
    if json:
        print_json({"report": str(path), "json": str(path.with_suffix(".json"))})
    else:
        say(f"Report: {path}")


def doctor(
    clean: Annotated[bool, typer.Option("--clean", help="First remove what reviews left behind.")] = False,
    json: Json = False,
) -> None:
    """Check that this machine has what specurate needs; exit code 1 when something is missing.

    --clean removes FiftyOne's copies of dataset folders that are gone, and what killed reviews left; no image, no log.
    """
    from dataclasses import asdict

    from curate.doctor import diagnose

    if clean:
        from curate.review.services.leftovers import clean_leftovers

        for one in clean_leftovers():
            warn(f"Removed {one}.")
    checks = diagnose()
    passed = all(check.ok for check in checks)
    if json:
        print_json({"ok": passed, "checks": [asdict(check) for check in checks]})
    else:
        print_table(
            [asdict(check) for check in checks], f"{sum(one.ok for one in checks)} of {len(checks)} checks passed"
        )
    if not passed:
        raise typer.Exit(1)
