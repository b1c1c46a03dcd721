"""similar: lists the images most like one image, and says whether any is a copy."""

from __future__ import annotations

from typing import Annotated

import typer

from curate.commands.arguments import Json, NoDeps, dataset_first
from curate.commands.show import print_json, print_table, say


def similar(
    words: Annotated[
        list[str],
        typer.Argument(metavar="[DATASET] IMAGE", help="A sample's id or path, or any image file.", show_default=False),
    ],
    limit: Annotated[int, typer.Option(min=1, help="How many to show.")] = 10,
    no_deps: NoDeps = False,
    json: Json = False,
) -> None:
    """Find the copies and nearest neighbours of an image in the dataset; the image may be any file."""
    dataset, [image] = dataset_first(words, "IMAGE", no_deps)
    found = dataset.similar(image, limit)
    rows = found.table.to_dict("records")
    if json:
        print_json({"standing": found.standing, "sentence": found.sentence, "notes": found.notes, "similar": rows})
        return
    say(found.sentence)
    for note in found.notes:
        say(note)
    # 8 digits name a sample among thousands, and leave the paths room.
    short = [{**row, "sample_id": row["sample_id"][:8]} for row in rows]
    print_table(short, "" if rows else "There is no other to compare it with.")
