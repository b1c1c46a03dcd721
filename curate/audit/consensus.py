"""Computes from the votes of several annotators the given labels that the audit judges."""

from __future__ import annotations

from dataclasses import replace

from curate.audit.evidence.crowdlab import compute_consensus, is_too_large, tabulate_votes
from curate.audit.evidence.evidence import Evidence
from curate.log.consensus import lay_over

SHARED_WITH = ("ids", "embeddings", "neighbours", "groups", "pred_probs")  # evidence that no given label changes


def settle_labels(evidence: Evidence) -> Evidence:
    """Return ``evidence`` with the consensus as given label of the samples with several voters.

    The probabilities are those learnt from the majority labels: the consensus is made of them.
    """
    if is_too_large(evidence.votes):
        evidence.notes.append("label_conflict: too many voters for CROWDLAB; each label is what the majority says.")
        return evidence
    wide = tabulate_votes(evidence.votes, evidence.ids, evidence.spec.class_names)
    if not (wide.notna().sum(axis=1) > 1).any():
        return evidence
    consensus = compute_consensus(wide, evidence.ids, evidence.pred_probs, evidence.spec.class_names)
    if consensus.note:
        evidence.notes.append(consensus.note)
    settled = replace(evidence, samples=lay_over(evidence.samples, consensus.samples), consensus=consensus.samples)
    kept = {name: value for name, value in evidence.__dict__.items() if name in SHARED_WITH}
    settled.__dict__.update(kept)  # where cached properties lie
    return settled
