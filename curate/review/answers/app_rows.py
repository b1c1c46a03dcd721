"""Reads rows of FiftyOne's copy for a review."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from curate.review.answers.draft import State
from curate.review.mirror.rows import DROP, KEEP, TAGS

SKIPPED = "skipped"  # a tag of FiftyOne's copy only


@dataclass(frozen=True)
class Row:
    """One sample in FiftyOne's copy."""

    fiftyone_id: str
    sample_id: str
    label: str
    tags: tuple[str, ...]
    open_issues: tuple[str, ...]

    @property
    def edit(self) -> tuple[str, bool, bool]:
        """What an edit in the App can change: the class, and whether the tags say drop or keep."""
        return self.label, DROP in self.tags, KEEP in self.tags


def read_rows(view: Any, field: str, values: Sequence[str]) -> list[Row]:
    """Return the rows of ``view`` whose ``field`` (`id` or `sample_id`) is one of ``values``, in that order."""
    if not values:
        return []
    # Not by an expression of FiftyOne's: those use no index.
    found = view.select(list(values)) if field == "id" else view.mongo([{"$match": {field: {"$in": list(values)}}}])
    columns = found.values(["id", "sample_id", "label.label", "tags", "open_issues"])
    rows = [
        Row(key, sample_id or "", label or "", tuple(tags or ()), tuple(issues or ()))
        for key, sample_id, label, tags, issues in zip(*columns, strict=True)
    ]
    order = {value: place for place, value in enumerate(values)}
    return sorted(rows, key=lambda row: order[row.fiftyone_id if field == "id" else row.sample_id])


def _shown(row: Row, state: State) -> Row:
    """Return ``row`` as it should stand in the App; the reviewer's own tags stay."""
    ours = (DROP,) if state.dropped else (KEEP,) if state.kept else ()
    own = tuple(tag for tag in row.tags if tag not in (*TAGS, SKIPPED))
    return replace(row, label=state.label, tags=own + ours, open_issues=tuple(state.open_issues))
