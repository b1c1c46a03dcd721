"""Reads COCO's JSON (images, annotations, categories) as one label an image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curate.exchange.rows import Row, brief, list_of, parse_object, table_of, text_of
from curate.storage.files import Problem


def read_coco(text: str, path: Path) -> Iterator[Row]:
    """Yield a row for each image: the category of all its annotations, or the conflict when there are several.

    References
    ----------
    cocodataset.org, "Data format", section "Object Detection".
    """
    tree = parse_object(text, path)
    names = {name: text_of(one.get("name")) for name, one in _by_id(tree, "categories", path).items()}
    images = _by_id(tree, "images", path)
    labels: defaultdict[str, list[str]] = defaultdict(list)
    for number, annotation in enumerate(map(table_of, list_of(tree.get("annotations"))), 1):
        image, category = text_of(annotation.get("image_id")), text_of(annotation.get("category_id"))
        place = f"{path}: annotation {text_of(annotation.get('id')) or f'number {number}'}"
        if image not in images:
            yield Row(place, fault=f"no image has the id {brief(annotation.get('image_id'))}")
        elif not names.get(category):
            yield Row(place, fault=f"no category has the id {brief(annotation.get('category_id'))}")
        else:
            labels[image].append(names[category])
    for image, found in images.items():
        yield _image(f"{path}: image {image}", found, list(dict.fromkeys(labels[image])))


def _by_id(tree: dict[str, Any], part: str, path: Path) -> dict[str, dict[str, Any]]:
    """Return the objects of a list by their ids: with one missing or used twice, annotations would go astray."""
    found: dict[str, dict[str, Any]] = {}
    for number, one in enumerate(map(table_of, list_of(tree.get(part))), 1):
        name = text_of(one.get("id"))
        if not name or name in found:
            why = f"has that of another, {name}" if name else f"has {brief(one.get('id'))}"
            raise Problem(f"{path}: {part}: expected an id of its own for each, but number {number} {why}.")
        found[name] = one
    return found


def _image(place: str, image: dict[str, Any], labels: list[str]) -> Row:
    name = text_of(image.get("file_name"))
    if len(labels) > 1:
        many = f"{name} is annotated as {' and '.join(labels[:4])}, but a vote is one label"
        return Row(place, fault=many, kind="several labels on one image")
    names = (text_of(image.get("sample_id")), name, text_of(image.get("coco_url")))
    images = tuple(filter(None, names))
    return Row(place, images, labels[0]) if labels else Row(place, left_out="without a label")
