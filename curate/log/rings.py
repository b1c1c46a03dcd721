"""Merges that lead in a ring: each of several copies is merged into another, and none would stay.

One log cannot hold a ring; two branches of it can, when two people chose different copies to keep: their decisions are
on different samples, so that neither contests the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from curate.log.decision import Decision


def find_rings(decisions: Iterable[Decision]) -> list[tuple[Decision, Decision]]:
    """Return of each ring of merges the latest, which cannot stand, after the one that merged away what it keeps."""
    merged: dict[str, Decision] = {}
    for one in decisions:
        if one.action == "merge":
            merged[one.sample_id] = one
        else:
            merged.pop(one.sample_id, None)
    rings, seen = [], set[str]()
    for sample_id in merged:
        path = _follow(sample_id, merged)
        if path[0] == merged[path[-1]].label and not seen & set(path):
            latest = max((merged[one] for one in path), key=lambda one: (one.time, one.id))
            rings.append((merged[latest.label], latest))
            seen |= set(path)
    return rings


def merge_in_force(decisions: Iterable[Decision]) -> Decision | None:
    """Return the merge that leaves a sample out, of the ``decisions`` on it that count; None when none does."""
    last = None
    for one in decisions:
        last = one if one.action == "merge" else None
    return last


def _follow(sample_id: str, merged: Mapping[str, Decision]) -> list[str]:
    """Return the samples from ``sample_id`` on, each merged into the next; of a ring each once."""
    path = [sample_id]
    while (following := merged[path[-1]].label) in merged and following not in path:
        path.append(following)
    return path
