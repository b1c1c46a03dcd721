"""COCO's JSON (images, annotations, categories), read as one label an image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curate.exchange.rows import Row, list_of, parse_object, table_of, text_of


def read_coco(text: str, path: Path) -> Iterator[Row]:
    """Yield a row for each image: the category of all its annotations, or the conflict when there are several.

    References
    ----------
    cocodataset.org, "Data format", section "Object Detection".
    """
    tree = parse_object(text, path)
    names = {text_of(one.get("id")): text_of(one.get("name")) for one in map(table_of, list_of(tree.get("categories")))}
    images = {text_of(one.get("id")): one for one in map(table_of, list_of(tree.get("images")))}
    labels: defaultdict[str, list[str]] = defaultdict(list)
    for number, annotation in enumerate(map(table_of, list_of(tree.get("annotations"))), 1):
        image, category = text_of(annotation.get("image_id")), text_of(annotation.get("category_id"))
        place = f"{path}: annotation {text_of(annotation.get('id')) or f'number {number}'}"
        if image not in images:
            yield Row(place, fault=f"no image has the id {image or annotation.get('image_id')!r}")
        elif not names.get(category):
            yield Row(place, fault=f"no category has the id {category or annotation.get('category_id')!r}")
        else:
            labels[image].append(names[category])
    for number, image in enumerate(images, 1):
        yield _image(f"{path}: image {image or f'number {number}'}", images[image], list(dict.fromkeys(labels[image])))


def _image(place: str, image: dict[str, Any], labels: list[str]) -> Row:
    name = text_of(image.get("file_name"))
    if len(labels) > 1:
        many = f"{name} is annotated as {' and '.join(labels[:4])}, but a vote is one label"
        return Row(place, fault=many, kind="several labels on one image")
    names = (text_of(image.get("sample_id")), name, text_of(image.get("coco_url")))
    images = tuple(filter(None, names))
    return Row(place, images, labels[0]) if labels else Row(place, left_out="without a label")
