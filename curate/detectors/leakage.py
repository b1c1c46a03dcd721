"""Copies across the splits that the sources state: test pictures that the model has seen in training."""

from __future__ import annotations

import pandas as pd

from curate.detectors.evidence import Evidence, findings_table

DETECTOR = "leakage-v2"


def find_leakage(evidence: Evidence) -> pd.DataFrame:
    """Return the samples given to val or test; an issue when a byte copy or a near copy was given to train.

    Score: 1 - similarity to its copies where one is in train, else 1. No given splits: no rows.
    """
    rows = evidence.readable.merge(evidence.groups[["sample_id", "group_id", "similarity"]], on="sample_id")
    trained = evidence.locations[evidence.locations["split"] == "train"][["sample_id", "path"]]
    trained = pd.concat([trained, rows[rows["given_split"] == "train"][["sample_id", "path"]]])
    trained = trained.merge(rows[["sample_id", "group_id"]], on="sample_id")
    in_train = trained.drop_duplicates("group_id").set_index("group_id")["path"]
    exact = set(trained["sample_id"])  # the same bytes were given to two splits
    held = rows[rows["given_split"].isin(["val", "test"])]
    copy = held["group_id"].map(in_train).fillna("").astype(str)
    leaks = copy != ""
    return findings_table(
        held,
        "leakage",
        DETECTOR,
        score=(1 - held["similarity"]).where(leaks, 1.0).where(~held["sample_id"].isin(exact), 0.0),
        is_issue=leaks,
        group_id=held["group_id"].where(leaks, ""),
        suggested_action=leaks.map({True: "drop", False: ""}),
        evidence=[
            f"given to {split}, but its copy {path} is in train" if path else ""
            for split, path in zip(held["given_split"], copy, strict=True)
        ],
    )
