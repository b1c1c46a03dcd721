"""The App's colours: by kind of label (given, suggested, decided), by class, and of the tags.

By field, which is how the App opens, the three kinds of label are told apart and all else is grey. By value, which a
reviewer can switch to, each class has one colour in all of them. They can be told apart by people who see red and green
alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from curate.review.mirror.evaluations import evaluation_of
from curate.review.mirror.rows import DROP, KEEP, LABELS, Kind

QUIET, MODELS = "#6C7178", "#9B7FC7"
FIELDS = {"given_label": "#5B7DB1", "suggested_label": "#E0782F", "label": "#3F9C6B", "tags": "#8A8F98"}
# The first eight: Okabe and Ito, Color Universal Design, 2008, without black; the others: P. Tol's muted scheme, 2021.
CLASSES: tuple[str, ...] = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
CLASSES += ("#332288", "#DDCC77", "#882255", "#44AA99", "#999933", "#AA4499", "#117733", "#88CCEE", "#CC6677")
FLIP = "flip"  # the field that says which of two models is right: fixed, broken, or changed from wrong to wrong
FLIPS = {"broken": "#D0342C", "fixed": "#2E9E4F", "changed": "#C9A227"}
VERDICTS = {DROP: "#D0342C", KEEP: "#2E9E4F"}


def colour_scheme(fo: Any, kinds: dict[str, Kind], classes: Sequence[str]) -> Any:
    """Return FiftyOne's colour scheme: classes keep their colour as long as their place in the spec."""
    fields: list[dict[str, Any]] = [{"path": path, "fieldColor": colour} for path, colour in FIELDS.items()]
    values = [{"value": name, "color": colour} for name, colour in class_colours(classes).items()]
    verdicts = [{"value": tag, "color": colour} for tag, colour in VERDICTS.items()]
    for field in fields:
        if field["path"] == "tags":
            field["valueColors"] = verdicts
        if field["path"] in LABELS:
            field |= {"colorByAttribute": "label", "valueColors": values}
    for name, kind in kinds.items():
        if kind != "label":
            fields.append({"path": name, "fieldColor": QUIET})
        elif name not in LABELS:
            fields.append({"path": name, "fieldColor": MODELS, "colorByAttribute": "label", "valueColors": values})
            fields.append({"path": evaluation_of(name), "fieldColor": MODELS})
    flips = [{"value": kind, "color": colour} for kind, colour in FLIPS.items()]
    fields.append({"path": FLIP, "fieldColor": FLIPS["changed"], "colorByAttribute": "label", "valueColors": flips})
    return fo.ColorScheme(
        color_by="field",
        color_pool=list(CLASSES),
        fields=fields,
        label_tags={"fieldColor": FIELDS["tags"], "valueColors": verdicts},
    )


def class_colours(classes: Sequence[str]) -> dict[str, str]:
    """Return a colour a class; above seventeen they come again.

    >>> class_colours(["cat", "dog"])
    {'cat': '#0072B2', 'dog': '#E69F00'}
    """
    return {name: CLASSES[place % len(CLASSES)] for place, name in enumerate(classes)}
