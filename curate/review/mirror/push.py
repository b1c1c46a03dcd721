"""Pushes the tables into a persistent FiftyOne dataset: in bulk, and only rows that changed."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

import pandas as pd

from curate.review.mirror.bulk import add_bare_samples, write_rows
from curate.review.mirror.evaluations import push_evaluations
from curate.review.mirror.layout import lay_out, restrict_labels, save_views
from curate.review.mirror.points import push_points
from curate.review.mirror.pull import take_edits_in
from curate.review.mirror.rows import DROP, KEEP, Kind, collect_rows
from curate.review.mirror.snapshot import SNAPSHOT, mark, marked, read_snapshot, review_name, write_snapshot, writing
from curate.review.mirror.workspaces import save_workspaces
from curate.review.services.environment import load_fiftyone
from curate.spec.model import Spec
from curate.storage.folder import DatasetFolder
from curate.storage.tables import empty

BUILT_IN = ("file", "image", "tags")  # columns that are FiftyOne's own fields: filepath, metadata, tags
INDEXED = ("sample_id", "split", "issues", "open_issues", "group_id", "slices", "given_label.label", "label.label")


def push_review(dataset: DatasetFolder, spec: Spec, name: str | None = None) -> str:
    """Write the dataset as the reviewer should see it into FiftyOne and return its name there.

    Edits that were made in the App and not yet pulled are pulled first, so a push never overwrites them. Samples that
    vanished are removed from FiftyOne (no file is touched); samples and tags that the reviewer added stay.

    Raises
    ------
    Problem
        When there is no scan yet, or no database can be started.
    """
    rows, kinds = collect_rows(dataset, spec)
    fo = load_fiftyone()
    name = review_name(dataset, name)
    with writing(dataset, name):
        view = fo.load_dataset(name) if fo.dataset_exists(name) else fo.Dataset(name, persistent=True)
        before = read_snapshot(dataset, view)
        if before is not None and take_edits_in(dataset, spec, view, before):
            rows, kinds = collect_rows(dataset, spec)
            before = read_snapshot(dataset, view)
        _push(dataset, spec, view, rows, kinds, before)
    return name


def _push(
    dataset: DatasetFolder,
    spec: Spec,
    view: Any,
    rows: pd.DataFrame,
    kinds: dict[str, Kind],
    before: pd.DataFrame | None,
) -> None:
    fo = load_fiftyone()
    from curate.review.mirror.similarity import push_similarity  # its classes are FiftyOne's: only now can they be made

    mark(view, token="")
    shown = {"fields": sorted(kinds), "coloured": spec.class_names}
    if {name: marked(view).get(name) for name in shown} != shown:
        _declare_fields(fo, view, kinds)
        lay_out(fo, view, kinds, spec.class_names)  # not each time: a reviewer may have arranged the App since
        mark(view, coloured=spec.class_names)
    restrict_labels(view, spec)
    snapshot = _write_rows(fo, view, rows, kinds, empty(SNAPSHOT) if before is None else before)
    mark(view, folder=str(dataset.path.resolve()))  # where the plugin finds what was decided
    view.info = {**view.info, "classes": spec.classes}
    view.default_classes = spec.class_names
    save_views(view, rows, spec)
    push_points(dataset, spec, view, snapshot)
    push_similarity(dataset, spec, view, snapshot)
    push_evaluations(dataset, spec, view, rows, kinds)
    save_workspaces(fo, view)
    write_snapshot(dataset, view, snapshot, secrets.token_hex(8))


def _declare_fields(fo: Any, view: Any, kinds: dict[str, Kind]) -> None:
    """Declare every field before values come (guessing them is slow) and remove those that are no longer pushed."""
    types: dict[str, dict[str, Any]] = {
        "text": {"ftype": fo.StringField},
        "texts": {"ftype": fo.ListField, "subfield": fo.StringField},
        "number": {"ftype": fo.FloatField},
        "label": {"ftype": fo.EmbeddedDocumentField, "embedded_doc_type": fo.Classification},
    }
    there = view.get_field_schema()
    pushed = set(marked(view).get("fields", []))
    view.delete_sample_fields(sorted((pushed - set(kinds)) & set(there)))
    for name, kind in kinds.items():
        if name not in there:
            view.add_sample_field(name, **types[kind])
    mark(view, fields=sorted(kinds))
    indexed = set(view.list_indexes())
    for path in INDEXED:
        if path not in indexed and path.partition(".")[0] in kinds:
            view.create_index(path)


def _write_rows(fo: Any, view: Any, rows: pd.DataFrame, kinds: dict[str, Kind], before: pd.DataFrame) -> pd.DataFrame:
    """Bring the samples of ``view`` in line with ``rows`` and return the new snapshot."""
    ids = _matched_samples(view, rows)
    new = rows.loc[[sample for sample in rows.index if sample not in ids]]
    if len(new):
        ids |= dict(zip(new.index, add_bare_samples(fo, view, new), strict=True))
    digests = _digests(rows, kinds)
    # Not by sample_id: one that was deleted in the App has come back under a new id, without its fields.
    known = pd.Series(ids).map(before.set_index("fiftyone_id")["digest"])
    changed = rows[digests != known.reindex(rows.index)]
    write_rows(fo, view, changed, kinds, ids)
    return pd.DataFrame(
        {
            "fiftyone_id": [ids[sample] for sample in rows.index],
            "sample_id": rows.index,
            "label": [label for label, _ in rows["label"]],
            "drop": [DROP in tags for tags in rows["tags"]],
            "keep": [KEEP in tags for tags in rows["tags"]],
            "digest": digests.to_numpy(),
        }
    ).reset_index(drop=True)


def _matched_samples(view: Any, rows: pd.DataFrame) -> dict[str, str]:
    """Return sample_id -> FiftyOne's id of those that stay, after removing the vanished and any double."""
    there: dict[str, str] = {}
    gone = []
    for fiftyone_id, sample_id in zip(*view.values(["id", "sample_id"]), strict=True):
        if sample_id in rows.index and sample_id not in there:
            there[sample_id] = fiftyone_id
        elif sample_id:  # without one: the reviewer added it
            gone.append(fiftyone_id)
    if gone:
        view.delete_samples(gone)
    return there


def _digests(rows: pd.DataFrame, kinds: dict[str, Kind]) -> pd.Series:
    """One hash a row over all that is pushed of it, so that an unchanged row costs no write."""
    values = rows[[*BUILT_IN, *kinds]].itertuples(index=False, name=None)
    digests = [hashlib.sha256(repr(row).encode()).hexdigest()[:16] for row in values]
    return pd.Series(digests, index=rows.index, dtype="str")
