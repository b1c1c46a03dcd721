"""Sets up the App: sidebar, colours, labels shown on each picture, saved views, allowed classes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import pandas as pd

from curate.log.proposals import PICKED
from curate.review.mirror.colours import colour_scheme
from curate.review.mirror.evaluations import SIDEBAR_GROUP, is_ours
from curate.review.mirror.rows import LABELS, Kind, score_field
from curate.review.mirror.snapshot import mark, marked
from curate.spec.model import Slice, Spec
from curate.storage.files import Problem

SUSPECTS = "suspects"
NEXT = "next"  # what `curate label --next` picked
OPEN = "open "  # how the name of a view of one issue's open findings starts
WORST = "worst "  # how the name of a view of a part of another begins
FLIPS = "flips "  # how the name of a view of what two models differ on begins
ON_DEMAND = (OPEN, WORST, FLIPS)  # saved when a review asks for them
DUPLICATES = "duplicates"
SLICE = "slice "  # how the name of a view of one slice starts
BY_GROUP = ("near_duplicate", "leakage")
OWN_VIEWS = "curate: "  # how the description of a view of ours starts: only those are ever removed
ON_PICTURE = ("given_label", "suggested_label", "tags")
FILE_FIELDS = ("path", "sample_id", "filepath", "id", "metadata.width", "metadata.height", "metadata.size_bytes")
DATES = ("metadata.mime_type", "metadata.num_channels", "created_at", "last_modified_at")


def lay_out(fo: Any, view: Any, kinds: dict[str, Kind], classes: Sequence[str]) -> None:
    """Set the App's defaults for the dataset ``view``; a reviewer can change them for themselves."""
    config = view.app_config
    config.sidebar_groups = [
        fo.SidebarGroupDocument(name=name, paths=list(paths), expanded=expanded)
        for name, paths, expanded in _sidebar(kinds, [key for key in view.list_evaluations() if is_ours(key)])
        if paths
    ]
    config.active_fields = fo.ActiveFields(paths=list(ON_PICTURE), exclude=False)
    config.color_scheme = colour_scheme(fo, kinds, classes)
    view.save()


def restrict_labels(view: Any, spec: Spec) -> None:
    """Offer the classes of the spec, and only for `label`, where the App's editor lets a reviewer change it."""
    schema = view.generate_label_schemas("label", scan_samples=False)
    component = "radio" if len(spec.classes) <= 5 else "dropdown"
    view.set_label_schemas({"label": {**schema, "component": component, "classes": spec.class_names}})
    view.active_label_schemas = ["label"]


def save_views(view: Any, rows: pd.DataFrame, spec: Spec) -> None:
    """Save the views that have samples: suspects, one an issue, a slice, test; remove those of ours that have none."""
    wanted = {**_views(view, rows), **_slice_views(view, rows, spec)}
    before = marked(view).get("views") or {}
    saved = {}
    for name in view.list_saved_views():
        ours = str(view.get_saved_view_info(name)["description"] or "").startswith(OWN_VIEWS)
        if not ours:
            wanted.pop(name, None)  # the reviewer's, by a name of ours
        elif name not in wanted and not name.startswith(ON_DEMAND):  # which a page may show now
            view.delete_saved_view(name)
    for name, (stages, told) in wanted.items():
        digest = _digest(told, stages)
        if before.get(name) != [digest, _saved_at(view, name)]:
            view.save_view(name, stages, description=OWN_VIEWS + told, overwrite=True)
        saved[name] = [digest, _saved_at(view, name)]
    if before != saved:
        mark(view, views=saved)


def _digest(told: str, stages: Any) -> str:
    return hashlib.sha256(repr((told, stages._serialize(include_uuids=False))).encode()).hexdigest()[:16]


def _saved_at(view: Any, name: str) -> str:
    if not view.has_saved_view(name):
        return ""
    # The database keeps milliseconds, the object in memory more.
    return str(view._get_saved_view_doc(name).last_modified_at.isoformat(timespec="milliseconds"))


