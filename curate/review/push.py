"""The tables into a persistent FiftyOne dataset: bulk calls only, and only the rows that changed."""

from __future__ import annotations

import gc
import hashlib
import secrets
from typing import Any

import pandas as pd

from curate.dataset import DatasetFolder
from curate.review.environment import load_fiftyone
from curate.review.layout import lay_out, restrict_labels, save_views
from curate.review.points import push_points
from curate.review.pull import pull_review
from curate.review.rows import DROP, KEEP, TAGS, Kind, collect_rows
from curate.review.snapshot import INFO, mark, no_snapshot, read_snapshot, review_name, write_snapshot
from curate.spec import Spec

BUILT_IN = ("file", "image", "tags")  # columns that are FiftyOne's own fields: filepath, metadata, tags
INDEXED = ("sample_id", "split", "issues", "open_issues", "group_id", "given_label.label", "label.label")


def push_review(dataset: DatasetFolder, spec: Spec, name: str | None = None) -> str:
    """Write the dataset as the reviewer should see it into FiftyOne and return its name there.

    Edits that were made in the App and not yet pulled are pulled first, so a push never overwrites them. Samples that
    vanished are removed from FiftyOne (no file is touched); samples and tags that the reviewer added stay.

    Raises
    ------
    Problem
        When there is no scan yet, or no database can be started.
    """
    rows, kinds = collect_rows(dataset)
    fo = load_fiftyone()
    name = review_name(dataset, name)
    view = fo.load_dataset(name) if fo.dataset_exists(name) else fo.Dataset(name, persistent=True)
    before = read_snapshot(dataset, view)
    if before is not None and pull_review(dataset, spec, name=name):
        rows, kinds = collect_rows(dataset)
        before = read_snapshot(dataset, view)
    mark(view, token="")
    if (view.info.get(INFO) or {}).get("fields") != sorted(kinds):
        _declare_fields(fo, view, kinds)
        lay_out(fo, view, kinds)  # not each time: a reviewer may have arranged the App since
    restrict_labels(view, spec)
    snapshot = _write_rows(fo, view, rows, kinds, no_snapshot() if before is None else before)
    mark(view, folder=str(dataset.path.resolve()))  # where the plugin finds what was decided
    view.info = {**view.info, "classes": spec.classes}
    view.default_classes = spec.class_names
    save_views(view, rows)
    push_points(dataset, spec, view, snapshot)
    write_snapshot(dataset, view, snapshot, secrets.token_hex(8))
    return name


def _declare_fields(fo: Any, view: Any, kinds: dict[str, Kind]) -> None:
    """Declare every field before values come (guessing them is slow) and remove those that are no longer pushed."""
    types: dict[str, dict[str, Any]] = {
        "text": {"ftype": fo.StringField},
        "texts": {"ftype": fo.ListField, "subfield": fo.StringField},
        "number": {"ftype": fo.FloatField},
        "label": {"ftype": fo.EmbeddedDocumentField, "embedded_doc_type": fo.Classification},
    }
    there = view.get_field_schema()
    pushed = set((view.info.get(INFO) or {}).get("fields", []))
    view.delete_sample_fields(sorted((pushed - set(kinds)) & set(there)))
    for name, kind in kinds.items():
        if name not in there:
            view.add_sample_field(name, **types[kind])
    mark(view, fields=sorted(kinds))
    indexed = set(view.list_indexes())
    for path in INDEXED:
        if path not in indexed:
            view.create_index(path)


def _write_rows(fo: Any, view: Any, rows: pd.DataFrame, kinds: dict[str, Kind], before: pd.DataFrame) -> pd.DataFrame:
    """Bring the samples of ``view`` in line with ``rows`` and return the new snapshot."""
    ids = _matched_samples(view, rows)
    new = rows.loc[[sample for sample in rows.index if sample not in ids]]
    if len(new):
        ids |= dict(zip(new.index, _add_bare_samples(fo, view, new), strict=True))
    digests = _digests(rows, kinds)
    # Not by sample_id: one that was deleted in the App has come back under a new id, without its fields.
    known = pd.Series(ids).map(before.set_index("fiftyone_id")["digest"])
    changed = rows[digests != known.reindex(rows.index)]
    _set_columns(fo, view, changed, kinds, ids)
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


def _add_bare_samples(fo: Any, view: Any, rows: pd.DataFrame) -> list[str]:
    """Add samples with none of our fields but `sample_id` (a push that is cut off leaves no strays); return their ids.

    FiftyOne reloads every sample object that is still alive after each bulk write, one query each: let go of them.
    """
    bare = [
        fo.Sample(filepath=row.file, sample_id=row.sample_id, metadata=_metadata(fo, row.image))
        for row in rows.itertuples()
    ]
    ids = view.add_samples(bare, progress=False)
    bare.clear()
    gc.collect()
    return list(ids)


def _digests(rows: pd.DataFrame, kinds: dict[str, Kind]) -> pd.Series:
    """One hash a row over all that is pushed of it, so that an unchanged row costs no write."""
    values = rows[[*BUILT_IN, *kinds]].itertuples(index=False, name=None)
    digests = [hashlib.sha256(repr(row).encode()).hexdigest()[:16] for row in values]
    return pd.Series(digests, index=rows.index, dtype="str")


def _set_columns(fo: Any, view: Any, rows: pd.DataFrame, kinds: dict[str, Kind], ids: dict[str, str]) -> None:
    if not len(rows):
        return
    keys = [ids[sample] for sample in rows.index]
    for name, kind in kinds.items():
        values = [_value(fo, kind, value) for value in rows[name]]
        view.set_values(name, dict(zip(keys, values, strict=True)), key_field="id", progress=False)
    view.set_values("filepath", dict(zip(keys, rows["file"], strict=True)), key_field="id", progress=False)
    own = dict(zip(*view.values(["id", "tags"]), strict=True))
    tags = [
        [tag for tag in own[key] or [] if tag not in TAGS] + ours for key, ours in zip(keys, rows["tags"], strict=True)
    ]
    view.set_values("tags", dict(zip(keys, tags, strict=True)), key_field="id", progress=False)


def _value(fo: Any, kind: Kind, value: Any) -> Any:
    if kind == "label":
        label, confidence = value
        return fo.Classification(label=label, confidence=confidence) if label else None
    if kind == "number":
        return None if pd.isna(value) else float(value)
    return value or ([] if kind == "texts" else None)


def _metadata(fo: Any, image: tuple[int, int, int, str]) -> Any:
    """Given, because FiftyOne would open every image to find it out."""
    width, height, size, form = image
    mime = f"image/{form.lower()}"
    return fo.ImageMetadata(width=int(width), height=int(height), size_bytes=int(size), mime_type=mime)
