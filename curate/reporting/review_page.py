"""Writes the offline page on which people without Python answer findings.

Gathers the page and its pictures; `reports.review_page` renders.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.log.decision import LABEL_ISSUES
from curate.reporting.report import compact_thumbnails
from curate.reporting.review_cards import LIMIT, collect_cards
from curate.spec.model import Spec
from curate.storage.files import Problem, write_atomic
from curate.storage.folder import DatasetFolder
from reports.review_page import render_review_page

LARGEST_PAGE = 150_000_000  # bytes; browsers get slow, and mail refused it long before
LARGE, SMALL = 400, 128  # pixels of the longer side: what is judged, and what is only compared with


@dataclass(frozen=True)
class ReviewPage:
    """What was written: `path` (None when nothing is open), cards on it, cards left for another page, and bytes."""

    path: Path | None
    cards: int
    left: int
    size: int


def write_review_page(
    dataset: DatasetFolder,
    spec: Spec,
    path: Path | None = None,
    issue: str = "",
    limit: int = LIMIT,
    reviewer: str = "",
) -> ReviewPage:
    """Write the page of the open findings (``reports/review.html``) and say what is on it; nothing open, no page.

    Parameters
    ----------
    issue
        Only this one.
    limit
        At most so many cards, worst first; 0 for all.
    reviewer
        Fills in the name that the page asks for.

    Raises
    ------
    Problem
        When there was no audit, the issue is unknown, or the page would be too large.
    """
    cards, left = collect_cards(dataset, spec, issue, limit)
    if not cards:
        return ReviewPage(None, 0, 0, 0)
    page = {
        "dataset": spec.name,
        "classes": dict(spec.classes),
        "label_issues": list(LABEL_ISSUES),
        "reviewer": reviewer,
        "left": left,
        "cards": cards,
    }
    html = render_review_page(page, *_pictures(dataset, cards)).encode()
    _expect_small(len(html), len(cards))
    written = write_atomic(path or dataset.reports / "review.html", html)
    return ReviewPage(written, len(cards), left, len(html))


def _expect_small(size: int, cards: int) -> None:
    if size > LARGEST_PAGE:
        fitting = max(1, cards * LARGEST_PAGE // size // 100 * 100)
        raise Problem(
            f"Expected a page of at most {LARGEST_PAGE // 10**6} MB, but {cards:,} findings with their pictures "
            f"take {size // 10**6:,} MB. Write a part of them: --limit {fitting} or --issue NAME."
        )


def _pictures(dataset: DatasetFolder, cards: list[dict[str, Any]]) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the large and the small pictures of the cards by sample."""
    large = sorted({member["id"] for card in cards for member in card["members"]})
    small = sorted({one["id"] for card in cards for one in card["context"]} - set(large))
    return compact_thumbnails(dataset, large, LARGE), compact_thumbnails(dataset, small, SMALL)
