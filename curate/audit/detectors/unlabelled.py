"""Lists the samples without a label, with their proposals and the order in which to look at them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from curate.audit.evidence.evidence import Evidence, findings_table
from curate.log.proposals import PICKED, combine_proposals, read_picks, read_proposals
from curate.log.votes import by_people
from curate.storage.folder import DatasetFolder

DETECTOR = "unlabelled-v1"
PLACE = 1e-6  # score of one place further back among the picks: before every sample that was not picked
LAST_PLACE = round(PICKED / PLACE) - 1


def find_unlabelled(evidence: Evidence) -> pd.DataFrame:
    """Return every readable sample that no person labelled, all of them issues.

    Score: the probability of the proposed label (chance where nothing is proposed), so that the unsure come first; what
    ``curate label --next`` picked comes before them, in its order.
    """
    rows = evidence.readable
    rows = rows[(rows["given_label"] == "") & ~rows["sample_id"].isin(by_people(evidence.votes)["sample_id"])]
    classes = evidence.spec.class_names
    proposals, picks = _stored(evidence.cache)
    rows = rows.merge(combine_proposals(proposals, classes), on="sample_id", how="left")
    rows = rows.merge(picks[["sample_id", "place", "why"]], on="sample_id", how="left")
    is_picked = rows["place"].notna()
    first = rows["place"].fillna(0).clip(upper=LAST_PLACE) * PLACE
    label = rows["label"].astype(object).fillna("")
    return findings_table(
        rows,
        "unlabelled",
        DETECTOR,
        score=rows["probability"].fillna(1 / len(classes)).clip(lower=PICKED, upper=1).where(~is_picked, first),
        is_issue=True,
        suggested_action=(label != "").map({True: "relabel", False: ""}),
        suggested_label=label,
        evidence=[_sentence(row) for row in rows.itertuples()],
    )


def _stored(cache: Path | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    dataset = DatasetFolder(cache.parent if cache else Path("nowhere"))
    return read_proposals(dataset), read_picks(dataset)


def _sentence(row: object) -> str:
    is_picked = row.place == row.place  # type: ignore[attr-defined]
    is_proposed = isinstance(row.said, str) and row.said != ""  # type: ignore[attr-defined]
    picked = f"pick {int(row.place)} of what to label next, {row.why}" if is_picked else ""  # type: ignore[attr-defined]
    voters = row.said if is_proposed else "no proposal yet"  # type: ignore[attr-defined]
    split = is_proposed and row.agreeing < row.voters  # type: ignore[attr-defined]
    return "; ".join(filter(None, [picked, voters, "they disagree" if split else ""]))
