"""Accepts proposals in bulk, as one person's decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from curate.audit.detectors.unlabelled import DETECTOR
from curate.images.samples import read_scan
from curate.label.pool import gather_pool, missing_classes, tell_missing
from curate.log.decision import Decision
from curate.log.decisions import append_decisions, current_user
from curate.log.proposals import combine_proposals, read_proposals
from curate.spec.model import Spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder


@dataclass(frozen=True)
class Accepted:
    """The decisions made, how many proposals as sure were left as their samples are in the test split, and notes."""

    decisions: list[Decision]
    left_in_test: int
    notes: tuple[str, ...] = ()


def accept_proposals(
    dataset: DatasetFolder, spec: Spec, at_least: float, include_test: bool = False, actor: str | None = None
) -> Accepted:
    """Write a person's acceptance of every proposal with a probability of ``at_least``, as relabel decisions.

    Parameters
    ----------
    include_test
        Also for samples that are in the test split, or would fall there. Without it no model is scored on labels that a
        model suggested: ``curate.versions.split`` puts no sample there whose label was accepted.

    Raises
    ------
    Problem
        When a class has no label yet: its samples would all be taken for another.
    """
    rows = gather_pool(dataset, spec, read_scan(dataset))
    if not rows["is_unlabelled"].any():
        return Accepted([], 0)
    if missing := missing_classes(rows, spec):
        raise Problem("Expected a label of each class before proposals are accepted. " + tell_missing(missing, spec))
    waiting = combine_proposals(read_proposals(dataset), spec.class_names)
    asked = rows.loc[rows["is_unlabelled"], ["sample_id", "split"]]
    chosen = waiting[waiting["probability"] >= at_least].merge(asked, on="sample_id")
    is_test = (chosen["split"] == "test") & (not include_test)
    chosen = chosen[~is_test]
    decisions = [_accept(row, actor or current_user()) for row in chosen.itertuples()]
    made = append_decisions(dataset.decisions, decisions) if decisions else []
    return Accepted(made, int(is_test.sum()))


def _accept(proposal: Any, actor: str) -> Decision:
    return Decision(
        actor=actor,
        tool="label",
        sample_id=proposal.sample_id,
        action="relabel",
        label=proposal.label,
        reason=proposal.said,
        finding="unlabelled",
        score=proposal.probability,
        detector=DETECTOR,
    )
