"""Chooses what the App opens with: a saved view, its workspace, and the labels shown on the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from curate.review.mirror.colours import FLIP
from curate.review.mirror.layout import BY_GROUP, FLIPS, NEXT, ON_PICTURE, OWN_VIEWS, SUSPECTS, WORST, save_open_view
from curate.review.mirror.workspaces import COMPARE, DUPLICATES, REVIEW
from curate.review.services.environment import load_fiftyone

UNLABELLED = "unlabelled"
KINDS = ("broken", "fixed", "changed")  # in this order: what got worse is what a reviewer looks for


@dataclass(frozen=True)
class Opening:
    """What to open on: the open findings of `issue`, the worst `limit` of them (0: all), or where `models` differ.

    `flips` are rows of ``sample_id, kind, before, after, p_before, p_after``, as `train.compare.find_flips` has them.
    """

    issue: str = ""
    limit: int = 0
    models: tuple[str, str] | None = None
    flips: Sequence[dict[str, Any]] = ()


EVERYTHING = Opening()


def find_address(base: str, view: Any, opening: Opening) -> str:
    """Return the address that shows ``opening`` of the FiftyOne dataset ``view``, whose own address is ``base``.

    Without a wish it is what was picked to label next, else the suspects, else everything.

    Raises
    ------
    Problem
        When the issue has no open finding.
    """
    from fiftyone.core.utils import to_slug

    name = _save_flips(view, opening) if opening.models else _find_view(view, opening)
    models = opening.models or ()
    _show_on_pictures(view, ("label", *models, FLIP, "tags") if models else ON_PICTURE)
    wish = COMPARE if models else DUPLICATES if opening.issue in BY_GROUP else REVIEW
    workspace = next((one for one in (wish, REVIEW) if view.has_workspace(one)), "")
    asked = {"view": name, "workspace": workspace}
    return f"{base}?{urlencode({key: to_slug(value) for key, value in asked.items() if value})}"


def _find_view(view: Any, opening: Opening) -> str:
    if opening.issue == UNLABELLED and view.has_saved_view(NEXT) and not opening.limit:
        return NEXT
    if opening.issue:
        return save_open_view(view, opening.issue, opening.limit)
    shown = next((one for one in (NEXT, SUSPECTS) if view.has_saved_view(one)), "")
    if not shown or not opening.limit:
        return shown
    picked = view.load_saved_view(shown)
    # These samples, and not whichever come first when some of them are answered.
    worst = view.select(picked.limit(opening.limit).values("id"), ordered=True)
    name = f"{WORST}{shown}"
    view.save_view(name, worst, description=f"{OWN_VIEWS}the first {opening.limit:,} of {shown}", overwrite=True)
    return name


def _save_flips(view: Any, opening: Opening) -> str:
    """Write what two models made of each image on which they differ, save a view of these, and return its name."""
    fo = load_fiftyone()
    before, after = opening.models or ("", "")
    _declare(fo, view, (before, after, FLIP))
    ids = dict(zip(*view.values(["sample_id", "id"]), strict=True))
    flips = sorted((one for one in opening.flips if one["sample_id"] in ids), key=lambda one: KINDS.index(one["kind"]))
    keys = [ids[one["sample_id"]] for one in flips]
    view.exists(FLIP).set_field(FLIP, None).save(FLIP)  # of an earlier comparison
    for field, label, sure in ((FLIP, "kind", None), (before, "before", "p_before"), (after, "after", "p_after")):
        values = [fo.Classification(label=one[label], confidence=one[sure] if sure else None) for one in flips]
        view.set_values(field, dict(zip(keys, values, strict=True)), key_field="id", progress=False)
    name = f"{FLIPS}{before} {after}"
    told = f"{OWN_VIEWS}where {before} and {after} differ: broken, then fixed, then wrong both times"
    view.save_view(name, view.select(keys, ordered=True), description=told, overwrite=True)
    return name


def tell_flip(view: Any, view_name: str, sample_id: str) -> str:
    """Return what the two models of the saved view ``view_name`` make of a sample (FiftyOne's id); '' in other views.

    >>> tell_flip(None, "suspects", "")
    ''
    """
    models = view_name.removeprefix(FLIPS).split() if view_name.startswith(FLIPS) and sample_id else []
    if len(models) != 2:
        return ""
    fields = [f"{model}.{part}" for model in models for part in ("label", "confidence")]
    kind, before, p_before, after, p_after = view.select([sample_id]).values([f"{FLIP}.label", *fields])
    if not kind or not kind[0]:
        return ""
    said = f"{models[0]} said {before[0]} ({p_before[0]:.2f}), {models[1]} says {after[0]} ({p_after[0]:.2f})"
    return f"**{kind[0].capitalize()}**: {said}."


def _declare(fo: Any, view: Any, fields: Sequence[str]) -> None:
    for name in set(fields) - set(view.get_field_schema()):
        view.add_sample_field(name, fo.EmbeddedDocumentField, embedded_doc_type=fo.Classification)


def _show_on_pictures(view: Any, fields: Sequence[str]) -> None:
    config, fo = view.app_config, load_fiftyone()
    if list(config.active_fields.paths or ()) != list(fields):
        config.active_fields = fo.ActiveFields(paths=list(fields), exclude=False)
        view.save()
