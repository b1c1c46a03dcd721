"""A dataset to a picture of it in the App: ``python -m tests.browser.shoot DATASET OUT``, and the tests' browser."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curate.dataset import open_dataset
from curate.files import Problem
from curate.review import open_app, push_review
from curate.spec import read_spec

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
    page = browser.new_page(viewport={"width": width, "height": height})
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
    """Push the dataset in ``folder``, open the App on it, and write what a reviewer sees to ``out``."""
    dataset = open_dataset(folder)
    spec, port = read_spec(dataset), free_port()
    name = push_review(dataset, spec)
    session = open_app(dataset, spec, port, browser=False)
    try:
        with running_browser() as browser:
            page = open_grid(browser, f"http://127.0.0.1:{port}/datasets/{name}?view=suspects")
            dismiss = page.get_by_text("Dismiss")  # an advertisement over the first images
            dismiss.click()
            dismiss.wait_for(state="hidden")
            page.mouse.move(0, 0)  # off the images: the one under it would show its checkbox
            page.screenshot(path=out)
    finally:
        session.close()
    print(f"{Path(out)}: {Path(out).stat().st_size:,} bytes")


if __name__ == "__main__":
    shoot(*sys.argv[1:])
