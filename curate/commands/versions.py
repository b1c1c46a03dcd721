"""split: who is in train, val and test, and why."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from curate.commands.arguments import Json, dataset_maybe
from curate.commands.show import print_json, print_table, say, warn
from curate.storage.files import Problem


def split(
    words: Annotated[list[str] | None, typer.Argument(metavar="[DATASET] [SAMPLE]", show_default=False)] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Why the shares are as they are; or why SAMPLE is.")
    ] = False,
    json: Json = False,
) -> None:
    """Show how many of each class are in train, val and test as a build would have it now, and why.

    SAMPLE is an id, 6 or more of its digits, or a path. To pin samples or to lock the test set, write `pinned:` or
    `locked:` under `split:` in dataset.yaml.
    """
    from curate.spec.reading import read_spec
    from curate.versions.explain_split import explain_sample, explain_split

    folder, rest = dataset_maybe(words or [])
    if len(rest) > 1:
        raise Problem(f"Expected [DATASET] [SAMPLE], found {' '.join(rest)!r}.")
    spec = read_spec(folder)
    found = explain_sample(folder, spec, rest[0]) if rest else explain_split(folder, spec)
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
