"""A dataset to pictures of it in the App: ``python -m tests.browser.shoot DATASET OUT``, and the tests' browser."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import TimeoutError as PlaywrightTimeout

from curate.review.app import open_app
from curate.spec.reading import read_spec
from curate.storage.files import Problem
from curate.storage.folder import open_folder

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Root in a container has no sandbox, and no browser of ours is to call home.
SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
LOOKER = '[data-cy="looker"]'
DRAWN = '[data-cy="looker"] canvas[canvas-loaded="true"]'
SECONDS = 45_000  # milliseconds, for Playwright: a cold App on a busy machine


def find_chromium() -> str:
    """Return the program of a Chromium: CURATE_BROWSER if set, else the first one installed."""
    names = [os.environ["CURATE_BROWSER"]] if os.environ.get("CURATE_BROWSER") else CHROMIUMS
    for name in names:
        if found := shutil.which(name):
            return found
    raise Problem(
        f"Expected a Chromium for the tests of the App, but found none of {', '.join(names)}. "
        "Install one (Debian, Ubuntu: `apt-get install chromium`)."
    )


@contextlib.contextmanager
def running_browser() -> Iterator[Any]:
    """Yield a headless Chromium, closed at the end."""
    from playwright.sync_api import sync_playwright

    program = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=SWITCHES)
        try:
            yield browser
        finally:
            browser.close()


def open_grid(browser: Any, url: str, width: int = 1600, height: int = 1000) -> Any:
    """Return a page that shows the App at ``url``, after all images of its first screen were drawn."""
    page = browser.new_page()
    page.set_viewport_size({"width": width, "height": height})
    page.set_default_timeout(SECONDS)
    page.goto(url)
    page.wait_for_selector(DRAWN)
    page.wait_for_function(
        f"document.querySelectorAll('{LOOKER}').length == document.querySelectorAll('{DRAWN}').length"
    )
    return page


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def shoot(folder: str, out: str) -> None:
    """Write what a reviewer of the dataset in ``folder`` sees in each view of the App to PNG files in ``out``."""
    dataset, port = open_folder(folder), free_port()
    Path(out).mkdir(parents=True, exist_ok=True)
    with open_app(dataset, read_spec(dataset), port, browser=False) as app, running_browser() as browser:
        base = app.url.split("?")[0]
        context = browser.new_context()  # one for all pages: what is dismissed stays so
        for name, query in VIEWS.items():
            page = open_grid(context, f"{base}?{query}")
            dismiss_offer(page)
            if name == "sample":
                open_first(page)
            elif name == "review":
                select_first(page)
            page.mouse.move(0, 0)  # off the images: the one under it would show its checkbox
            page.wait_for_timeout(3_000)  # milliseconds: panels draw when their data has come
            page.screenshot(path=Path(out) / f"{name}.png")
            page.keyboard.press("Escape")
            page.close()
    print(f"{out}: {', '.join(VIEWS)}")


VIEWS = {  # the one that leaves something selected, which the App remembers, comes last
    "sample": "view=suspects&workspace=review",
    "duplicates": "view=duplicates&workspace=duplicates",
    "compare": "view=test&workspace=compare",
    "map": "workspace=map",
    "review": "view=suspects&workspace=review",
}


def dismiss_offer(page: Any) -> None:
    """Close an advertisement of FiftyOne's, which lies over the first images and hides all else from who asks by role.

    It comes once in a browser.
    """
    dismiss = page.get_by_text("Dismiss")
    with contextlib.suppress(PlaywrightTimeout):
        dismiss.click(timeout=5_000)
        dismiss.wait_for(state="hidden")


def open_first(page: Any) -> None:
    """Open the first sample of the grid, once the panel beside it is there; the upper half of one is for selecting."""
    page.get_by_text("Keys, when a sample is open").first.wait_for()
    page.wait_for_timeout(1_000)  # milliseconds: the grid is laid out anew
    box = page.locator(LOOKER).first.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.8)
    page.locator("#modal").get_by_role("button", name="Keep as it is").wait_for()


def select_first(page: Any) -> None:
    page.get_by_text("Keys, when a sample is open").first.wait_for()
    page.wait_for_timeout(1_000)
    box = page.locator(LOOKER).first.bounding_box()
    page.mouse.click(box["x"] + 12, box["y"] + 12)
    page.get_by_role("button", name="Keep as it is").wait_for()


if __name__ == "__main__":
    shoot(*sys.argv[1:])
