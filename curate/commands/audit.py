"""scan, audit, findings, decide, build, check, export: one stage each."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curate.commands.arguments import Dataset, Json, Workers, dataset_first, dataset_maybe
from curate.commands.show import counted, print_entries, print_json, print_table, say, warn
from curate.storage.files import Problem
from curate.storage.folder import open_dataset, working_on

if TYPE_CHECKING:
    from curate.decide.answers import Applied


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

    folder = open_dataset(dataset)
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
    from curate.audit.findings import open_findings
    from curate.audit.ledger import expected_errors, yield_sentence
    from curate.commands.leaks import show_shared
    from curate.commands.patterns import collect_faults, show_faults
    from curate.log.decisions import read_decisions
    from curate.spec.reading import read_spec
    from train.cross_fit import deep_evidence
    from train.leaks import collect_leaks, leak_sentence

    folder = open_dataset(dataset)
    if against is not None:
        show_shared(folder, against, json)
        return
    with working_on(folder):
        spec = read_spec(folder)
        table = audit_dataset(folder, spec, deep_evidence(folder, spec))
    for note in read_notes(folder):
        warn(note)
    still_open = open_findings(folder, table)
    counts = issue_counts(table, still_open)
    errors = expected_errors(still_open, read_decisions(folder.decisions)).to_dict("records")
    if json:
        found = {row["issue"]: row["found"] for row in counts}
        told = {"expected_label_errors": errors, "leaks": collect_leaks(folder), "patterns": collect_faults(folder)}
        print_json({"findings": found, "issues": counts, **told})
    else:
        print_table(counts, "Findings")
        if errors:
            say(yield_sentence(errors))
        for leak in collect_leaks(folder):
            say(leak_sentence(leak))
        show_faults(folder)
        say(f"Look at them with `curate findings {dataset}` or `curate review {dataset}`.")


def issue_counts(table, still_open) -> list[dict[str, object]]:  # type: ignore[no-untyped-def]
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
    from curate.log.conflicts import CONFLICT
    from curate.storage.tables import FINDINGS_CSV
    from curate.versions.export import safe_cells

    folder = open_dataset(dataset)
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
    elif format == "table":
        print_findings(chosen, open_findings(folder, table))
    else:
        raise Problem(f"Expected --format table, csv or json, found {format!r}.")


def print_findings(chosen, still_open) -> None:  # type: ignore[no-untyped-def]
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


def decide(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[DATASET] [SAMPLE ACTION [LABEL]]", show_default=False)
    ] = None,
    accept: Annotated[str, typer.Option(metavar="ISSUE", help="Accept the suggestions of this issue.")] = "",
    max_score: Annotated[float, typer.Option(min=0, max=1, help="With --accept: only up to this score.")] = 1.0,
    reason: Annotated[str, typer.Option(help="Why, for the log.")] = "",
    answers: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="Apply the answers of `curate review --html`.")
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="With --from: apply what can stand although other lines cannot.")
    ] = False,
    json: Json = False,
) -> None:
    """Apply the spec's policy; or accept an issue's suggestions; or decide one sample; or apply a page's answers.

    SAMPLE is an id, 6 or more of its digits, or a path. ACTION is keep, relabel, drop, merge or undrop; relabel takes a
    class, merge the sample that stays.
    """
    from curate.decide.acceptance import accept_findings
    from curate.decide.answers import apply_answers
    from curate.decide.by_hand import decide_sample
    from curate.decide.policy import apply_policy
    from curate.spec.reading import read_spec

    folder, rest = dataset_maybe(words or [])
    spec = read_spec(folder)
    if bool(accept) + bool(rest) + bool(answers) > 1:
        raise Problem("Expected one of --accept ISSUE, --from FILE or a sample, found several.")
    if answers:
        print_applied(apply_answers(folder, spec, answers, skip_bad), folder.path, json)
        return
    if skip_bad:
        raise Problem("--skip-bad belongs to --from FILE, and none is named.")
    if len(rest) not in (0, 2, 3):
        raise Problem(f"Expected [DATASET] SAMPLE ACTION [LABEL], found {' '.join(rest)!r}.")
    if rest:
        label = rest[2] if len(rest) == 3 else ""
        made = [decide_sample(folder, spec, rest[0], rest[1], label, reason)]
    else:
        made = accept_findings(folder, spec, accept, max_score) if accept else apply_policy(folder, spec)
    print_decisions(made, json)


def print_decisions(
    made: list, json: bool, nothing: str = "Nothing to decide: no open finding that this applies to."
) -> None:
    """Write the decisions just made, counted by issue and action."""
    from collections import Counter

    if json:
        print_json({"decisions": [one.model_dump() for one in made]})
        return
    counts = Counter((one.finding or "by hand", one.action) for one in made)
    rows = [{"issue": issue, "action": action, "decisions": count} for (issue, action), count in sorted(counts.items())]
    if rows:
        print_table(rows, "Decided")
    else:
        say(nothing)


def print_applied(applied: Applied, dataset: Path, json: bool) -> None:
    """Write what became of a file of answers."""
    from dataclasses import asdict

    from curate.exchange.check import describe_faults
    from curate.log.conflicts import CONFLICT

    if json:
        decisions = [one.model_dump() for one in applied.decisions]
        print_json({**asdict(applied), "decisions": decisions})
        return
    if applied.decisions:
        print_decisions(applied.decisions, json)
    counts = {"are in the log already": applied.known, "were answered alike by somebody else": applied.agreed}
    said = [f"{count:,} {what}" for what, count in counts.items() if count]
    say(f"{counted(len(applied.decisions), 'new decision')}" + "".join(f"; {one}" for one in said) + ".")
    if applied.contested:
        contradict = "contradicts" if applied.contested == 1 else "contradict"
        say(
            f"{applied.contested:,} of them {contradict} what somebody else said meanwhile: noted, but not counted "
            f"until somebody decides. Look at `curate findings {dataset} --issue {CONFLICT}`."
        )
    if applied.faults:
        warn(f"{counted(len(applied.faults), 'line')} passed over:\n{describe_faults(applied.faults)}")


MOVES = 10  # told one by one


def build(
    dataset: Dataset = Path("."),
    as_given: Annotated[
        bool, typer.Option("--as-given", help="Without any decision: the sources as they are.")
    ] = False,
    json: Json = False,
) -> None:
    """Build the version that sources and decisions amount to; nothing new is written if nothing changed."""
    from curate.spec.reading import read_spec
    from curate.storage.tables import SPLITS
    from curate.versions.build import build_version

    folder = open_dataset(dataset)
    with working_on(folder):
        version = build_version(folder, read_spec(folder), use_decisions=not as_given)
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


def check(dataset: Dataset = Path("."), json: Json = False) -> None:
    """Check the current version against the spec's rules; exit code 1 when one does not hold."""
    from curate.check.rules import check_dataset
    from curate.spec.reading import read_spec

    folder = open_dataset(dataset)
    rules = check_dataset(folder, read_spec(folder))
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
    from curate.versions.export import export_version

    folder, (version,) = dataset_first(words, "VERSION")
    written = export_version(folder, version, to, format)
    if json:
        print_json({"version": version, "to": str(written), "format": format})
    else:
        say(f"{version} is in {written}")


def schema() -> None:
    """Print the JSON Schema of dataset.yaml, for editors."""
    from curate.spec.digest import spec_schema

    print_json(spec_schema())
