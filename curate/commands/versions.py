"""build, split, check, export: makes a version, explains its splits, checks its rules, exports its files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from curate.api.dataset import open_dataset
from curate.commands.arguments import DatasetPath, Json, NoDeps, dataset_first, dataset_maybe
from curate.commands.show import print_json, print_table, say, warn
from curate.storage.files import Problem

MOVES = 10  # told one by one


def build(
    dataset: DatasetPath = Path("."),
    as_given: Annotated[
        bool, typer.Option("--as-given", help="Ignore all decisions: the sources as given.")
    ] = False,
    no_deps: NoDeps = False,
    json: Json = False,
) -> None:
    """Build a version from the current sources and decisions; if nothing changed, nothing is written."""
    from curate.storage.tables import SPLITS

    version = open_dataset(dataset, not no_deps).build(as_given)
    if json:
        print_json({**version.record, "is_new": version.is_new})
        return
    say(f"{version.id} {version.digest[:12]} {'built' if version.is_new else 'is up to date'}")
    # In the spec's order: a record read back from its file has its keys sorted.
    counts, classes = version.record["counts"], version.record["classes"]
    print_table([{"split": split, **{name: counts[split][name] for name in classes}} for split in SPLITS])
    for why, count in version.record["excluded"].items():
        say(f"left out: {count:,} {why}")
    moved = list(version.record["moved"].items())
    for sample_id, move in moved[:MOVES]:
        warn(f"moved: {sample_id} {move}")
    if len(moved) > MOVES:
        warn(f"... and {len(moved) - MOVES:,} more: `curate split {dataset} --explain`")


def check(dataset: DatasetPath = Path("."), no_deps: NoDeps = False, json: Json = False) -> None:
    """Check the current version against the spec's rules; exit code 1 when one does not hold."""
    rules = open_dataset(dataset, not no_deps).check()
    passed = all(rule.ok for rule in rules)
    if json:
        print_json({"ok": passed, "rules": [rule.row() for rule in rules]})
    else:
        print_table([rule.row() for rule in rules], f"{sum(rule.ok for rule in rules)} of {len(rules)} rules hold")
    if not passed:
        raise typer.Exit(1)


def export(
    words: Annotated[list[str], typer.Argument(metavar="[DATASET] VERSION", show_default=False)],
    to: Annotated[Path, typer.Option(help="A new folder.")],
    format: Annotated[str, typer.Option(help="imagefolder, csv or parquet.")] = "imagefolder",
    json: Json = False,
) -> None:
    """Write a version for other tools; the sources are copied, never touched."""
    dataset, (version,) = dataset_first(words, "VERSION")
    written = dataset.export(version, to, format)
    if json:
        print_json({"version": version, "to": str(written), "format": format})
    else:
        say(f"{version} is in {written}")


def split(
    words: Annotated[list[str] | None, typer.Argument(metavar="[DATASET] [SAMPLE]", show_default=False)] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Why the shares are as they are; or why SAMPLE is.")
    ] = False,
    no_deps: NoDeps = False,
    json: Json = False,
) -> None:
    """Show how many samples of each class a build would put in train, val and test, and why.

    SAMPLE is an id, 6 or more of its digits, or a path. To pin samples or to lock the test set, write `pinned:` or
    `locked:` under `split:` in dataset.yaml.
    """
    dataset, rest = dataset_maybe(words or [], no_deps)
    if len(rest) > 1:
        raise Problem(f"Expected [DATASET] [SAMPLE], found {' '.join(rest)!r}.")
    found = dataset.split(*rest)
    if json:
        print_json(found)
    elif rest:
        print_sample(found)
    elif explain:
        print_reasons(found)
    else:
        print_table(found["table"], "Splits, test locked" if found["locked"] else "Splits")


def print_sample(found: dict[str, Any]) -> None:
    """Write why one sample is where it is, and where its near copies are."""
    left_out = f" (left out of the version: {found['excluded']})" if found["excluded"] else ""
    say(f"{found['path']} is in {found['split']}{left_out}. {found['why'][:1].upper()}{found['why'][1:]}")
    if found["copies"]:
        rows = [{"path": row["path"], "split": row["split"], "given": row["given_split"]} for row in found["copies"]]
        print_table(rows, "Its near copies")


SHOWN = 60  # rows of class and split; of more, only those whose share is not met
RULES = {
    "locked": "by the locked test set",
    "pinned": "pinned by dataset.yaml",
    "given": "as their source states",
    "before": "where they were before",
    "lock": "where dataset.lock has them",
    "hash": "new, where their hash falls",
    "share": "new, moved from there to meet the shares",
    "needed": "new, and the first of their class there",
}


def print_reasons(found: dict[str, Any]) -> None:
    """Write shares reached and wanted with their reasons, pins, moves and the largest groups."""
    known = [row for row in found["shares"] if row["share"] is not None]
    shown = known if len(known) <= SHOWN else [row for row in known if row["why"]]
    rows = [{**row, "share": f"{100 * row['share']:.1f} %", "wanted": f"{100 * row['wanted']:g} %"} for row in shown]
    columns = ["class", "split", "samples", "share", "wanted", "why"]
    if rows:
        print_table(rows, "Splits, test locked" if found["locked"] else "Splits", columns)
    if not known:
        say("No sample has a label and can be read, so there is nothing to share out.")
    elif not any(row["why"] for row in known):
        say("Every share is met as nearly as whole samples allow.")
    if found["rules"]:
        say("; ".join(f"{count:,} {RULES[rule]}" for rule, count in found["rules"].items()).capitalize() + ".")
    if found["pinned"]:
        print_table(found["pinned"], "Pinned by dataset.yaml")
    if found["groups"]:
        print_table(found["groups"], "Largest groups of near copies", ["path", "samples", "split"])
    for one in found["moved"]:
        warn(f"moved: {one['path']} {one['why']}")
