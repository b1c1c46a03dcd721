"""The panel beside grid and sample: the findings, their evidence with pictures, and a button for each answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fiftyone import operators
from fiftyone.operators import types

from curate.review.answers.app_rows import read_rows
from curate.review.answers.gallery import Page
from curate.review.answers.sitting import is_ours, sitting_of
from curate.review.mirror.snapshot import marked
from curate.review.opening import tell_flip
from curate.review.plugin.actions import chosen_ids, give_answer, skip, undo_answer
from curate.review.plugin.operators import PANEL, PLUGIN
from curate.storage.files import Problem

BUTTONS = 9  # one a class; more go into a list
SIDE = "120px"  # height of a small picture
IN_A_ROW = 3
HELP = (
    "Keys, when a sample is open or some are selected: **a** accept, **k** keep, **1-9** relabel, **r** relabel from a "
    "list, **d** drop, **b** bring back, **m** keep this copy and merge the others, **x** not copies, **s** skip, "
    "**u** undo, **n** note. Thumbs in the grid select: up accepts with **a**, down keeps."
)


class FindingsPanel(operators.Panel):
    """The findings of the sample that is open, else of the first that is selected."""

    @property
    def config(self) -> operators.PanelConfig:
        return operators.PanelConfig(
            name=PANEL,
            label="Findings",
            icon="fact_check",
            surfaces="grid modal",
            help_markdown=HELP,
            allow_multiple=False,
        )

    def on_load(self, ctx: Any) -> None:
        self._show(ctx)

    def on_change_current_sample(self, ctx: Any) -> None:
        self._show(ctx)

    def on_change_selected(self, ctx: Any) -> None:
        self._show(ctx)

    def on_change_view(self, ctx: Any) -> None:
        self._show(ctx)

    def answer(self, ctx: Any) -> None:
        """Give the answer that the button's params name, with the note as its reason."""
        params = {**ctx.params, "reason": ctx.panel.get_state("note") or ""}
        give_answer(ctx, ctx.params["answer"], params)
        self._after(ctx)

    def relabel(self, ctx: Any) -> None:
        """Relabel to the class chosen in the list."""
        params = {"label": ctx.params.get("value") or "", "reason": ctx.panel.get_state("note") or ""}
        give_answer(ctx, "relabel", params)
        self._after(ctx)

    def undo(self, ctx: Any) -> None:
        """Take the last answer back."""
        undo_answer(ctx)
        self._after(ctx)

    def skip(self, ctx: Any) -> None:
        """Go on without a decision."""
        skip(ctx)
        self._after(ctx)

    def end(self, ctx: Any) -> None:
        """Ask whether the review is to end."""
        ctx.prompt(f"{PLUGIN}/end")

    def render(self, ctx: Any) -> Any:
        panel = types.Object()
        try:
            page = _page(ctx)
        except Problem as problem:
            panel.md(str(problem), name="refused")
            return types.Property(panel)
        _write_page(panel, page, self)
        space = {"sx": {"padding": "8px 16px"}}
        view = types.GridView(orientation="vertical", gap=1, align_x="left", componentsProps={"grid": space})
        return types.Property(panel, view=view)

    def _after(self, ctx: Any) -> None:
        ctx.panel.set_state("note", "")
        self._show(ctx)

    def _show(self, ctx: Any) -> None:
        """Send the pictures; the App looks them up by name when it draws what `render` returns."""
        if is_ours(ctx.dataset):
            page = _page(ctx)
            pictures: dict[str, dict[str, str]] = {}
            for place, one in enumerate(page.likenesses):
                pictures.setdefault(f"row{place - place % IN_A_ROW}", {})[f"p{place}"] = one.picture
            ctx.panel.set_data("likeness", pictures)


def _page(ctx: Any) -> Page:
    sitting = sitting_of(ctx.dataset)
    chosen = chosen_ids(ctx)
    rows = read_rows(ctx.dataset, "id", chosen[:1])
    page = sitting.find_page(rows[0].sample_id if rows else "", len(chosen))
    flip = tell_flip(ctx.dataset, ctx.request_params.get("view_name") or "", rows[0].fiftyone_id if rows else "")
    told = [marked(ctx.dataset).get("notice", ""), flip]
    return replace(page, notice="\n\n".join(filter(None, told)))


def _write_page(panel: Any, page: Page, actions: FindingsPanel) -> None:
    if page.notice:
        panel.md(page.notice, name="notice")
    panel.md(page.head, name="head")
    if page.findings:
        panel.md(page.findings, name="found")
    if page.sample_id:
        _write_buttons(panel, page, actions)
        if page.likenesses:
            panel.md(f"**{page.likeness_title}**", name="likeness_title")
            _write_pictures(panel, page)
    panel.md(page.definitions, name="definitions")
    panel.md(f"{page.progress}\n\n{HELP}", name="progress")
    panel.btn("end", label="End the review", icon="logout", on_click=actions.end, variant="outlined")


def _write_buttons(panel: Any, page: Page, actions: FindingsPanel) -> None:
    def add(row: Any, answer: str, label: str, **more: Any) -> None:
        name = "_".join([answer, *map(str, more.values())]).replace(" ", "_")
        row.btn(name, label=label, on_click=actions.answer, params={"answer": answer, **more}, variant="outlined")

    first = panel.h_stack("first", gap=1)
    if page.suggestion:
        first.btn(
            "accept", label=page.suggestion, on_click=actions.answer, params={"answer": "accept"}, variant="contained"
        )
    add(first, "keep", "Keep as it is")
    add(first, *(("undrop", "Take back") if page.is_dropped else ("drop", "Drop")))
    if page.is_copy:
        second = panel.h_stack("second", gap=1)
        add(second, "keep_this_copy", "Keep this copy")
        add(second, "not_copies", "Not copies")
    if len(page.classes) <= BUTTONS:
        third = panel.h_stack("third", gap=1)
        for place, name in enumerate(page.classes, 1):
            add(third, "relabel", f"{place} {name}", number=place)
    else:
        choices = types.DropdownView()
        for name in page.classes:
            choices.add_choice(name, label=name)
        panel.enum("label", choices.values(), label="Relabel to", view=choices, on_change=actions.relabel)
    last = panel.h_stack("last", gap=1)
    last.btn("undo", label="Undo my last", icon="undo", on_click=actions.undo)
    last.btn("skip", label="Skip", icon="skip_next", on_click=actions.skip)
    # The App would put the cursor there, and the keys would write instead of answering.
    field = types.TextFieldView(componentsProps={"field": {"autoFocus": False}})
    panel.str("note", label="Note: the reason of the next answer", view=field)


def _write_pictures(panel: Any, page: Page) -> None:
    rows = panel.v_stack("likeness", gap=3)
    for start in range(0, len(page.likenesses), IN_A_ROW):
        row = rows.h_stack(f"row{start}", gap=1)
        for place, one in list(enumerate(page.likenesses))[start : start + IN_A_ROW]:
            row.img(f"p{place}", height=SIDE, alt_text=one.caption, caption=one.caption)
