"""detectors: how often each detector was right, and whether more review is worthwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from curate.api.dataset import open_dataset
from curate.commands.arguments import DatasetPath, Json, NoDeps
from curate.commands.show import print_json, print_table, say


def detectors(
    dataset: DatasetPath = Path("."),
    worth: Annotated[
        float, typer.Option(min=0, max=1, help="Least share of real errors among the next 50 that is worth a look.")
    ] = 0.1,
    no_deps: NoDeps = False,
    json: Json = False,
) -> None:
    """Show how often each detector was right, by your decisions, and whether more review is worthwhile."""
    opened = open_dataset(dataset, not no_deps)
    table, ledger = opened.detectors(worth), opened.ledger
    if json:
        print_json({"detectors": table.to_dict("records"), "ledger": ledger.to_dict("records"), "worth": worth})
        return
    rows = table.to_dict("records")
    told = [row for row in rows if row["found"] or row["answered"]]
    print_table([_shown(row) for row in told], "Detectors" if told else "No detector found anything.")
    if told and len(told) < len(rows):
        say(f"Nothing found: {', '.join(row['issue'] for row in rows if row not in told)}.")
    if len(ledger):
        print_table([_counted(row) for row in ledger.to_dict("records")], "How often people agreed, by score")
    for row in table[table["open"] > 0].itertuples():
        say(row.advice)
    if not len(ledger):
        say("No finding was answered by a person yet: decisions in `curate review` or `curate decide` teach this.")


def _shown(row: dict) -> dict[str, object]:  # type: ignore[type-arg]
    from curate.audit.ledger import NO_FAULTS

    agreed = _agreed(row) if row["answered"] else {"people agreed": "", "between": ""}
    is_told = row["open"] and row["issue"] not in NO_FAULTS and row["expected_left"] == row["expected_left"]
    left = round(row["expected_left"]) if is_told else ""
    return {"issue": row["issue"], "found": row["found"], "open": row["open"], **agreed, "expected left": left}


def _counted(row: dict) -> dict[str, object]:  # type: ignore[type-arg]
    return {
        "issue": row["issue"],
        "score": row["scores"],
        **_agreed(row),
        "expected": "" if row["expected"] != row["expected"] else f"{row['expected']:.1f}",
    }


def _agreed(row: dict) -> dict[str, object]:  # type: ignore[type-arg]
    """Return counts that a person can check, and between which precisions they leave the detector."""
    return {
        "people agreed": f"{row['right']:,} of {row['answered']:,}",
        "between": f"{row['low']:.2f} and {row['high']:.2f}",
    }
