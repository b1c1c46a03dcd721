"""Turns one answer to one finding into a decision."""

from __future__ import annotations

from curate.log.decision import Decision


def decide_finding(row: object, action: str, label: str, before: str, actor: str, tool: str) -> Decision:
    """Return the decision by which ``actor`` answers the finding ``row``, with its evidence as the reason."""
    return Decision(
        actor=actor,
        tool=tool,
        sample_id=row.sample_id,  # type: ignore[attr-defined]
        action=action,  # type: ignore[arg-type]
        label=label if action in ("relabel", "merge") else before if action == "keep" else "",
        reason=row.evidence,  # type: ignore[attr-defined]
        finding=row.issue,  # type: ignore[attr-defined]
        before=before,
        score=row.score,  # type: ignore[attr-defined]
        detector=row.detector,  # type: ignore[attr-defined]
    )
