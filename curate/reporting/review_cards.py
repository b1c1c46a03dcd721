"""Turns open findings into cards of the offline page; a card is one finding or one group of copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from curate.audit.audit import DETECTORS
from curate.audit.findings import open_findings, read_findings
from curate.audit.ledger import CALIBRATED, NO_FAULTS, judge_decisions
from curate.audit.reliability import fit_reliability, predict_right
from curate.decide.keepers import find_keepers
from curate.images.samples import Scan, read_scan
from curate.log.ancestry import find_heads
from curate.log.conflicts import weigh_log
from curate.log.decision import CONFLICT, Decision
from curate.log.decisions import read_log
from curate.log.outcomes import fold_decisions
from curate.reporting.issues import ORDER
from curate.spec.model import Spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder
from curate.storage.tables import read_table
from curate.versions.current import current_rows

LIMIT = 500  # cards: some 15 MB, and two hours of a reviewer
MEMBERS = 24  # of a group in one card; the others come with the next page
NEIGHBOURS = 5
MOST_SAMPLES = 60_000  # above, looking for neighbours is not cheap any more
COPIES = ("near_duplicate",)  # answered as a group
WITH_COPIES = ("label_conflict", "leakage")  # answered alone, shown beside their copies
WITH_NEIGHBOURS = ("label_error", "unlabelled", "outlier", "off_topic", CONFLICT)


@dataclass(frozen=True)
class _Samples:
    """What cards are made of: the readable samples, which of them were dropped or merged, and which copy is to stay."""

    table: pd.DataFrame
    gone: set[str]
    keepers: dict[str, str]
    heads: dict[str, tuple[str, ...]]


def collect_cards(
    dataset: DatasetFolder, spec: Spec, issue: str = "", limit: int = LIMIT
) -> tuple[list[dict[str, Any]], int]:
    """Return the cards of the open findings and how many more there are; see ``reports.review_page`` for their parts.

    Issues come in the order of the report, the worst scores of each first: scores of different issues do not compare.
    """
    scan = read_scan(dataset)
    events = read_log(dataset.decisions)
    findings, decisions = read_findings(dataset), weigh_log(events)[0]
    known = sorted({*DETECTORS, CONFLICT, *findings["issue"]})
    if issue and issue not in known:
        raise Problem(f"Expected an issue ({', '.join(known)}), found {issue!r}.")
    waiting = open_findings(dataset, findings)
    waiting = waiting.assign(chance=_chances(waiting, decisions))
    samples = _gather_samples(dataset, spec, scan, events)
    waiting = waiting[
        waiting["sample_id"].isin(samples.table.index) & (waiting["issue"] == (issue or waiting["issue"]))
    ]
    asked = _in_order(waiting, samples)
    shown = asked[:limit] if limit else asked
    cards = [_group_card(rows, samples) if rows[0].issue in COPIES else _card(rows[0], samples) for rows in shown]
    _add_context(cards, dataset, spec, samples)
    return cards, len(asked) - len(shown)


def _gather_samples(dataset: DatasetFolder, spec: Spec, scan: Scan, events: list[Decision]) -> _Samples:
    folded = fold_decisions(weigh_log(events)[0])
    gone = set(folded.loc[folded["dropped"], "sample_id"])
    groups = read_table(dataset.cache / "groups.parquet", f"curate audit {dataset.path}")
    rows = current_rows(dataset, scan, spec).set_index("sample_id")
    # What cannot be decoded cannot be judged by eye.
    readable = scan.samples[scan.samples["reason"] == ""].set_index("sample_id", drop=False)
    readable = readable.assign(label=rows["label"].reindex(readable.index).fillna("").astype(str))
    readable = readable.assign(group_id=groups.set_index("sample_id")["group_id"].reindex(readable.index).fillna(""))
    exam = set(rows.index[rows["claim"] == "test"])
    own: dict[str, list[Decision]] = {}
    for one in events:
        own.setdefault(one.sample_id, []).append(one)
    heads = {sample_id: find_heads(said) for sample_id, said in own.items()}
    return _Samples(readable, gone, find_keepers(groups, scan.samples, gone, exam), heads)


def _in_order(waiting: pd.DataFrame, samples: _Samples) -> list[list[Any]]:
    """Return the open findings as they are asked: a list each, of one finding or of a group's."""
    issues = set(waiting["issue"])
    order = [*(one for one in ORDER if one in issues), *sorted(issues - set(ORDER))]
    waiting = waiting.assign(place=waiting["issue"].map({name: place for place, name in enumerate(order)}))
    asked: dict[tuple[str, str], list[Any]] = {}
    for row in waiting.sort_values(["place", "score", "sample_id"]).itertuples():
        name = samples.table.at[row.sample_id, "group_id"] if row.issue in COPIES else ""
        asked.setdefault((row.issue, name or row.sample_id), []).append(row)
    return list(asked.values())


