"""scan, audit, findings, patterns: find and list the faults of a dataset."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curate.api.dataset import open_dataset
from curate.commands.arguments import DatasetPath, Json, NoDeps, Workers
from curate.commands.show import counted, print_entries, print_json, print_table, say, warn
from curate.storage.files import Problem

if TYPE_CHECKING:
    import pandas as pd

    from curate.api.stages import Audited

MOST_SHOWN = 10  # patterns after an audit: three hundred small classes must not bury what else was found


def scan(
    dataset: DatasetPath = Path("."),
    workers: Workers = None,
    engine: Annotated[str, typer.Option(help="threads or processes.")] = "threads",
    json: Json = False,
) -> None:
    """Read the sources: hash, decode and measure every new image, and account for every file."""
    result = open_dataset(dataset).scan(workers, engine)
    if json:
        print_json({**result.counts(), "files": len(result.locations)})
        return
    say(result.accounting())
    left_out = result.locations[result.locations["status"].isin(["unreadable", "ignored"])]
    if len(left_out):
        print_table(left_out[["status", "path", "reason"]].head(20).to_dict("records"), "Left out (the first 20)")


def audit(
    dataset: DatasetPath = Path("."),
    against: Annotated[
        Path | None, typer.Option(metavar="OTHER", help="Only: which images are in this dataset or folder, too?")
    ] = None,
    no_deps: NoDeps = False,
    json: Json = False,
) -> None:
    """Find label errors, copies, leakage, outliers and poor images; scans first when files changed."""
    from curate.commands.leaks import show_shared

    opened = open_dataset(dataset, not no_deps)
    if against is not None:
        show_shared(opened, against, json)
    else:
        _tell_audit(opened.audit(), dataset, json)


def _tell_audit(found: Audited, dataset: Path, json: bool) -> None:
    """Write how many findings of each issue there are, and what the whole dataset suffers from."""
    from curate.audit.ledger import yield_sentence
    from train.leaks import leak_sentence

    for note in found.notes:
        warn(note)
    counts, faults = found.counts(), _faults(found.patterns)
    if json:
        told = {"expected_label_errors": found.expected_errors, "leaks": found.leaks, "patterns": faults}
        print_json({"findings": {row["issue"]: row["found"] for row in counts}, "issues": counts, **told})
        return
    print_table(counts, "Findings")
    if found.expected_errors:
        say(yield_sentence(found.expected_errors))
    for leak in found.leaks:
        say(leak_sentence(leak))
    _show_faults(faults, dataset)
    say(f"Look at them with `curate findings {dataset}` or `curate review {dataset}`.")


def findings(
    dataset: DatasetPath = Path("."),
    issue: Annotated[str, typer.Option(help="Only this issue.")] = "",
    all: Annotated[bool, typer.Option("--all", help="Every scored row, also those that passed.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="At most so many rows, worst first; 0 for all.")] = 0,
    format: Annotated[str, typer.Option(help="table, csv or json.")] = "table",
    no_deps: NoDeps = False,
    json: Json = False,
) -> None:
    """List the findings of the audit and the conflicts between people, worst first."""
    from curate.audit.audit import DETECTORS
    from curate.log.decision import CONFLICT
    from curate.storage.tables import FINDINGS_CSV
    from curate.versions.export import safe_cells

    table = open_dataset(dataset, not no_deps).scored
    known = sorted({*DETECTORS, CONFLICT, *table["issue"]})
    if issue and issue not in known:
        raise Problem(f"Expected an issue ({', '.join(known)}), found {issue!r}.")
    chosen = table[(table["issue"] == issue) if issue else table["issue"].notna()]
    chosen = chosen if all else chosen[chosen["is_issue"]]
    chosen = chosen.head(limit) if limit else chosen
    if json or format == "json":
        print_json(chosen[FINDINGS_CSV].to_dict("records"))
    elif format == "csv":
        safe_cells(chosen[FINDINGS_CSV]).to_csv(sys.stdout, index=False)
    elif format == "table" and table.empty and not issue:
        say(f"No finding: the last audit had no sample to score. `curate scan {dataset}` says which files there are.")
    elif format == "table":
        _print_findings(chosen)
    else:
        raise Problem(f"Expected --format table, csv or json, found {format!r}.")


def _print_findings(chosen: pd.DataFrame) -> None:
    """Write findings for a person: without ids (`decide` takes paths too), and which of them wait for a decision."""
    rows = [
        {
            "score": row.score,
            "issue": row.issue,
            "path": row.path,
            "suggested": f"{row.suggested_action} {row.suggested_label}".strip() if row.is_issue else "",
            "open": "open" if row.open else "",
            "evidence": row.evidence,
        }
        for row in chosen.itertuples()
    ]
    count = sum(row["open"] != "" for row in rows)
    print_entries(rows, f"{len(rows):,} findings, {count:,} open", below="evidence")


def patterns(
    dataset: DatasetPath = Path("."),
    issue: Annotated[str, typer.Option(help="Only shortcut, weak_slice, imbalance or coverage.")] = "",
    all: Annotated[bool, typer.Option("--all", help="Also what was looked at and is no fault.")] = False,
    no_deps: NoDeps = False,
    json: Json = False,
) -> None:
    """List faults of the dataset as a whole: shortcuts, weak slices, imbalance and coverage."""
    from curate.audit.patterns import KINDS

    opened = open_dataset(dataset, not no_deps)
    if issue and issue not in KINDS:
        raise Problem(f"Expected one of {', '.join(KINDS)}, found {issue!r}. Faults of samples: `curate findings`.")
    table = opened.patterns
    table = table[(table["issue"] == issue) | (not issue)]
    if json:
        members = opened.pattern_members.groupby("name")["sample_id"].agg(list).to_dict()
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


def _faults(patterns: pd.DataFrame) -> list[dict[str, object]]:
    """Return ``issue, name, samples, score`` of each pattern that is a fault."""
    columns = ["issue", "name", "samples", "score"]
    return patterns.loc[patterns["is_issue"], columns].to_dict("records")  # type: ignore[return-value]


def _show_faults(rows: list[dict[str, object]], dataset: Path) -> None:
    """Write the faults of the dataset as a whole as a table; nothing when there are none."""
    if rows:
        print_table(rows[:MOST_SHOWN], "Faults of the dataset as a whole")
        if len(rows) > MOST_SHOWN:
            say(f"The first {MOST_SHOWN} of {len(rows):,}.")
        say(f"What says so, and what to do: `curate patterns {dataset}`.")
