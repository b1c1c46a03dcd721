"""annotators: the quality of each annotator."""

from __future__ import annotations

from pathlib import Path

from curate.api.dataset import open_dataset
from curate.commands.arguments import DatasetPath, Json, NoDeps
from curate.commands.show import counted, print_json, print_table, say


def annotators(dataset: DatasetPath = Path("."), no_deps: NoDeps = False, json: Json = False) -> None:
    """Rank the annotators by quality: how often others agree with each, and which classes each confuses."""
    from curate.audit.evidence.crowdlab import MODEL
    from curate.label.annotators import advise

    table = open_dataset(dataset, not no_deps).annotators
    advice = advise(table[table["annotator"] != MODEL])
    if json:
        print_json({"annotators": table.to_dict("records"), "advice": advice})
        return
    if not len(table):
        say("No sample was labelled by two people, so there is nothing to compare: see `curate votes`.")
        return
    print_table([_shown(row) for row in table.to_dict("records")], "Annotators, best to worst")
    say(advice)
    if MODEL not in set(table["annotator"]):
        say(f"Measured by the majority alone. `curate audit {dataset}` lets the pictures weigh in.")


def _shown(row: dict) -> dict[str, object]:  # type: ignore[type-arg]
    mistake = f"{row['consensus']} as {row['said']}, {counted(row['times'], 'time')}" if row["times"] else ""
    names = ("annotator", "votes", "shared", "quality", "agreement", "weight")
    return {name: row[name] for name in names} | {"most often wrong": mistake}
