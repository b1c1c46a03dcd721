"""Writes rows into FiftyOne's samples in bulk, one write a sample however many fields it has.

`set_values` writes one field at a time, 7,000 to 17,000 values a second: with twenty fields, 10,000 samples would take
20 seconds and more. One write that sets all fields of a sample takes hardly longer than one that sets a single field.
"""

from __future__ import annotations

import random
from datetime import datetime, timezone
from typing import Any

import pandas as pd

from curate.review.mirror.rows import TAGS, Kind
from curate.storage.engine import batched
from curate.storage.progress import track

ADDED_AT_ONCE = 5_000
WRITTEN_AT_ONCE = 2_000


def add_bare_samples(fo: Any, view: Any, rows: pd.DataFrame) -> list[str]:
    """Add samples with none of our fields but `sample_id` (a push that is cut off leaves no strays); return their ids.

    FiftyOne adds the first; the others are stored in the form that it gave to that one, ten times as fast.
    """
    from fiftyone.core.fields import ObjectId

    first = rows.iloc[0]
    sample = fo.Sample(filepath=first["file"], sample_id=first["sample_id"], metadata=_metadata(fo, first["image"]))
    ids = view.add_samples([sample], progress=False)
    stored = view._sample_collection.find_one({"_id": ObjectId(ids[0])})
    for part in track(batched(list(rows.iloc[1:].itertuples()), ADDED_AT_ONCE), len(rows), "new samples", "samples"):
        fresh = [{**stored, **_own_values(stored, row)} for row in part]
        view._sample_collection.insert_many(fresh)
        ids += [str(one["_id"]) for one in fresh]
    return list(ids)


def _own_values(stored: dict[str, Any], row: Any) -> dict[str, Any]:
    """What differs from one new sample to the next."""
    from fiftyone.core.fields import ObjectId

    return {
        "_id": ObjectId(),
        "_rand": random.random(),  # the order that FiftyOne's `take` and `shuffle` start from
        "filepath": row.file,
        "sample_id": row.sample_id,
        "metadata": {**stored["metadata"], **_measures(row.image)},
    }


def write_rows(fo: Any, view: Any, rows: pd.DataFrame, kinds: dict[str, Kind], ids: dict[str, str]) -> None:
    """Set all fields of ``rows`` on the samples that ``ids`` (sample_id -> FiftyOne's id) names; own tags stay.

    The collection of mongod is written to directly, in the form in which FiftyOne keeps fields; values must be valid.
    """
    if not len(rows):
        return
    from fiftyone.core.fields import ObjectId
    from pymongo import UpdateOne

    own = dict(zip(*view.values(["id", "tags"]), strict=True))
    blank = fo.Classification().to_dict()
    fields = [*kinds, "file", "tags"]
    values = list(zip(rows.index, *(rows[name] for name in fields), strict=True))
    for part in track(batched(values, WRITTEN_AT_ONCE), len(values), "fields", "samples"):
        writes = []
        for sample_id, *cells, file, tags in part:
            key = ids[sample_id]
            fresh = {name: _stored(kinds[name], cell, blank) for name, cell in zip(kinds, cells, strict=True)}
            fresh |= {"filepath": file, "tags": [tag for tag in own[key] or [] if tag not in TAGS] + tags}
            fresh["last_modified_at"] = datetime.now(timezone.utc)
            writes.append(UpdateOne({"_id": ObjectId(key)}, {"$set": fresh}))
        view._sample_collection.bulk_write(writes, ordered=False)
    view.reload()


def _stored(kind: Kind, value: Any, blank: dict[str, Any]) -> Any:
    """Return ``value`` as FiftyOne stores it; a label is a document with an id of its own."""
    if kind == "label":
        from fiftyone.core.fields import ObjectId

        label, confidence = value
        return {**blank, "_id": ObjectId(), "label": label, "confidence": confidence} if label else None
    if kind == "number":
        return None if pd.isna(value) else float(value)
    return value or ([] if kind == "texts" else None)


def _metadata(fo: Any, image: tuple[int, int, int, str]) -> Any:
    """Given, because FiftyOne would open every image to find it out."""
    return fo.ImageMetadata(**_measures(image))


def _measures(image: tuple[int, int, int, str]) -> dict[str, Any]:
    width, height, size, form = image
    return {
        "width": int(width),
        "height": int(height),
        "size_bytes": int(size),
        "mime_type": f"image/{form.lower()}",
    }
