"""Collects what a report says of each issue: the number of findings, their outcomes, the worst of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from curate.audit.findings import open_findings, read_findings
from curate.audit.ledger import expected_errors
from curate.audit.patterns import read_members, read_patterns
from curate.images.samples import Scan
from curate.log.decision import CONFLICT, LABEL_ISSUES, Decision, states_label
from curate.log.outcomes import fold_decisions
from curate.storage.files import read_cached
from curate.storage.folder import DatasetFolder
from curate.storage.tables import read_parquet

WORST = 12  # pictures an issue
WORST_GROUPS = 6
MEMBERS = 6  # pictures a group
# The order of a report: what somebody has to settle, then what changes a model most.
ORDER = (CONFLICT, "label_error", "near_duplicate", "label_conflict", "leakage", "off_topic", "unreadable", "outlier")
GROUPED = ("near_duplicate", "label_conflict", "leakage")  # shown side by side with their group
OUTCOMES = {"relabel": "relabelled", "keep": "kept", "drop": "dropped", "merge": "merged", "undrop": "kept"}


def collect_issues(
    dataset: DatasetFolder, scan: Scan | None, decisions: Sequence[Decision]
) -> list[dict[str, Any]] | None:
    """Return each issue with its count, outcomes and worst samples; None before an audit."""
    if scan is None or not (dataset.cache / "findings.parquet").is_file():
        return None
    findings = read_findings(dataset)
    findings = findings[findings["is_issue"]].sort_values(["score", "sample_id"])
    waiting = open_findings(dataset, findings)
    samples = _sample_rows(scan, decisions)
    findings = findings[findings["sample_id"].isin(samples.index)]
    findings = findings.assign(
        given_label=findings["sample_id"].map(samples["given_label"]),
        outcome=_outcomes(findings, samples, decisions, set(zip(waiting["sample_id"], waiting["issue"], strict=True))),
    )
    groups = _group_members(dataset)
    found = list(findings["issue"].unique())
    known = [issue for issue in ORDER if issue in found]
    rest = sorted(set(found) - set(ORDER), key=lambda issue: (-int((findings["issue"] == issue).sum()), issue))
    expected = {"label_error": expected_errors(waiting, decisions).to_dict("records")}
    return [
        {**_issue(issue, findings[findings["issue"] == issue], samples, groups), "expected": expected.get(issue, [])}
        for issue in known + rest
    ]


def collect_patterns(dataset: DatasetFolder, scan: Scan | None) -> list[dict[str, Any]] | None:
    """Return each fault of the dataset as a whole with pictures of its members; None before an audit.

    Those of issues only: what is no fault needs no pictures.
    """
    path = dataset.cache / "patterns.parquet"
    if scan is None or not path.is_file():
        return None
    samples = scan.samples[["sample_id", "path", "given_label"]]
    members = read_members(dataset).merge(samples, on="sample_id")
    rows = []
    for row in read_patterns(dataset).to_dict("records"):
        own = members[(members["name"] == row["name"]) & row["is_issue"]].head(WORST)
        rows.append({**row, "gallery": own[list(samples.columns)].to_dict("records")})
    return rows


def _sample_rows(scan: Scan, decisions: Sequence[Decision]) -> pd.DataFrame:
    """Return path, given_label and size of each sample, and whether decisions left it out or merged others into it."""
    rows = scan.samples.set_index("sample_id")[["path", "given_label", "width", "height"]]
    folded = fold_decisions(list(decisions)).set_index("sample_id")
    return rows.assign(
        left_out=rows.index.isin(folded.index[folded["dropped"]]),
        keeper=rows.index.isin(folded.loc[folded["merged_into"] != "", "merged_into"]),
    )


def _outcomes(
    findings: pd.DataFrame, samples: pd.DataFrame, decisions: Sequence[Decision], waiting: set[tuple[str, str]]
) -> list[str]:
    """Return what became of each finding: still ``waiting``, left out with its sample, or how it was answered."""
    answers: dict[tuple[str, str], str] = {}
    for one in decisions:
        issues = LABEL_ISSUES if states_label(one) else ()
        answers.update({(one.sample_id, issue): OUTCOMES[one.action] for issue in (*issues, one.finding)})
    left_out = set(samples.index[samples["left_out"]])
    outcomes = []
    for sample_id, issue in zip(findings["sample_id"], findings["issue"], strict=True):
        otherwise = "to review" if (sample_id, issue) in waiting else "left out" if sample_id in left_out else "kept"
        # A conflict that is listed is open, whatever was said of an earlier one.
        answer = otherwise if issue == CONFLICT else answers.get((sample_id, issue), otherwise)
        is_back = answer in ("dropped", "merged") and sample_id not in left_out
        outcomes.append("kept" if is_back else answer)
    return outcomes


def _group_members(dataset: DatasetFolder) -> pd.DataFrame:
    """Return ``sample_id, group_id, keeper`` of the near-duplicate groups of two or more; keeper: the one to keep."""
    table = read_cached(dataset.cache / "groups.parquet", read_parquet)
    if table is None:
        return pd.DataFrame(columns=["sample_id", "group_id", "keeper"])
    return table[table["group_id"].duplicated(keep=False) & (table["group_id"] != "")]


def _issue(issue: str, rows: pd.DataFrame, samples: pd.DataFrame, groups: pd.DataFrame) -> dict[str, Any]:
    """``rows`` are the findings of one issue, worst first."""
    is_grouped = rows["group_id"].isin(groups["group_id"]) & (issue in GROUPED)
    grouped, alone = rows[is_grouped], rows[~is_grouped]
    worst = [
        _group(name, grouped[grouped["group_id"] == name], samples, groups[groups["group_id"] == name])
        for name in grouped["group_id"].unique()[:WORST_GROUPS]
    ]
    columns = "sample_id path given_label suggested_label suggested_action score evidence outcome".split()
    return {
        "issue": issue,
        "count": len(rows),
        "worst": float(rows["score"].min()),
        "outcomes": {str(name): int(count) for name, count in rows["outcome"].value_counts().items()},
        "gallery": [] if issue == "unreadable" else alone.head(WORST)[columns].to_dict("records"),
        "groups": worst,
        "group_count": int(grouped["group_id"].nunique()),
        "keeps": any(member["keeper"] for group in worst for member in group["members"]),
    }


def _group(name: str, rows: pd.DataFrame, samples: pd.DataFrame, members: pd.DataFrame) -> dict[str, Any]:
    """Return one group, the sample that stays first; ``rows`` are its findings, worst first."""
    outcomes = dict(zip(rows["sample_id"], rows["outcome"], strict=True))
    table = samples[samples.index.isin(members["sample_id"])].rename_axis("sample_id").reset_index()
    table["outcome"] = [
        outcomes.get(row.sample_id, "left out" if row.left_out else "to review") for row in table.itertuples()
    ]
    table["keeper"] &= ~table["left_out"]
    table.loc[table["keeper"], "outcome"] = "kept"
    if not table["keeper"].any() and (rows["issue"] == "near_duplicate").all():
        table["keeper"] = table["sample_id"].isin(members["keeper"]) & ~table["left_out"]
        table.loc[table["keeper"], "outcome"] = "best copy"
    table = table.sort_values(["keeper", "width", "sample_id"], ascending=[False, False, True])
    columns = ["sample_id", "path", "given_label", "outcome", "keeper", "width", "height"]
    shown = table.head(MEMBERS)[columns].to_dict("records")
    return {"group_id": name, "size": len(table), "evidence": str(rows["evidence"].iloc[0]), "members": shown}
