"""Lists the samples as a build would take them now: label, exclusion, group and split."""

from __future__ import annotations

import pandas as pd

from curate.images.samples import Scan, read_scan
from curate.log.decisions import read_decisions
from curate.log.outcomes import fold_decisions
from curate.spec.model import Spec
from curate.storage.folder import DatasetFolder
from curate.versions.groups import read_groups
from curate.versions.labels import resolve_labels
from curate.versions.places import place_samples


def current_labels(dataset: DatasetFolder, spec: Spec) -> dict[str, str]:
    """Return the label of each sample as it is now, by sample_id; '' for none."""
    rows = resolve_labels(read_scan(dataset), fold_decisions(read_decisions(dataset.decisions)), spec)
    return dict(zip(rows["sample_id"], rows["label"], strict=True))


def current_rows(dataset: DatasetFolder, scan: Scan, spec: Spec) -> pd.DataFrame:
    """Return a row a sample as it is now: `label, split, excluded`, and `claim`: its split but for its copies."""
    rows = resolve_labels(scan, fold_decisions(read_decisions(dataset.decisions)), spec)
    rows["group_id"] = rows["sample_id"].map(read_groups(dataset, scan))
    places = place_samples(dataset, rows, spec).places.set_index("sample_id")
    return rows.assign(**{name: rows["sample_id"].map(places[name]).fillna("") for name in ("split", "claim")})
