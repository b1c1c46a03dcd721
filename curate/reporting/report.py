"""Writes ``report.html`` and ``report.json``: collects the story and its pictures, and has them rendered."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from curate.images.thumbnails import decode_thumbnail, thumbnail_cache
from curate.reporting.story import collect_story, shown_samples
from curate.spec.model import Spec
from curate.storage.files import write_atomic, write_json
from curate.storage.folder import DatasetFolder
from reports.html import render_report

__all__ = ["collect_story", "compact_thumbnails", "write_report"]

SIDE = 160  # pixels of the longer side in the page


def write_report(dataset: DatasetFolder, spec: Spec) -> Path:
    """Write the report as HTML and as JSON, and return the path of the HTML file."""
    story = collect_story(dataset, spec)
    page = render_report(story, compact_thumbnails(dataset, shown_samples(story)))
    write_json(dataset.reports / "report.json", story)
    return write_atomic(dataset.reports / "report.html", page)


def compact_thumbnails(dataset: DatasetFolder, sample_ids: Sequence[str], side: int = SIDE) -> dict[str, bytes]:
    """Return JPEG bytes of at most ``side`` pixels a side for each sample that has a thumbnail.

    An unreadable sample has none, and a report must not fail because the cache was deleted.
    """
    if not sample_ids:
        return {}
    rows = thumbnail_cache(dataset).read(list(sample_ids), columns=["sample_id", "image"])
    return {one: _compact(image, side) for one, image in zip(rows["sample_id"], rows["image"], strict=True)}


def _compact(content: bytes, side: int) -> bytes:
    image = decode_thumbnail(content)
    image.thumbnail((side, side))
    written = io.BytesIO()
    image.save(written, "JPEG", quality=75, optimize=True)
    return written.getvalue()