def _views(view: Any, rows: pd.DataFrame) -> dict[str, tuple[Any, str]]:
    from fiftyone import ViewField

    views = {}
    undecided = {issue for issues in rows["open_issues"] for issue in issues}
    if "label_error" in undecided:
        suspects = view.match(ViewField("open_issues").contains("label_error")).sort_by(score_field("label_error"))
        views[SUSPECTS] = (suspects, "labels that look wrong and are not decided yet, worst first")
    elif undecided:  # no label is in doubt: what else waits, issue by issue
        waiting = view.match(ViewField("open_issues").length() > 0).sort_by("open_issues")
        views[SUSPECTS] = (waiting, "findings that are not decided yet")
    if "unlabelled" in undecided:
        score, is_open = score_field("unlabelled"), ViewField("open_issues").contains("unlabelled")
        if (rows.loc[["unlabelled" in issues for issues in rows["open_issues"]], score] < PICKED).any():
            picked = view.match(is_open & (ViewField(score) < PICKED)).sort_by(score)
            views[NEXT] = (picked, "what `curate label --next` picked and has no label yet, in its order")
    for issue in sorted({issue for issues in rows["issues"] for issue in issues}):
        # Near copies stand side by side; all else is worst first.
        order = "group_id" if issue in BY_GROUP else score_field(issue)
        found = view.match(ViewField("issues").contains(issue)).sort_by(order)
        views[issue] = (found, f"every {issue} finding, decided or not")
    if (rows["group_id"] != "").any():
        grouped = view.exists("group_id").group_by("group_id", order_by="copy_role")
        views[DUPLICATES] = (
            grouped,
            "one picture a group of near copies, the one that stays; open it to see the others",
        )
    if (rows["split"] == "test").any():
        views["test"] = (view.match(ViewField("split") == "test"), "the locked test split of the current version")
    return views


def _slice_views(view: Any, rows: pd.DataFrame, spec: Spec) -> dict[str, tuple[Any, str]]:
    from fiftyone import ViewField
    from fiftyone.core.utils import to_slug

    inside = {name for names in rows["slices"] for name in names} if "slices" in rows else set()
    named: dict[str, str] = {}
    for name in spec.slices:
        if name in inside:  # of names that differ in signs only, FiftyOne takes one; the field `slices` has them all
            named.setdefault(to_slug(f"{SLICE}{name}"), name)
    return {
        f"{SLICE}{name}": (
            view.match(ViewField("slices").contains(name)),
            f"the slice where {tell_slice(spec.slices[name])}",
        )
        for name in named.values()
    }


def tell_slice(part: Slice) -> str:
    """Return the conditions of a slice in words.

    >>> tell_slice(Slice(path="web/*", measures={"brightness": {"below": 0.2}}))
    'path is web/*, brightness is below 0.2'
    """
    texts = {"path": part.path, "source": part.source, "given_label": part.given_label, **part.metadata}
    told = [
        f"{name} is {patterns if isinstance(patterns, str) else ' or '.join(patterns)}"
        for name, patterns in texts.items()
        if patterns
    ]
    for name, bounds in part.measures.items():
        limits = bounds.model_dump(exclude_none=True).items()
        told.append(f"{name} is " + " and ".join(f"{side} {limit:g}" for side, limit in limits))
    return ", ".join(told) or "every sample is"


def save_open_view(view: Any, issue: str, limit: int = 0) -> str:
    """Save a view of the open findings of ``issue``, worst first, the first ``limit`` (0: all), and return its name.

    Raises
    ------
    Problem
        When none is open; the sentence names the issues that have some.
    """
    from fiftyone import ViewField

    is_open, score = ViewField("open_issues").contains(issue), score_field(issue)
    shown = view.match(is_open)
    if not len(shown):
        counts = view.count_values("open_issues")
        others = ", ".join(f"{name} ({count:,})" for name, count in sorted(counts.items()) if name)
        raise Problem(f"Expected open findings of {issue}, found none. Open are: {others or 'none of any issue'}.")
    if limit:
        # These samples, and not whichever come first when some of them are answered.
        shown = view.select(shown.sort_by(score).limit(limit).values("id")).match(is_open)
    ordered = shown.sort_by("group_id" if issue in BY_GROUP else score)
    name = f"{OPEN}{issue}"
    view.save_view(name, ordered, description=f"{OWN_VIEWS}open findings of {issue}", overwrite=True)
    return name


def issue_of_view(name: str) -> str:
    """Return the issue that the saved view ``name`` asks about; '' for a view that asks about no single one.

    >>> issue_of_view("open dark"), issue_of_view("worst suspects"), issue_of_view("test")
    ('dark', 'label_error', '')
    """
    known = {SUSPECTS: "label_error", NEXT: "unlabelled", DUPLICATES: "near_duplicate", "test": ""}
    name = name.removeprefix(WORST)
    return known.get(name, name.removeprefix(OPEN))


def _sidebar(kinds: dict[str, Kind], evaluations: Sequence[str]) -> list[tuple[str, list[str], bool]]:
    scores = [name for name, kind in kinds.items() if kind == "number"]
    models = [name for name, kind in kinds.items() if kind == "label" and name not in LABELS]
    return [
        # Not in the App's own group "tags": what stands there cannot be shown on the pictures from the start.
        ("labels", ["label", "given_label", "suggested_label", "tags"], True),
        ("findings", ["open_issues", "issues", "evidence", "group_id", "copy_role"], True),
        (SIDEBAR_GROUP, [*models, *evaluations], True),
        ("version", ["split", *(["slices"] if "slices" in kinds else [])], True),
        ("scores (low is bad)", scores, False),
        ("metadata", [*FILE_FIELDS, *DATES], False),
    ]
