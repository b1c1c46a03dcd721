"""Reads and writes Label Studio's tasks in JSON, and the labelling configuration that goes with them.

People's votes are annotations, proposals are predictions. Label Studio gives an annotation that it imports to whoever
imports it; so each choice carries the vote it stands for in its `meta`, and when it comes back unchanged it is that
voter's, with its share and time.

References
----------
Label Studio, "Label Studio Task Format" and "Import pre-annotated data" in its guide.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pandas as pd

from curate.exchange.rows import Row, list_of, parse_list, table_of, text_of
from curate.storage.tables import PROPOSERS

SUGGESTED_BY = "curate audit"  # the model_version of our own suggestions, which are not votes when they come back
CONTROL, OBJECT = "label", "image"


def read_tasks(text: str, path: Path) -> Iterator[Row]:
    """Yield a row for each annotation and each prediction of an export as JSON (not JSON-MIN)."""
    for number, (line, task) in enumerate(parse_list(text, path), 1):
        name = text_of(table_of(task).get("id")) or f"number {number}"
        place = f"{path}:{line}: task {name}"
        if not isinstance(table_of(task).get("data"), dict):
            yield Row(place, fault="expected a task with `data` (export it as JSON, not as JSON-MIN)")
            continue
        images = _images(task)
        annotations = list_of(task.get("annotations", task.get("completions")))
        predictions = list_of(task.get("predictions"))
        yield from (_annotation(place, images, table_of(one)) for one in annotations)
        yield from (_prediction(place, images, table_of(one)) for one in predictions)
        if not annotations and not predictions:
            yield Row(place, left_out="without a label")


def _images(task: dict[str, Any]) -> tuple[str, ...]:
    held = task["data"]
    first = [held.get("sample_id"), held.get("path"), held.get("image")]
    names = [text_of(one) for one in (*first, *held.values(), task.get("file_upload")) if isinstance(one, str)]
    return tuple(dict.fromkeys(filter(None, names)))


def _annotation(place: str, images: tuple[str, ...], annotation: dict[str, Any]) -> Row:
    voter = f"labelstudio:{_name(annotation.get('completed_by'))}"
    if annotation.get("was_cancelled"):
        return Row(place, left_out="cancelled")
    row = _choice(place, images, voter, annotation.get("result"))
    time = annotation.get("updated_at") or annotation.get("created_at")
    stated = _vote_stated(annotation.get("result"))
    if stated and stated.get("label") == row.label:
        return Row(place, images, row.label, text_of(stated.get("voter")), stated.get("share"), stated.get("time"))
    return Row(place, images, row.label, voter, None, time, row.left_out, row.fault, row.kind)


def _prediction(place: str, images: tuple[str, ...], prediction: dict[str, Any]) -> Row:
    version = text_of(prediction.get("model_version"))
    if version == SUGGESTED_BY:
        return Row(place, left_out="our own suggestion")
    voter = version if version.startswith(PROPOSERS) else f"model:{version or 'labelstudio'}"
    row = _choice(place, images, voter, prediction.get("result"))
    share, time = prediction.get("score"), prediction.get("created_at")
    return Row(place, images, row.label, voter, share, time, row.left_out, row.fault, row.kind)


def _choice(place: str, images: tuple[str, ...], voter: str, result: Any) -> Row:
    """Return the one choice of a result, or why there is none."""
    values = [table_of(table_of(one).get("value")).get("choices") for one in list_of(result)]
    found = list(dict.fromkeys(text_of(choice) for choices in values for choice in list_of(choices)))
    if len(found) > 1:
        many = f"{voter} chose {' and '.join(found[:4])}, but a vote is one label"
        return Row(place, fault=many, kind="several labels in one annotation")
    if not found or not found[0]:
        return Row(place, left_out="without a choice")
    return Row(place, images, found[0], voter)


def _name(completed_by: Any) -> str:
    person = table_of(completed_by)
    return text_of(person.get("email")) or text_of(person.get("id")) or text_of(completed_by) or "unknown"


def _vote_stated(result: Any) -> dict[str, Any]:
    """Return the vote that our own export wrote beside the choice, {} when there is none."""
    metas = (table_of(table_of(one).get("meta")) for one in list_of(result))
    return next((table_of(meta["vote"]) for meta in metas if table_of(meta.get("vote"))), {})


def write_tasks(samples: pd.DataFrame, votes: pd.DataFrame, proposals: pd.DataFrame) -> str:
    """Return one task a row of ``samples``, in their order.

    Parameters
    ----------
    samples
        Columns ``sample_id, path, image``: the address where Label Studio finds the picture.
    votes, proposals
        Columns of ``tables.VOTES``; ``votes`` become annotations, ``proposals`` predictions.
    """
    annotations = {name: [_written_annotation(row) for row in rows.itertuples()] for name, rows in _by_sample(votes)}
    predictions = {
        name: [_written_prediction(row) for row in rows.itertuples()] for name, rows in _by_sample(proposals)
    }
    tasks = [
        {
            "data": {"image": row.image, "sample_id": row.sample_id, "path": row.path},
            "annotations": annotations.get(row.sample_id, []),
            "predictions": predictions.get(row.sample_id, []),
        }
        for row in samples.itertuples()
    ]
    lines = ",\n".join(json.dumps(task, ensure_ascii=False) for task in tasks)  # one a line: faults have line numbers
    return f"[\n{lines}\n]\n"


def _by_sample(table: pd.DataFrame) -> Any:
    return table.groupby("sample_id", sort=False)


def _written_annotation(vote: Any) -> dict[str, Any]:
    stated = {"label": vote.label, "voter": vote.voter, "share": vote.share, "time": vote.time}
    return {"result": [{**_written_choice(vote.label), "meta": {"vote": stated}}], "was_cancelled": False}


def _written_prediction(vote: Any) -> dict[str, Any]:
    prediction = {"model_version": vote.voter, "score": vote.share, "result": [_written_choice(vote.label)]}
    return {**prediction, "created_at": vote.time} if vote.time else prediction


def _written_choice(label: str) -> dict[str, Any]:
    return {"from_name": CONTROL, "to_name": OBJECT, "type": "choices", "value": {"choices": [label]}}


def render_config(classes: dict[str, str]) -> str:
    """Return the labelling configuration (XML): one choice a class, its definition as the hint.

    >>> print(render_config({"cat": "A cat & nothing else."}).splitlines()[3].strip())
    <Choice value="cat" hint="A cat &amp; nothing else."/>
    """
    choices = "".join(
        f"    <Choice value={quoteattr(name)}{f' hint={quoteattr(text)}' if text.strip() else ''}/>\n"
        for name, text in classes.items()
    )
    return (
        f'<View>\n  <Image name="{OBJECT}" value="$image"/>\n'
        f'  <Choices name="{CONTROL}" toName="{OBJECT}" choice="single" showInline="true">\n{choices}'
        "  </Choices>\n</View>\n"
    )
