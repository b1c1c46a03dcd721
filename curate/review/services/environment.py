"""Imports FiftyOne with our settings: its database in our own folder, no tracking, loopback only.

FiftyOne connects to its database while it is imported, so everything is set before, and here is the one place that
imports it.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
from typing import Any

from curate.review.services import database
from curate.review.services.database import database_folder, running_database

QUIET = {
    "FIFTYONE_DO_NOT_TRACK": "1",
    "FIFTYONE_DEFAULT_APP_ADDRESS": "127.0.0.1",
    "FIFTYONE_LOGGING_LEVEL": "ERROR",
    "FIFTYONE_SHOW_PROGRESS_BARS": "false",
    "FIFTYONE_PLUGINS_CACHE_ENABLED": "true",  # else every answer loads all plugins anew
}
_open = contextlib.ExitStack()
_is_ours = threading.Event()  # and no server of the user's own


def load_fiftyone() -> Any:
    """Return the module ``fiftyone``, connected: 3 to 4 seconds the first time, and as long for the database.

    Variables that are set already win: ``FIFTYONE_DATABASE_URI`` (a server of your own), ``FIFTYONE_DATABASE_DIR``.

    Raises
    ------
    Problem
        When no database can be started.
    """
    if "fiftyone" not in sys.modules:
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        if not os.environ.get("FIFTYONE_DATABASE_URI"):
            # Exit functions run last in, first out: registered before FiftyOne's own, which still need the database.
            atexit.register(_open.close)
            os.environ["FIFTYONE_DATABASE_URI"] = _open.enter_context(running_database(database_folder()))
            _is_ours.set()
    import fiftyone

    return fiftyone


def revive_database() -> bool:
    """Start the mongod that `load_fiftyone` started or joined anew if it has died; return whether it had.

    Raises
    ------
    Problem
        When it does not start.
    """
    uri = os.environ.get("FIFTYONE_DATABASE_URI", "")
    return _is_ours.is_set() and database.revive_database(database_folder(), uri)
