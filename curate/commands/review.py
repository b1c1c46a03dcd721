"""review: findings to decisions, in the FiftyOne App or on an offline page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curate.commands.arguments import Dataset, Json
from curate.commands.decide import print_decisions
from curate.commands.show import counted, print_json, say, warn
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder, open_folder

if TYPE_CHECKING:
    from curate.review.opening import Opening
    from curate.spec.model import Spec


Models = Annotated[
    tuple[str, str] | None, typer.Option(metavar="MODEL MODEL", help="The images on which two models differ.")
]


def review(
    dataset: Dataset = Path("."),
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
    json: Json = False,
) -> None:
    """Answer the suspects in the FiftyOne App; each answer is a decision at once. Ctrl-C ends it.

    With --html nothing is opened: the page asks the same, and its answers come back with `curate decide --from FILE`.
    """
    _expect_one_of(**{"--issue": bool(issue), "--unlabelled": unlabelled, "--compare": bool(compare)})
    _expect_one_of(**{"--pull": pull, "--close": close, "--html": html, "--compare": bool(compare)})
    if to and not html:
        raise Problem("Expected --to together with --html, found it alone: only the page is a file.")
    issue = "unlabelled" if unlabelled else issue
    folder = open_folder(dataset)
    if html:
        write_page(folder, to, issue, limit, reviewer, json)
    elif close:
        _close(folder, json)
    else:
        _review_in_app(
            folder, issue, limit or 0, compare, json, pull=pull, port=port, browser=browser, reviewer=reviewer or None
        )


def _close(folder: DatasetFolder, json: bool) -> None:
    from curate.review.session import close_review
    from curate.spec.reading import read_spec

    print_decisions(close_review(folder, read_spec(folder)), json, "Closed. No edit was left to take in.")


def _review_in_app(
    folder: DatasetFolder, issue: str, limit: int, compare: tuple[str, str] | None, json: bool, **options: Any
) -> None:
    from curate.review.session import review as review_dataset
    from curate.spec.reading import read_spec

    spec = read_spec(folder)
    opening = _find_opening(folder, spec, issue, limit, compare)
    made = review_dataset(folder, spec, opening=opening, **options) if opening else []
    print_decisions(made, json, "No new decision.")


def _find_opening(
    folder: DatasetFolder, spec: Spec, issue: str, limit: int, compare: tuple[str, str] | None
) -> Opening | None:
    """Return what the App opens on; None when two models agree on every test image."""
    from curate.review.opening import Opening

    if not compare:
        return Opening(issue, limit)
    from train.compare import compare_models

    found = compare_models(folder, spec, *compare)
    warn(f"{compare[0]} and {compare[1]} differ on {counted(len(found['flips']), 'test image')}. {found['verdict']}")
    return Opening(models=compare, flips=found["flips"]) if found["flips"] else None


def write_page(
    folder: DatasetFolder, to: Path | None, issue: str, limit: int | None, reviewer: str, json: bool
) -> None:
    """Write the offline page of a review, and say what to do with it."""
    from curate.audit.findings import open_findings
    from curate.reporting.review_cards import LIMIT
    from curate.reporting.review_page import write_review_page
    from curate.spec.reading import read_spec

    page = write_review_page(folder, read_spec(folder), to, issue, LIMIT if limit is None else limit, reviewer)
    if json:
        print_json({"page": str(page.path) if page.path else None, "cards": page.cards, "left": page.left})
    elif not page.path:
        say("Nothing is open that can be judged by eye, so no page was written.")
    else:
        more = f"; {page.left:,} more are left for the next one (--limit)" if page.left else ""
        say(f"Page: {page.path} ({page.size / 1e6:.1f} MB, {counted(page.cards, 'question')}{more})")
        apply = f"curate decide {folder.path} --from answers-NAME.jsonl"
        say(f"Send it to a reviewer. What comes back is applied with: {apply}")
    if not json and (unseen := int((open_findings(folder)["issue"] == "unreadable").sum())):
        say(
            f"{counted(unseen, 'file')} cannot be read as an image, so no page shows them: "
            f"curate findings {folder.path} --issue unreadable"
        )


def _expect_one_of(**given: bool) -> None:
    named = [name for name, is_given in given.items() if is_given]
    if len(named) > 1:
        raise Problem(f"Expected one of {', '.join(given)}, found {' and '.join(named)}. Run them one after the other.")
