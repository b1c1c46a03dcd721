"""patterns: what is wrong with the dataset as a whole, with the numbers that say so."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from curate.commands.arguments import Dataset, Json
from curate.commands.show import counted, print_entries, print_json, print_table, say
from curate.storage.folder import DatasetFolder, open_dataset

MOST_SHOWN = 10  # after an audit: three hundred small classes must not bury what else was found


def patterns(
    dataset: Dataset = Path("."),
    issue: Annotated[str, typer.Option(help="Only shortcut, weak_slice, imbalance or coverage.")] = "",
    all: Annotated[bool, typer.Option("--all", help="Also what was looked at and is no fault.")] = False,
    json: Json = False,
) -> None:
    """List faults of the dataset as a whole: shortcuts, weak slices, imbalance and coverage."""
    from curate.audit.patterns import read_members, read_patterns

    folder = open_dataset(dataset)
    table = read_patterns(folder, issue)
    if json:
        members = read_members(folder).groupby("name")["sample_id"].agg(list).to_dict()
        print_json([{**row, "members": members.get(row["name"], [])} for row in table.to_dict("records")])
        return
    chosen = table if all else table[table["is_issue"]]
    rows = [
        {
            "score": row.score,
            "issue": row.issue,
            "samples": row.samples,
            "name": row.name,
            "evidence": row.evidence + (f" To do: {row.suggested_action}." if row.suggested_action else ""),
        }
        for row in chosen.itertuples(index=False)
    ]
    found = int(table["is_issue"].sum())
    print_entries(rows, f"{counted(found, 'fault')} of the dataset as a whole", below="evidence")
    if not all and len(table) > found:
        say(f"{counted(len(table) - found, 'more row')} of what was looked at: `curate patterns {dataset} --all`.")


def collect_faults(folder: DatasetFolder) -> list[dict[str, object]]:
    """Return ``issue, name, samples, score`` of each pattern that is a fault."""
    from curate.audit.patterns import read_patterns

    table = read_patterns(folder)
    rows: list[dict[str, object]] = table.loc[table["is_issue"], ["issue", "name", "samples", "score"]].to_dict(
        "records"
    )
    return rows


def show_faults(folder: DatasetFolder) -> None:
    """Write the faults of the dataset as a whole as a table; nothing when there are none."""
    rows = collect_faults(folder)
    if rows:
        print_table(rows[:MOST_SHOWN], "Faults of the dataset as a whole")
        if len(rows) > MOST_SHOWN:
            say(f"The first {MOST_SHOWN} of {len(rows):,}.")
        say(f"What says so, and what to do: `curate patterns {folder.path}`.")
