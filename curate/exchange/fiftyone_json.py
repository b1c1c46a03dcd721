"""Reads FiftyOne's two exports of classifications: labels.json of images, samples.json of a dataset.

A Classification field of a dataset is a voter: `fiftyone:<field>`, or `model:<field>` where it carries a confidence.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curate.exchange.rows import Row, list_of, parse_object, table_of, text_of
from curate.storage.files import Problem

SHOWN = ("given_label", "suggested_label")  # what `curate review` shows in the App: nobody's votes when they come back


def read_fiftyone(text: str, path: Path) -> Iterator[Row]:
    """Yield a row for each label of a FiftyOneImageClassificationDataset or a FiftyOneDataset.

    References
    ----------
    docs.voxel51.com, "Exporting FiftyOne Datasets", sections of these two names.
    """
    tree = parse_object(text, path)
    if isinstance(tree.get("samples"), list):
        for number, sample in enumerate(tree["samples"], 1):
            yield from _sample_rows(f"{path}: sample {number}", table_of(sample))
    elif isinstance(tree.get("labels"), dict):
        classes = [text_of(name) for name in list_of(tree.get("classes"))]
        for name, label in tree["labels"].items():
            yield _label_row(f"{path}: {name}", name, label, classes)
    else:
        raise Problem(f"{path}: expected `samples` or `labels` of a FiftyOne export, found {', '.join(tree)[:200]}.")


def _sample_rows(place: str, sample: dict[str, Any]) -> Iterator[Row]:
    images = tuple(filter(None, (text_of(sample.get("sample_id")), text_of(sample.get("filepath")))))
    ours = SHOWN if text_of(sample.get("sample_id")) else ()
    found = {
        name: one for name, one in sample.items() if table_of(one).get("_cls") == "Classification" and name not in ours
    }
    for field, one in found.items():
        label, confidence = text_of(one.get("label")), one.get("confidence")
        voter = f"fiftyone:{field}" if confidence is None else f"model:{field}"
        yield Row(place, images, label, voter, confidence, left_out="" if label else "without a label")
    if not found:
        yield Row(place, left_out="without a label")


def _label_row(place: str, name: str, label: Any, classes: list[str]) -> Row:
    """``label`` is an index into ``classes``, a name, an object with either, a list of those, or null."""
    found = [table_of(one).get("label") if isinstance(one, dict) else one for one in _each(label)]
    names = [_class_name(one, classes) for one in found]
    if len(names) > 1:
        many = f"{name} is labelled {' and '.join(names[:4])}, but a vote is one label"
        return Row(place, fault=many, kind="several labels on one image")
    if not names or not names[0]:
        return Row(place, left_out="without a label")
    return Row(place, (name,), names[0], share=table_of(_each(label)[0]).get("confidence"))


def _each(label: Any) -> list[Any]:
    return label if isinstance(label, list) else [] if label is None else [label]


def _class_name(label: Any, classes: list[str]) -> str:
    is_index = isinstance(label, int) and not isinstance(label, bool) and 0 <= label < len(classes)
    return classes[label] if is_index else text_of(label)