def _chances(waiting: pd.DataFrame, decisions: list[Decision]) -> list[float | None]:
    """Return how probably each open finding is real, as far as earlier answers can tell; None where they cannot."""
    answers = judge_decisions(decisions)
    chances = pd.Series([None] * len(waiting), index=waiting.index, dtype=object)
    for issue, rows in waiting.groupby("issue"):
        mine = answers[(answers["issue"] == issue) & answers["detector"].isin(["", rows["detector"].iloc[0]])]
        if issue in NO_FAULTS or (issue not in CALIBRATED and mine.empty):
            continue
        reliability = fit_reliability(mine["score"].to_numpy(dtype=float), mine["is_right"].to_numpy(dtype=bool))
        expected = predict_right(reliability, rows["score"].to_numpy(dtype=float))
        chances[rows.index] = [round(float(one), 3) for one in expected]
    return list(chances)


def _card(row: Any, samples: _Samples) -> dict[str, Any]:
    card = _blank(row, f"{row.issue}:{row.sample_id}")
    return {
        **card,
        "action": row.suggested_action,
        "label": row.suggested_label,
        "members": [_member(row, samples, True)],
    }


def _group_card(rows: Sequence[Any], samples: _Samples) -> dict[str, Any]:
    """Return the card of a group of copies: those that are asked samples, beside those that were answered before."""
    group = samples.table.at[rows[0].sample_id, "group_id"] or rows[0].sample_id
    left = samples.table[(samples.table["group_id"] == group) & ~samples.table["sample_id"].isin(samples.gone)]
    keeper = samples.keepers.get(rows[0].sample_id, rows[0].sample_id)
    asked = {row.sample_id: row for row in rows}
    order = sorted(left["sample_id"], key=lambda one: (one != keeper, one not in asked, -_pixels(samples, one), one))
    members = [_member(asked.get(one), samples, one in asked, one) for one in order[:MEMBERS]]
    card = _blank(rows[0], f"{rows[0].issue}:{group}")
    return {**card, "action": "merge", "keeper": keeper, "members": members, "hidden": max(0, len(order) - MEMBERS)}


def _blank(row: Any, name: str) -> dict[str, Any]:
    return {
        "id": name,
        "issue": row.issue,
        "score": round(float(row.score), 3),
        "chance": None if pd.isna(row.chance) else row.chance,
        "evidence": row.evidence,
        "action": "",
        "label": "",
        "keeper": "",
        "hidden": 0,
        "context": [],
    }


def _member(row: Any, samples: _Samples, is_open: bool, sample_id: str = "") -> dict[str, Any]:
    sample = samples.table.loc[sample_id or row.sample_id]
    return {
        "id": sample["sample_id"],
        "path": sample["path"],
        "label": sample["label"],
        "size": f"{sample['width']:,} × {sample['height']:,}",
        "evidence": row.evidence if row is not None else "",
        "open": is_open,
        "after": list(samples.heads.get(sample["sample_id"], ())),
    }


def _pixels(samples: _Samples, sample_id: str) -> int:
    return int(samples.table.at[sample_id, "width"] * samples.table.at[sample_id, "height"])


def _add_context(cards: list[dict[str, Any]], dataset: DatasetFolder, spec: Spec, samples: _Samples) -> None:
    """Give each card the small pictures that help to judge it: its copies, or what is most like it."""
    left = samples.table[~samples.table["sample_id"].isin(samples.gone)]
    # A conflict may be about a sample that is left out: it stands among no others.
    alone = [
        card for card in cards if card["issue"] in WITH_NEIGHBOURS and card["members"][0]["id"] not in samples.gone
    ]
    near = _neighbours(dataset, spec, left, [card["members"][0]["id"] for card in alone]) if alone else {}
    for card in cards:
        own = card["members"][0]["id"]
        if card["issue"] in WITH_COPIES:
            copies = left[(left["group_id"] == samples.table.at[own, "group_id"]) & (left["group_id"] != "")]
            near[own] = [one for one in copies["sample_id"] if one != own][:NEIGHBOURS]
        if card["issue"] in (*WITH_COPIES, *WITH_NEIGHBOURS):
            rows = [samples.table.loc[one] for one in near.get(own, [])]
            card["context"] = [{"id": one["sample_id"], "path": one["path"], "label": one["label"]} for one in rows]


def _neighbours(
    dataset: DatasetFolder, spec: Spec, samples: pd.DataFrame, asked: Sequence[str]
) -> dict[str, list[str]]:
    """Return the samples most like each of ``asked``, nearest first, without its own copies."""
    from curate.vectors.embed import compute_embeddings

    if len(samples) > MOST_SAMPLES:
        return {}
    ids, groups = list(samples["sample_id"]), samples["group_id"].to_numpy()
    embeddings = compute_embeddings(dataset, spec, ids)
    place = {one: number for number, one in enumerate(ids)}
    near = {}
    for sample_id in asked:
        row = place[sample_id]
        # Rounded, so that the last bits of a processor's arithmetic decide no order.
        likeness = (embeddings @ embeddings[row]).round(5)
        likeness[(groups == groups[row]) & (groups != "")] = -np.inf
        likeness[row] = -np.inf
        nearest = np.argsort(-likeness, kind="stable")[:NEIGHBOURS]
        near[sample_id] = [ids[one] for one in nearest if likeness[one] > -np.inf]
    return near
