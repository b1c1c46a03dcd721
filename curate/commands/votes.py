"""votes: who said what, votes in from other tools, votes out to them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curate.commands.arguments import Dataset, Json
from curate.commands.show import counted, print_json, print_table, say, warn
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder, open_folder, working_on

if TYPE_CHECKING:
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
    dataset: Dataset = Path("."),
    source: Source = None,
    to: To = None,
    withdraw: Withdraw = "",
    format: Format = "",
    voter: Voter = "",
    rename: Rename = None,
    skip_bad: SkipBad = False,
    image_prefix: ImagePrefix = "",
    json: Json = False,
) -> None:
    """List who voted; import labels from CSV, JSONL, Label Studio, COCO or FiftyOne; export them.

    Votes of people are the given labels, by majority; those of models (model:...) are kept but never taken as given.
    """
    folder = open_folder(dataset)
    if sum(map(bool, (source, to, withdraw))) > 1:
        raise Problem("Expected one of --from, --to and --withdraw, found several. Do one after the other.")
    _expect_used(bool(source), {"--voter": voter, "--map": rename, "--skip-bad": skip_bad}, "--from")
    _expect_used(bool(to), {"--image-prefix": image_prefix}, "--to")
    _expect_used(bool(source or to), {"--format": format}, "--from or --to")
    if source:
        _import(folder, source, format, voter, rename or [], skip_bad, json)
    elif to:
        _export(folder, to, format, image_prefix, json)
    elif withdraw:
        _withdraw(folder, withdraw, json)
    else:
        _list(folder, json)


def _expect_used(is_used: bool, options: dict[str, object], with_option: str) -> None:
    for name, value in options.items():
        if value and not is_used:
            raise Problem(f"Expected {name} together with {with_option}, found it alone.")


def _import(
    folder: DatasetFolder, source: Path, form: str, voter: str, rename: list[str], skip_bad: bool, json: bool
) -> None:
    from curate.exchange.importing import import_votes
    from curate.spec.reading import read_spec

    with working_on(folder):
        done = import_votes(folder, read_spec(folder), source, form, voter, rename, skip_bad)
    if json:
        print_json(_summary(done))
    else:
        _tell_import(folder, done)


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


def _tell_import(folder: DatasetFolder, done: Imported) -> None:
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
        say(f"{counted(done.relabelled, 'sample')} {have} another given label now. Next: curate run {folder.path}")


def _export(folder: DatasetFolder, to: Path, form: str, image_prefix: str, json: bool) -> None:
    from curate.exchange.exporting import export_votes
    from curate.exchange.formats import written_format
    from curate.spec.reading import read_spec

    written = export_votes(folder, read_spec(folder), to, form, image_prefix)
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


def _withdraw(folder: DatasetFolder, voter: str, json: bool) -> None:
    from curate.log.votes import read_votes, withdraw_votes

    with working_on(folder):
        taken = withdraw_votes(folder.votes, voter)
        left = sorted(set(read_votes(folder.votes)["voter"]))
    if not taken:
        raise Problem(f"Expected a voter of {folder.votes} ({', '.join(left) or 'there is none'}), found {voter!r}.")
    if json:
        print_json({"withdrawn": len(taken), "voter": voter})
    else:
        say(f"{voter}: {counted(len(taken), 'vote')} taken back. Next: curate run {folder.path}")


def _list(folder: DatasetFolder, json: bool) -> None:
    from curate.images.samples import read_scan
    from curate.log.votes import by_people, list_voters, read_votes

    scan = read_scan(folder)
    voters = list_voters(scan.votes).to_dict("records")
    logged = read_votes(folder.votes)["sample_id"]
    lost = int((~logged.isin(scan.samples["sample_id"])).sum())
    readable = scan.samples[scan.samples["reason"] == ""]
    has_vote = readable["sample_id"].isin(by_people(scan.votes)["sample_id"])
    ties, unlabelled = int((has_vote & (readable["given_label"] == "")).sum()), int((~has_vote).sum())
    if json:
        print_json({"voters": voters, "ties": ties, "unlabelled": unlabelled, "of_unknown_samples": lost})
        return
    voters = [{**row, "last": row["last"][:19].replace("T", " ")} for row in voters]
    print_table(
        voters,
        f"{counted(len(voters), 'voter')} on {counted(len(readable), 'sample')}: {counted(ties, 'tie')}, "
        f"{unlabelled:,} unlabelled",
    )
    if lost:
        warn(f"{counted(lost, 'vote')} in {folder.votes}: no source holds the sample now; kept for when one does.")
