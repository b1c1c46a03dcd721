"""votes: lists votes, imports them from other tools, and exports them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curate.api.dataset import open_dataset
from curate.commands.arguments import DatasetPath, Json, NoDeps
from curate.commands.show import counted, print_json, print_table, say, warn
from curate.storage.files import Problem

if TYPE_CHECKING:
    from curate.api.dataset import Dataset
    from curate.exchange.importing import Imported


Source = Annotated[
    Path | None, typer.Option("--from", metavar="FILE", help="Import the labels in this file.", show_default=False)
]
To = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Export to this new file: .csv, .jsonl, .json.", show_default=False)
]
Withdraw = Annotated[str, typer.Option(metavar="VOTER", help="Take back what this voter's imports said.")]
Format = Annotated[
    str, typer.Option(help="csv, jsonl, labelstudio; to import also coco, fiftyone. Else told by content or name.")
]
Voter = Annotated[str, typer.Option(help="With --from: who gave the labels, whatever the file says.")]
Rename = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="OLD=NEW", help="With --from: what the file calls a class, and its name here."),
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="With --from: import the good rows although others are bad.")]
ImagePrefix = Annotated[
    str, typer.Option(help="With --to and Label Studio: what goes before a path to make its address.")
]


def votes(
    dataset: DatasetPath = Path("."),
    source: Source = None,
    to: To = None,
    withdraw: Withdraw = "",
    format: Format = "",
    voter: Voter = "",
    rename: Rename = None,
    skip_bad: SkipBad = False,
    image_prefix: ImagePrefix = "",
    no_deps: NoDeps = False,
    json: Json = False,
) -> None:
    """List the voters; import labels from CSV, JSONL, Label Studio, COCO or FiftyOne; export them.

    Votes of people are the given labels, by majority; those of models (model:...) are kept but never taken as given.
    """
    opened = open_dataset(dataset, not no_deps)
    if sum(map(bool, (source, to, withdraw))) > 1:
        raise Problem("Expected one of --from, --to and --withdraw, found several. Do one after the other.")
    _expect_used(bool(source), {"--voter": voter, "--map": rename, "--skip-bad": skip_bad}, "--from")
    _expect_used(bool(to), {"--image-prefix": image_prefix}, "--to")
    _expect_used(bool(source or to), {"--format": format}, "--from or --to")
    if source:
        done = opened.import_votes(source, format, voter, _read_pairs(rename or []), skip_bad)
        if json:
            print_json(_summary(done))
        else:
            _tell_import(dataset, done)
    elif to:
        _tell_export(opened.export_votes(to, format, image_prefix), to, format, image_prefix, json)
    elif withdraw:
        _tell_withdrawn(len(opened.withdraw_votes(withdraw)), withdraw, dataset, json)
    else:
        _list(opened, json)


def _expect_used(is_used: bool, options: dict[str, object], with_option: str) -> None:
    for name, value in options.items():
        if value and not is_used:
            raise Problem(f"Expected {name} together with {with_option}, found it alone.")


def _read_pairs(pairs: list[str]) -> dict[str, str]:
    """Return ``old=new`` pairs as a mapping; an old name may hold a ``=``."""
    for pair in pairs:
        if "=" not in pair:
            raise Problem(f"Expected --map OLD=NEW, found {pair!r}.")
    return {old: new for old, _, new in (pair.rpartition("=") for pair in pairs)}


def _summary(done: Imported) -> dict[str, object]:
    checked = done.checked
    places = {"faults": checked.faults, "duplicates": checked.duplicates}
    return {
        "format": done.format,
        "new": len(done.votes),
        "known": done.known,
        "relabelled": done.relabelled,
        "by_name": checked.by_name,
        "left_out": dict(checked.left_out),
        **{name: [vars(fault) for fault in faults] for name, faults in places.items()},
    }


def _tell_import(dataset: Path, done: Imported) -> None:
    from collections import Counter

    from curate.exchange.check import describe_faults

    checked = done.checked
    if checked.faults or checked.duplicates:
        warn(describe_faults([*checked.faults, *checked.duplicates]))
    counts = Counter(vote.voter for vote in done.votes)
    if counts:
        print_table([{"voter": name, "new_votes": count} for name, count in sorted(counts.items())])
    say(f"{done.format}: {counted(len(done.votes), 'new vote')}, {done.known:,} known before.")
    for why, count in sorted(checked.left_out.items()):
        say(f"left out: {count:,} {why}")
    if checked.by_name:
        warn(f"{checked.by_name:,} were matched by the file's name alone: only one sample is called so.")
    if done.votes:
        have = "has" if done.relabelled == 1 else "have"
        say(f"{counted(done.relabelled, 'sample')} {have} another given label now. Next: curate run {dataset}")


def _tell_export(written: list[Path], to: Path, form: str, image_prefix: str, json: bool) -> None:
    from curate.exchange.formats import written_format

    if json:
        print_json({"written": [str(one) for one in written], "format": written_format(to, form)})
        return
    say(f"Votes are in {written[0]}")
    if len(written) > 1:
        say(f"Label Studio: paste {written[1]} as the labelling interface, then import {written[0]}.")
        if not image_prefix:
            say(
                "It finds the pictures on this disk when their folder is added as local storage and it is started with "
                "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT=/. "
                "Else name their address with --image-prefix."
            )


def _tell_withdrawn(count: int, voter: str, dataset: Path, json: bool) -> None:
    if json:
        print_json({"withdrawn": count, "voter": voter})
    else:
        say(f"{voter}: {counted(count, 'vote')} taken back. Next: curate run {dataset}")


def _list(dataset: Dataset, json: bool) -> None:
    found = dataset.voters
    samples, lost = found.pop("samples"), found["of_unknown_samples"]
    if json:
        print_json(found)
        return
    rows = [{**row, "last": row["last"][:19].replace("T", " ")} for row in found["voters"]]
    print_table(
        rows,
        f"{counted(len(rows), 'voter')} on {counted(samples, 'sample')}: {counted(found['ties'], 'tie')}, "
        f"{found['unlabelled']:,} unlabelled",
    )
    if lost:
        log = dataset.folder.votes
        warn(f"{counted(lost, 'vote')} in {log}: no source holds the sample now; kept for when one does.")
