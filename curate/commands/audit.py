"""scan, audit, findings, patterns: what is in the sources, and what is wrong with it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curate.commands.arguments import Dataset, Json, Workers
from curate.commands.show import counted, print_entries, print_json, print_table, say, warn
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder, open_folder, working_on

if TYPE_CHECKING:
    import pandas as pd

MOST_SHOWN = 10  # patterns after an audit: three hundred small classes must not bury what else was found


def scan(
    dataset: Dataset = Path("."),
    workers: Workers = None,
    engine: Annotated[str, typer.Option(help="threads or processes.")] = "threads",
    json: Json = False,
) -> None:
    """Read the sources: hash, decode and measure every new image, and account for every file."""
    from curate.images.samples import accounting
    from curate.images.scan import scan_dataset
    from curate.spec.reading import read_spec

    folder = open_folder(dataset)
    with working_on(folder):
        result = scan_dataset(folder, read_spec(folder), workers, engine)
    counts = result.counts()
    if json:
        print_json({**counts, "files": len(result.locations)})
        return
    say(accounting(counts))
    left_out = result.locations[result.locations["status"].isin(["unreadable", "ignored"])]
    if len(left_out):
        print_table(left_out[["status", "path", "reason"]].head(20).to_dict("records"), "Left out (the first 20)")


def audit(
    dataset: Dataset = Path("."),
    against: Annotated[
        Path | None, typer.Option(metavar="OTHER", help="Only: which images are in this dataset or folder, too?")
    ] = None,
    json: Json = False,
) -> None:
    """Look for label errors, copies, leakage, outliers and poor images among the scanned samples."""
    from curate.audit.audit import audit_dataset, read_notes
    from curate.commands.leaks import show_shared
    from curate.spec.reading import read_spec
    from train.cross_fit import deep_evidence

    folder = open_folder(dataset)
    if against is not None:
        show_shared(folder, against, json)
        return
    with working_on(folder):
        spec = read_spec(folder)
        table = audit_dataset(folder, spec, deep_evidence(folder, spec))
    for note in read_notes(folder):
        warn(note)
    _tell_audit(folder, table, json)


def _tell_audit(folder: DatasetFolder, table: pd.DataFrame, json: bool) -> None:
    """Write how many findings of each issue there are, and what the whole dataset suffers from."""
    from curate.audit.findings import open_findings
    from curate.audit.ledger import expected_errors, yield_sentence
    from curate.log.decisions import read_decisions
    from train.leaks import collect_leaks, leak_sentence

    still_open = open_findings(folder, table)
    counts = _issue_counts(table, still_open)
    errors = expected_errors(still_open, read_decisions(folder.decisions)).to_dict("records")
    if json:
        found = {row["issue"]: row["found"] for row in counts}
        told = {"expected_label_errors": errors, "leaks": collect_leaks(folder), "patterns": _collect_faults(folder)}
        print_json({"findings": found, "issues": counts, **told})
    else:
        print_table(counts, "Findings")
        if errors:
            say(yield_sentence(errors))
        for leak in collect_leaks(folder):
            say(leak_sentence(leak))
        _show_faults(folder)
        say(f"Look at them with `curate findings {folder.path}` or `curate review {folder.path}`.")


def _issue_counts(table: pd.DataFrame, still_open: pd.DataFrame) -> list[dict[str, object]]:
    """Return a row for each issue looked for: scored samples, found, still open, and the lowest score."""
    rows = []
    for issue, scored in table.groupby("issue", sort=True):
        found = int(scored["is_issue"].sum())
        undecided = int((still_open["issue"] == issue).sum())
        rows.append(
            {"issue": issue, "scored": len(scored), "found": found, "open": undecided, "worst": scored["score"].min()}
        )
    return rows


def findings(
    dataset: Dataset = Path("."),
    issue: Annotated[str, typer.Option(help="Only this issue.")] = "",
    all: Annotated[bool, typer.Option("--all", help="Every scored row, also those that passed.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="At most so many rows, worst first; 0 for all.")] = 0,
    format: Annotated[str, typer.Option(help="table, csv or json.")] = "table",
    json: Json = False,
) -> None:
    """List what the audit found, and where people differ, worst first."""
    from curate.audit.audit import DETECTORS
    from curate.audit.findings import open_findings, read_findings
    from curate.log.decision import CONFLICT
    from curate.storage.tables import FINDINGS_CSV
    from curate.versions.export import safe_cells

    folder = open_folder(dataset)
    table = read_findings(folder)
    known = sorted({*DETECTORS, CONFLICT, *table["issue"]})
    if issue and issue not in known:
        raise Problem(f"Expected an issue ({', '.join(known)}), found {issue!r}.")
    chosen = table[(table["issue"] == issue) if issue else table["issue"].notna()]
    chosen = (chosen if all else chosen[chosen["is_issue"]]).sort_values("score", kind="stable")[FINDINGS_CSV]
    chosen = chosen.head(limit) if limit else chosen
    if json or format == "json":
        print_json(chosen.to_dict("records"))
    elif format == "csv":
        safe_cells(chosen).to_csv(sys.stdout, index=False)
    elif format == "table" and table.empty and not issue:
        say(f"No finding: the last audit had no sample to score. `curate scan {dataset}` says which files there are.")
    elif format == "table":
        _print_findings(chosen, open_findings(folder, table))
    else:
        raise Problem(f"Expected --format table, csv or json, found {format!r}.")


def _print_findings(chosen: pd.DataFrame, still_open: pd.DataFrame) -> None:
    """Write findings for a person: without ids (`decide` takes paths too), and which of them wait for a decision."""
    waiting = set(zip(still_open["sample_id"], still_open["issue"], strict=True))
    rows = [
        {
            "score": row.score,
            "issue": row.issue,
            "path": row.path,
            "suggested": f"{row.suggested_action} {row.suggested_label}".strip() if row.is_issue else "",
            "open": "open" if (row.sample_id, row.issue) in waiting else "",
            "evidence": row.evidence,
        }
        for row in chosen.itertuples()
    ]
    count = sum(row["open"] != "" for row in rows)
    print_entries(rows, f"{len(rows):,} findings, {count:,} open", below="evidence")


def patterns(
    dataset: Dataset = Path("."),
    issue: Annotated[str, typer.Option(help="Only shortcut, weak_slice, imbalance or coverage.")] = "",
    all: Annotated[bool, typer.Option("--all", help="Also what was looked at and is no fault.")] = False,
    json: Json = False,
) -> None:
    """List faults of the dataset as a whole: shortcuts, weak slices, imbalance and coverage."""
    from curate.audit.patterns import read_members, read_patterns

    folder = open_folder(dataset)
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


def _collect_faults(folder: DatasetFolder) -> list[dict[str, object]]:
    """Return ``issue, name, samples, score`` of each pattern that is a fault."""
    from curate.audit.patterns import read_patterns

    table = read_patterns(folder)
    rows: list[dict[str, object]] = table.loc[table["is_issue"], ["issue", "name", "samples", "score"]].to_dict(
        "records"
    )
    return rows


def _show_faults(folder: DatasetFolder) -> None:
    """Write the faults of the dataset as a whole as a table; nothing when there are none."""
    rows = _collect_faults(folder)
    if rows:
        print_table(rows[:MOST_SHOWN], "Faults of the dataset as a whole")
        if len(rows) > MOST_SHOWN:
            say(f"The first {MOST_SHOWN} of {len(rows):,}.")
        say(f"What says so, and what to do: `curate patterns {folder.path}`.")
