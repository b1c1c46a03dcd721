"""Runs a review from start to end: opens the App, watches it, and closes it in good order."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

from curate.log.decision import Decision
from curate.log.decisions import current_user, read_decisions
from curate.review.answers.draft import TOOL
from curate.review.app import App, open_app, show_app
from curate.review.mirror.pull import Notify, pull_review, tell
from curate.review.mirror.push import push_review
from curate.review.mirror.snapshot import review_name
from curate.review.opening import EVERYTHING, Opening, find_address
from curate.review.services.environment import load_fiftyone, revive_database
from curate.review.services.plugin_link import unlink_plugin
from curate.review.services.running import Running, ask_to_end, running_reviews, wait_for_end
from curate.review.watch import Watch
from curate.spec.model import Spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder
from curate.storage.progress import counting

EVERY = 1.0  # seconds between two looks at what happened beside the App


def review(
    dataset: DatasetFolder,
    spec: Spec,
    *,
    pull: bool = False,
    port: int | None = None,
    browser: bool = True,
    reviewer: str | None = None,
    opening: Opening = EVERYTHING,
    notify: Notify = tell,
) -> list[Decision]:
    """Push, open the App, wait for its end and return the reviewer's decisions made there: as `curate review` does.

    It ends by Ctrl-C, by the button in the App, or by `close_review`. When this reviewer has the App open on this
    dataset already, it is shown again, and this returns at once.

    Parameters
    ----------
    pull
        Only take in the edits made so far; opens nothing.
    port
        Where the App is served; the first free one from 5151 when None.
    reviewer
        Who makes the decisions; the login name when None.
    """
    if pull:
        return pull_review(dataset, spec, reviewer, notify=notify)
    actor = reviewer or current_user()
    if there := _already_open(dataset, actor, port):
        _show_again(there, dataset, spec, browser, opening, notify)
        return []
    known = {one.id for one in read_decisions(dataset.decisions)}
    with open_app(dataset, spec, port, browser=browser, reviewer=actor, opening=opening, notify=notify) as app:
        _watch_until_ended(app, notify)
    pull_review(dataset, spec, actor, notify=notify)
    said = [one for one in read_decisions(dataset.decisions) if one.tool == TOOL and one.actor == actor]
    return [one for one in said if one.id not in known]


def close_review(dataset: DatasetFolder, spec: Spec, notify: Notify = tell) -> list[Decision]:
    """End every review of this dataset, also in other terminals, and what killed ones left; return late edits.

    FiftyOne's copy stays for the next time: `curate doctor --clean` removes those of folders that are gone.
    """
    mine = _reviews_of(dataset)
    for one in mine:
        ask_to_end(one)
    wait_for_end(mine)
    for one in mine:
        notify(f"The review of {one.reviewer} at {one.url} has ended.")
    late = []
    if load_fiftyone().dataset_exists(review_name(dataset)):  # its database stops with this process, if nobody's it is
        with contextlib.suppress(Problem):  # nothing to compare with: the next push starts anew
            late = pull_review(dataset, spec, notify=notify)
    if not running_reviews() and unlink_plugin():
        notify("The plugin was taken out of FiftyOne's plugins folder; the next review links it again.")
    return late


def _already_open(dataset: DatasetFolder, actor: str, port: int | None) -> Running | None:
    """Return this reviewer's open App on the dataset: one App shows all of its tabs the same, so others have theirs."""
    return next((one for one in _reviews_of(dataset) if one.reviewer == actor and port in (None, one.port)), None)


def _show_again(
    there: Running, dataset: DatasetFolder, spec: Spec, browser: bool, opening: Opening, notify: Notify
) -> None:
    push_review(dataset, spec)
    url = find_address(there.url.split("?")[0], load_fiftyone().load_dataset(there.name), opening)
    show_app(url, browser, notify, "is open already, at")


def _reviews_of(dataset: DatasetFolder) -> list[Running]:
    folder = str(dataset.path.resolve())
    return [one for one in running_reviews() if one.folder == folder]


def _watch_until_ended(app: App, notify: Notify) -> None:
    """Log edits, show what others say and keep App and database running until somebody ends the review."""
    from pymongo.errors import PyMongoError

    watch, told = Watch(app.dataset, load_fiftyone().load_dataset(app.running.name), notify), ""
    sitting = watch.sitting
    with (
        _interrupts() as interrupted,
        counting(lambda: len(sitting.find_waiting()), "reviewing", "answers") as count,
    ):
        notify("Ctrl-C here, or the button in the App, ends the review. Each answer is saved as it is given.")
        while not interrupted.wait(EVERY) and not app.running.end.exists():
            try:
                _keep_running(app, notify)
                if watch.look():
                    count()
                told = ""
            except (Problem, PyMongoError) as error:
                # The next look may find it mended: by the reviewer, or by us.
                told, before = str(error).splitlines()[0], told
                if told != before:
                    notify(told)


def _keep_running(app: App, notify: Notify) -> None:
    if revive_database():
        notify("The App's database had stopped and was started again; no answer is lost.")
    if app.server.revive():
        notify("The App's server had stopped and was started again; reload the page.")


@contextlib.contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C or SIGTERM sets: both end the review in good order."""
    ended = threading.Event()
    before = {number: signal.signal(number, lambda *_: ended.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
