"""Computes the digests of versions and sources."""

from __future__ import annotations

import hashlib

import pandas as pd

from curate.images.samples import Scan
from curate.spec.digest import spec_digest
from curate.spec.model import Spec
from curate.versions.soft_labels import DIGITS


def version_digest(manifest: pd.DataFrame, spec: Spec, soft_labels: pd.DataFrame | None = None) -> str:
    """Return the SHA-256 of ``sample_id, label, split`` in order of sample_id, and of the spec's meaning.

    Soft labels are covered where the version carries them; without, the digest is what it was before there were any.
    """
    lines = manifest.sort_values("sample_id")[["sample_id", "label", "split"]].itertuples(index=False)
    text = "\n".join([spec_digest(spec), *("\t".join(line) for line in lines)])
    if soft_labels is not None:
        text += f"\n{soft_labels_digest(soft_labels)}"
    return hashlib.sha256(text.encode()).hexdigest()


def soft_labels_digest(soft_labels: pd.DataFrame) -> str:
    """Return the SHA-256 of a version's soft labels, in order of sample_id."""
    ordered = soft_labels.sort_values("sample_id")
    rows = (
        "\t".join([row[0], *(f"{share:.{DIGITS}f}" for share in row[1:])]) for row in ordered.itertuples(index=False)
    )
    return hashlib.sha256("\n".join(["\t".join(soft_labels.columns), *rows]).encode()).hexdigest()


def sources_digest(scan: Scan) -> str:
    """Return the SHA-256 of what the sources held: contents, votes and stated splits; not names or places."""
    rows = scan.votes[["sample_id", "label", "voter"]].drop_duplicates().sort_values(["sample_id", "label", "voter"])
    contents = scan.samples[["sample_id", "given_split"]].itertuples(index=False)
    lines = ["\t".join(row) for row in (*contents, *rows.itertuples(index=False))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
