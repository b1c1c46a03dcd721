"""review: opens findings for decisions in the FiftyOne App or on an offline page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curate.api.dataset import open_dataset
from curate.commands.arguments import DatasetPath, Json, NoDeps
from curate.commands.decide import print_decisions
from curate.commands.show import counted, print_json, say
from curate.storage.files import Problem

if TYPE_CHECKING:
    from curate.api.dataset import Dataset
    from curate.reporting.review_page import ReviewPage


Models = Annotated[
    tuple[str, str] | None, typer.Option(metavar="MODEL MODEL", help="The images on which two models differ.")
]


def review(
    dataset: DatasetPath = Path("."),
    issue: Annotated[str, typer.Option(help="Only this issue: label_error, near_duplicate, ...")] = "",
    limit: Annotated[int | None, typer.Option(min=0, help="At most so many, worst first; 0 for all.")] = None,
    unlabelled: Annotated[bool, typer.Option("--unlabelled", help="Label the images that have no label.")] = False,
    compare: Models = None,
    reviewer: Annotated[str, typer.Option(help="Who reviews; default: the user's name.")] = "",
    port: Annotated[int | None, typer.Option(help="Default: the first free one from 5151.")] = None,
    browser: Annotated[bool, typer.Option(help="Open a browser where there is one.")] = True,
    pull: Annotated[bool, typer.Option("--pull", help="Only bring the App's edits back as decisions.")] = False,
    close: Annotated[bool, typer.Option("--close", help="End this dataset's reviews, wherever they run.")] = False,
    html: Annotated[bool, typer.Option("--html", help="Write one offline page for somebody without Python.")] = False,
    to: Annotated[Path | None, typer.Option(help="With --html: where; default: reports/review.html.")] = None,
    no_deps: NoDeps = False,
    json: Json = False,
) -> None:
    """Review findings in the FiftyOne App; each answer is saved at once as a decision. Ctrl-C ends the review.

    With --html an offline page asks the same questions; `curate decide --from FILE` imports its answers.
    """
    _expect_one_of(**{"--issue": bool(issue), "--unlabelled": unlabelled, "--compare": bool(compare)})
    _expect_one_of(**{"--pull": pull, "--close": close, "--html": html, "--compare": bool(compare)})
    if to and not html:
        raise Problem("Expected --to together with --html, found it alone: only the page is a file.")
    issue = "unlabelled" if unlabelled else issue
    opened = open_dataset(dataset, not no_deps)
    if html:
        _tell_page(opened.write_review_page(to, issue, limit, reviewer), opened, json)
    elif close:
        print_decisions(opened.close_review(), json, "Closed. No edit was left to take in.")
    else:
        made = opened.review(issue, limit, compare, reviewer, port, browser, pull)
        print_decisions(made, json, "No new decision.")


def _tell_page(page: ReviewPage, dataset: Dataset, json: bool) -> None:
    """Say what is on the offline page of a review, and what to do with it."""
    if json:
        print_json({"page": str(page.path) if page.path else None, "cards": page.cards, "left": page.left})
    elif not page.path:
        say("Nothing is open that can be judged by eye, so no page was written.")
    else:
        more = f"; {page.left:,} more are left for the next one (--limit)" if page.left else ""
        say(f"Page: {page.path} ({page.size / 1e6:.1f} MB, {counted(page.cards, 'question')}{more})")
        apply = f"curate decide {dataset.path} --from answers-NAME.jsonl"
        say(f"Send it to a reviewer. What comes back is applied with: {apply}")
    if not json and (unseen := int(dataset.findings.query("open")["issue"].eq("unreadable").sum())):
        say(
            f"{counted(unseen, 'file')} cannot be read as an image, so no page shows them: "
            f"curate findings {dataset.path} --issue unreadable"
        )


def _expect_one_of(**given: bool) -> None:
    named = [name for name, is_given in given.items() if is_given]
    if len(named) > 1:
        raise Problem(f"Expected one of {', '.join(given)}, found {' and '.join(named)}. Run them one after the other.")
