"""Writes the models' predictions as FiftyOne evaluations, which its Model Evaluation panel compares.

All models are measured on the same samples: those of the current test split that none of them, nor a model it started
from, was trained on, themselves or as a near copy. So no version is praised for what it learned by heart.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pandas as pd

from curate.review.mirror.rows import Kind
from curate.review.mirror.snapshot import mark, marked
from curate.spec.model import Spec
from curate.storage.files import read_json
from curate.storage.folder import DatasetFolder
from curate.versions.read import current_version, read_manifest
from curate.versions.training_samples import is_copy_of, read_training_samples

PREFIX = "eval_"
SIDEBAR_GROUP = "models"
LEFT = 0.5  # of the newest models' test samples that an older model must share to be measured with them


def push_evaluations(dataset: DatasetFolder, spec: Spec, view: Any, rows: pd.DataFrame, kinds: dict[str, Kind]) -> None:
    """Evaluate each model that can be compared, where what it depends on has changed; remove those that cannot."""
    models, exam = find_exam(dataset, rows, kinds)
    digests = {evaluation_of(model): _digest(spec, rows.loc[exam], model) for model in models}
    done = marked(view).get("evaluations") or {}
    there = set(view.list_evaluations())
    for key in done:
        if key in there and done[key] != digests.get(key):
            view.delete_evaluation(key)
    for model in models:
        key = evaluation_of(model)
        if done.get(key) != digests[key] or key not in there:
            _evaluate(spec, _examined(view, rows, exam), model)
    if done != digests:
        mark(view, evaluations=digests)
        _gather(view, list(digests))


def evaluation_of(model: str) -> str:
    """Return the name of the evaluation of ``model``.

    >>> evaluation_of("m1")
    'eval_m1'
    """
    return f"{PREFIX}{model}"


def is_ours(evaluation: str) -> bool:
    """Return whether ``evaluation`` is the name of one that is made here: others are the reviewer's."""
    return re.fullmatch(f"{PREFIX}m[0-9]+", evaluation) is not None


def find_exam(dataset: DatasetFolder, rows: pd.DataFrame, kinds: dict[str, Kind]) -> tuple[list[str], list[str]]:
    """Return the models that can be compared, oldest first, and the samples to do it on; ([], []) without any.

    Newer models come first: an older one that shares less than ``LEFT`` of their samples is left out.
    """
    version = current_version(dataset)
    models = [name for name in kinds if _is_known(dataset, name)]
    if not version or not models:
        return [], []
    manifest = read_manifest(dataset, version)
    test = manifest[(manifest["split"] == "test") & manifest["sample_id"].isin(rows.index)]
    exam, chosen = list(test["sample_id"]), list[str]()
    for model in reversed(models):
        unseen = set(test.loc[~is_copy_of(manifest, read_training_samples(dataset, model))[test.index], "sample_id"])
        left = [one for one in exam if one in unseen and rows.at[one, model][0] and rows.at[one, "label"][0]]
        if left and (not chosen or len(left) >= LEFT * len(exam)):
            exam, chosen = left, [model, *chosen]
    return (chosen, exam) if chosen else ([], [])


def _is_known(dataset: DatasetFolder, model: str) -> bool:
    """Return whether it can be told what ``model`` has seen: it and those that it started from are there."""
    file = dataset.models / model / "run.json"
    if not file.is_file():
        return False
    init = read_json(file).get("init")
    return not init or _is_known(dataset, init)


def _examined(view: Any, rows: pd.DataFrame, exam: list[str]) -> Any:
    """FiftyOne keeps with each evaluation how its samples were found: ids only where nothing is shorter."""
    from fiftyone import ViewField

    if len(exam) == (rows["split"] == "test").sum():
        return view.match(ViewField("split") == "test")
    return view.match(ViewField("sample_id").is_in(exam))


def _evaluate(spec: Spec, samples: Any, model: str) -> None:
    found = {label for field in ("label", model) for label in samples.distinct(f"{field}.label")}
    classes = [*spec.class_names, *sorted(found - set(spec.class_names))]
    samples.evaluate_classifications(
        model, gt_field="label", eval_key=evaluation_of(model), classes=classes, progress=False
    )


def _gather(view: Any, evaluations: list[str]) -> None:
    """FiftyOne gives each evaluation a group of its own in the sidebar: all of them go to the group of the models."""
    config = view.app_config
    groups = [group for group in config.sidebar_groups or [] if not is_ours(group.name)]
    for group in groups:
        if group.name == SIDEBAR_GROUP:
            group.paths = [path for path in group.paths if not is_ours(path)] + evaluations
    config.sidebar_groups = groups
    view.save()


def _digest(spec: Spec, rows: pd.DataFrame, model: str) -> str:
    shown = list(zip(rows.index, rows["label"], rows[model], strict=True))
    return hashlib.sha256(repr((spec.class_names, shown)).encode()).hexdigest()[:16]
