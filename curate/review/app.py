"""The App itself: opened on the suspects, served to this machine only, closed with its edits taken in."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import threading
import webbrowser
from collections.abc import Callable
from typing import Any

from curate.dataset import DatasetFolder
from curate.decide import current_user
from curate.decisions import Decision, read_decisions
from curate.files import Problem
from curate.review.desk import TOOL
from curate.review.environment import load_fiftyone
from curate.review.layout import NEXT, SUSPECTS, save_open_view
from curate.review.plugins import link_plugin
from curate.review.pull import Notify, pull_review, tell
from curate.review.push import push_review
from curate.review.sitting import REVIEWER
from curate.review.snapshot import mark, review_name
from curate.spec import Spec

PORT = 5151
LOOPBACK = "127.0.0.1"


def review(
    dataset: DatasetFolder,
    spec: Spec,
    *,
    pull: bool = False,
    port: int = PORT,
    browser: bool = True,
    wait: bool = True,
    reviewer: str | None = None,
    issue: str = "",
    limit: int = 0,
    notify: Notify = tell,
) -> list[Decision]:
    """Push, open the App, wait for Ctrl-C and return the reviewer's decisions made there: the twin of `curate review`.

    Parameters
    ----------
    pull
        Only take in the edits made so far; opens nothing.
    wait
        When False, return at once with the App left open for as long as this process runs.
    reviewer
        Who makes the decisions; the login name when None.
    issue, limit
        Open on the open findings of this issue, the worst so many (0: all).
    """
    if pull:
        return pull_review(dataset, spec, reviewer, notify=notify)
    push_review(dataset, spec)
    known = {one.id for one in read_decisions(dataset.decisions)}
    session = open_app(dataset, spec, port, browser=browser, issue=issue, limit=limit, reviewer=reviewer, notify=notify)
    if not wait:
        return []
    try:
        _wait_for_interrupt(lambda: notify("Ctrl-C ends the review and takes your edits in."))
    finally:
        session.close()
    pull_review(dataset, spec, reviewer, notify=notify)
    actor = reviewer or current_user()
    said = [one for one in read_decisions(dataset.decisions) if one.tool == TOOL and one.actor == actor]
    return [one for one in said if one.id not in known]


def open_app(
    dataset: DatasetFolder,
    spec: Spec,
    port: int = PORT,
    address: str = LOOPBACK,
    browser: bool = True,
    name: str | None = None,
    reviewer: str | None = None,
    issue: str = "",
    limit: int = 0,
    notify: Notify = tell,
) -> Any:
    """Open the App on what was picked to label next, else on the suspects, else on everything; return its session.

    Pushes first if that was never done.

    Raises
    ------
    Problem
        When ``address`` can be reached from other machines, or ``port`` is taken.
    """
    _check_address(address, port)
    fo = load_fiftyone()
    from fiftyone.core.utils import to_slug

    name = review_name(dataset, name)
    if not fo.dataset_exists(name):
        push_review(dataset, spec, name)
    pushed = fo.load_dataset(name)
    shown = next((one for one in (NEXT, SUSPECTS) if pushed.has_saved_view(one)), "")
    shown = save_open_view(pushed, issue, limit) if issue else shown
    view = pushed.load_saved_view(shown) if shown else None
    try:
        link_plugin()
    except Problem as problem:  # labels and tags can be edited without it
        notify(str(problem))
    mark(pushed, reviewer=reviewer or current_user())
    os.environ[REVIEWER] = reviewer or current_user()  # for the server, which is a process of its own
    _start_server(port, address)
    # remote: FiftyOne is not to open a browser, which it cannot be told in another way.
    session = fo.launch_app(pushed, view=view, port=port, address=address, remote=True)
    query = f"?view={to_slug(shown)}" if shown else ""
    url = f"http://{address}:{port}/datasets/{name}{query}"
    notify(f"The FiftyOne App is at {url}")
    if browser:
        webbrowser.open(url)
    return session


def _start_server(port: int, address: str) -> None:
    """Start the App's server and return when it answers.

    A session asks a server that is not up yet for 10 seconds only, then complains and sleeps; so the server is put
    where a session looks for one that runs already. Closing the session stops it.
    """
    from fiftyone.core.service import ServerService
    from fiftyone.core.session import session

    session._server_services[port] = ServerService(port, address=address, do_not_track=True)


def _check_address(address: str, port: int) -> None:
    """FiftyOne would silently join whatever App answers at a taken port, and that may show another database."""
    if not ipaddress.ip_address(address).is_loopback:
        raise Problem(
            f"Expected a loopback address such as {LOOPBACK}, found {address}: the App asks nobody for a password. "
            f"From another machine, use `ssh -L {port}:{LOOPBACK}:{port}`."
        )
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            raise Problem(
                f"Expected port {port} to be free, but another program (an App that is still open?) uses it. "
                "Close it, or choose another with --port."
            ) from None


def _wait_for_interrupt(ready: Callable[[], None]) -> None:
    """Block until Ctrl-C or SIGTERM; both end the review in good order."""
    ended = threading.Event()
    before = {number: signal.signal(number, lambda *_: ended.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ready()
        ended.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
