"""Runs a mongod for the App: started by the first process that needs it, stopped by the last.

FiftyOne can start one too, but it joins whatever FiftyOne database is already running on the machine, whatever folder
was asked for; and Ctrl-C, which is how a review ends, must not stop the database before the edits are read.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from curate.review.services.mongod import check_database, fetch_mongod, find_mongod, free_port
from curate.storage.files import Problem, read_cached, read_json, write_json

STARTUP = 90  # seconds that a mongod may take to answer: a cold start on a busy disk
SHUTDOWN = 30


def database_folder() -> Path:
    """Return where the App's database lies: FIFTYONE_DATABASE_DIR, or a folder in the user's cache."""
    if chosen := os.environ.get("FIFTYONE_DATABASE_DIR"):
        return Path(chosen)
    mac = sys.platform == "darwin"
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ("Library/Caches" if mac else ".cache")
    return Path(cache) / "specurate" / "fiftyone"


@contextlib.contextmanager
def running_database(folder: Path) -> Iterator[str]:
    """Yield the URI of a mongod that keeps its files in ``folder``, shared by every process that asks for it.

    Raises
    ------
    Problem
        When ``folder`` cannot be written, there is no mongod and none can be fetched, or it does not start.
    """
    with _users_file(folder).open("a") as users:
        with locked(folder):
            fcntl.flock(users, fcntl.LOCK_SH)
            uri = _running(folder) or _start(folder)
        try:
            yield uri
        finally:
            with locked(folder):
                if _is_last(users):
                    _stop(folder, uri)


def revive_database(folder: Path, uri: str) -> bool:
    """Start the mongod of ``folder`` anew at ``uri`` if it has died; return whether it had.

    Raises
    ------
    Problem
        When it does not start.
    """
    if _listens(uri):
        return False
    with locked(folder):
        if not _listens(uri):  # nobody else has started it meanwhile
            _start(folder, _port(uri))
    return True


def is_left_running(folder: Path) -> bool:
    """Return whether a mongod serves ``folder`` although no process uses it: its last user was killed."""
    if not (folder / "specurate-users").is_file() or _running(folder) is None:
        return False
    with (folder / "specurate-users").open("a") as users:
        return _is_last(users)


def _listens(uri: str) -> bool:
    try:
        socket.create_connection(("127.0.0.1", _port(uri)), timeout=5).close()
    except OSError:
        return False
    return True


def _port(uri: str) -> int:
    return urlsplit(uri).port or 27017


def _users_file(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "specurate-users").touch()
    except OSError as error:
        raise Problem(
            f"Expected a folder for the App's database at {folder}, but {error.strerror}. "
            "Set FIFTYONE_DATABASE_DIR to one that you can write to."
        ) from None
    return folder / "specurate-users"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Starting and stopping exclude each other; using the database goes on meanwhile."""
    with (folder / "specurate-lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_last(users: IO[str]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _running(folder: Path) -> str | None:
    """Return the URI of a mongod that still serves ``folder``: another process's, or one whose starter was killed."""
    address = read_cached(folder / "specurate-address.json", read_json)
    if address is None:
        return None
    uri = str(address["uri"])
    try:
        check_database(uri, seconds=2)
    except Problem:
        return None
    return uri if _folder_of(uri) == str(folder.resolve()) else None


def _folder_of(uri: str) -> str:
    """Another mongod may have taken the port since: ask it which folder it serves."""
    with _client(uri) as client:
        options = client.admin.command("getCmdLineOpts")["parsed"]
    return str(options.get("storage", {}).get("dbPath", ""))


def _start(folder: Path, port: int = 0) -> str:
    mongod, port, log = find_mongod() or fetch_mongod(), port or free_port(), folder / "log" / "mongo.log"
    log.parent.mkdir(exist_ok=True)
    command = [str(mongod), "--dbpath", str(folder.resolve()), "--logpath", str(log), "--bind_ip", "127.0.0.1"]
    # A session of its own: Ctrl-C in the terminal reaches every process of the terminal's session.
    process = subprocess.Popen(
        [*command, "--port", str(port), "--nounixsocket"], stdout=subprocess.DEVNULL, start_new_session=True
    )
    # A write is on the disk before it is acknowledged: one lost by a crash would look like an edit back to the old.
    # One that died is started again within seconds: shorter than who waits for it does.
    uri = f"mongodb://127.0.0.1:{port}/?journal=true&serverSelectionTimeoutMS=15000"
    _wait_for_answer(process, uri, log)
    write_json(folder / "specurate-address.json", {"uri": uri})
    return uri


def _wait_for_answer(process: subprocess.Popen[bytes], uri: str, log: Path) -> None:
    deadline = time.monotonic() + STARTUP
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(Problem):
            check_database(uri, seconds=1)
            return
    how = "did not answer in time" if process.poll() is None else f"stopped with exit code {process.returncode}"
    process.kill()
    process.wait()
    raise Problem(
        f"Expected mongod to start, but it {how}; {log} says why. "
        "If another program uses that folder, close it or set FIFTYONE_DATABASE_DIR to another."
    )


def _stop(folder: Path, uri: str) -> None:
    """Shut mongod down and wait until it has let go of ``folder``, so that the next start is not refused."""
    from pymongo.errors import PyMongoError

    with contextlib.suppress(PyMongoError), _client(uri) as client:  # the answer is always a broken connection
        client.admin.command("shutdown", force=True)
    (folder / "specurate-address.json").unlink()
    deadline = time.monotonic() + SHUTDOWN
    lock = folder / "mongod.lock"  # holds its process id until the very end
    while lock.is_file() and lock.stat().st_size and time.monotonic() < deadline:
        time.sleep(0.02)


def _client(uri: str) -> Any:
    from pymongo import MongoClient

    return MongoClient(uri, serverSelectionTimeoutMS=5_000)
