"""Opens the App on the findings that wait, serves it to this machine only, and waits until it is closed."""

from __future__ import annotations

import contextlib
import os
import webbrowser
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from curate.images.samples import read_sources
from curate.log.decisions import current_user
from curate.review.answers.sitting import END, REVIEWER
from curate.review.mirror.pull import Notify, tell
from curate.review.mirror.push import push_review
from curate.review.mirror.snapshot import mark, review_name
from curate.review.opening import EVERYTHING, Opening, find_address
from curate.review.services.environment import load_fiftyone
from curate.review.services.leftovers import note_review
from curate.review.services.plugin_link import link_plugin
from curate.review.services.running import Running, registered
from curate.review.services.server import LOOPBACK, AppServer, choose_port, expect_loopback
from curate.spec.model import Spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder


class App:
    """The App on one dataset, served by this process; leave its `with` block to close it."""

    def __init__(self, dataset: DatasetFolder, server: AppServer, running: Running) -> None:
        self.dataset, self.server, self.running = dataset, server, running
        self._open = contextlib.ExitStack()
        self._open.callback(server.stop)
        self._open.enter_context(registered(running))

    @property
    def url(self) -> str:
        return self.running.url

    def __enter__(self) -> App:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving; calling it again does nothing."""
        self._open.close()


def open_app(
    dataset: DatasetFolder,
    spec: Spec,
    port: int | None = None,
    address: str = LOOPBACK,
    browser: bool = True,
    reviewer: str | None = None,
    opening: Opening = EVERYTHING,
    notify: Notify = tell,
) -> App:
    """Push, serve the App and show it: on ``opening``, else on what was picked to label next, else on the suspects.

    Raises
    ------
    Problem
        When ``address`` can be reached from other machines, ``port`` is taken, or nothing of the issue is open.
    """
    expect_loopback(address, port)
    port = choose_port(address, port)
    actor, name = reviewer or current_user(), review_name(dataset)
    read_sources(dataset)  # what is not there is said at once, and not after a database has started
    load_fiftyone()
    note_review(name, dataset.path, _link_plugin(notify))
    running = Running(name, str(dataset.path.resolve()), actor, port, "", os.getpid())
    os.environ.update({REVIEWER: actor, END: str(running.end)})  # for the server, which is a process of its own
    with _starting(port, address) as starting:
        push_review(dataset, spec)
        view = load_fiftyone().load_dataset(name)
        mark(view, reviewer=actor)
        url = find_address(f"http://{address}:{port}/datasets/{name}", view, opening)
        app = App(dataset, starting.result(), replace(running, url=url))
    show_app(url, browser, notify, "is at")
    return app


@contextlib.contextmanager
def _starting(port: int, address: str) -> Iterator[Future[AppServer]]:
    """Yield a server that is being started, which takes seconds; if the block fails, it is stopped again."""
    with ThreadPoolExecutor(1) as pool, contextlib.ExitStack() as failing:
        starting = pool.submit(AppServer, port, address)
        failing.callback(lambda: starting.result().stop())
        yield starting
        failing.pop_all()


def _link_plugin(notify: Notify) -> Path | None:
    try:
        return link_plugin()
    except Problem as problem:  # labels and tags can be edited without it
        notify(str(problem))
        return None


def show_app(url: str, browser: bool, notify: Notify, how: str) -> None:
    """Tell where the App is, and open a browser there if one is wanted."""
    notify(f"The FiftyOne App {how} {url}")
    if browser:
        webbrowser.open(url)
