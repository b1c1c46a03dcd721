"""Arrangements of the App's panels, saved with the dataset under a name for each task."""

from __future__ import annotations

from typing import Any

from curate.review.mirror.evaluations import is_ours
from curate.review.mirror.layout import OWN_VIEWS
from curate.review.mirror.points import MAP

REVIEW, DUPLICATES, COMPARE, MAPPED = "review", "duplicates", "compare", "map"
GRID, FINDINGS, EVALUATION, EMBEDDINGS = "Samples", "findings", "model_evaluation_panel_builtin", "Embeddings"
TOLD = {
    REVIEW: "the pictures, and beside them what was found of the one that is open or selected",
    DUPLICATES: "the groups of near copies, and beside them the answers",
    COMPARE: "the pictures, and beside them the models on test samples that none of them has seen",
    MAPPED: "the pictures, and beside them the map on which like pictures are close together",
}
SIZES = (0.62, 0.38)


def save_workspaces(fo: Any, view: Any) -> None:
    """Save the workspaces whose panels have something to show; remove those of ours that have nothing.

    One that a reviewer made, or saved under a name of ours with a description of their own, is theirs.
    """
    wanted = workspaces(fo, view)
    for name in view.list_workspaces():
        mine = str(view.get_workspace_info(name)["description"] or "").startswith(OWN_VIEWS)
        if not mine:
            wanted.pop(name, None)
        elif name not in wanted:
            view.delete_workspace(name)
        else:
            wanted.pop(name)  # there already, and perhaps the panels have been moved since
    for name, space in wanted.items():
        view.save_workspace(name, space, description=OWN_VIEWS + TOLD[name])


def workspaces(fo: Any, view: Any) -> dict[str, Any]:
    """Return name -> workspace, of those that fit what was pushed into the FiftyOne dataset ``view``."""
    found = {REVIEW: _beside(fo, FINDINGS)}
    if view.has_saved_view(DUPLICATES):
        found[DUPLICATES] = _beside(fo, FINDINGS)
    if any(map(is_ours, view.list_evaluations())):
        found[COMPARE] = _beside(fo, EVALUATION)
    if view.has_brain_run(MAP):
        found[MAPPED] = _beside(fo, EMBEDDINGS)
    return found


def _beside(fo: Any, panel: str) -> Any:
    """Return a workspace of the grid on the left and ``panel`` on the right."""
    grid, other = fo.Panel(type=GRID, pinned=True), fo.Panel(type=panel)
    children = [fo.Space(children=[one], active_child=one.component_id) for one in (grid, other)]
    return fo.Space(children=children, orientation="horizontal", sizes=list(SIZES))
