"""Writes files whole or not at all, and defines ``Problem``, the one exception that users are meant to read.

Everything specurate writes goes to a temporary name in the same folder, is flushed to the disk and renamed, so a
kill or a full disk leaves the old file as it was.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

from curate.storage.terminal import warn

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


Value = TypeVar("Value")


class Problem(Exception):
    """A fault that the user can mend: a sentence saying what was expected, what was found and what to do."""


class Damaged(Problem):
    """A file that is there, but does not hold what was once written to it."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; when the block ends well it becomes ``path``, else it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(3)}.tmp")
    try:
        yield temporary
        with temporary.open("r+b") as written:  # Windows flushes only what is open for writing
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def lock_file(opened: IO[Any], wait: bool = True) -> None:
    """Keep other processes from locking ``opened``, until it is closed.

    Raises
    ------
    BlockingIOError
        When another process has locked it and ``wait`` is False.
    """
    if sys.platform == "win32":
        opened.seek(2**31 - 2)  # a byte far beyond the content, which a lock would keep others from reading
        while True:
            try:
                return msvcrt.locking(opened.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
            except OSError as error:  # waiting ends after 10 seconds
                if not wait:
                    raise BlockingIOError(*error.args) from None
    else:
        fcntl.flock(opened, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


@contextlib.contextmanager
def making_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside ``path``; when the block ends well it becomes ``path``, else it is removed."""
    making = path.with_name(f".{path.name}-{os.getpid()}")
    shutil.rmtree(making, ignore_errors=True)
    try:
        making.mkdir(parents=True)
        yield making
        making.rename(path)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def write_atomic(path: Path, content: str | bytes) -> Path:
    """Write ``content`` (text as UTF-8) to ``path`` whole or not at all, and return ``path``."""
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return path


def write_json(path: Path, value: Any) -> Path:
    """Write ``value`` as sorted, indented JSON, whole or not at all."""
    return write_atomic(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, default=str) + "\n")


def read_json(path: Path) -> Any:
    """Return the JSON value in ``path``.

    Raises
    ------
    Problem
        When the file is missing, or (as ``Damaged``) is not JSON; the sentence names file and line.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Problem(f"Expected the file {path}, but it is not there.") from None
    except json.JSONDecodeError as error:
        raise Damaged(
            f"{path}:{error.lineno}: expected JSON, but {error.msg}. Restore the file or delete it."
        ) from None
    except UnicodeDecodeError as error:
        raise Damaged(f"{path}: expected JSON in UTF-8, but {error}. Restore the file or delete it.") from None


def read_cached(path: Path, read: Callable[[Path], Value]) -> Value | None:
    """Return what ``read`` makes of the cache file at ``path``; None where there is none, or a damaged one."""
    return read_or_remove(path, read) if path.is_file() else None


def read_or_remove(path: Path, read: Callable[[Path], Value]) -> Value | None:
    """Return what ``read`` makes of the cache file at ``path``; None for a damaged one.

    That is removed and told of, and is then as one that was never there: whatever needs it makes it again.
    """
    try:
        return read(path)
    except Damaged:
        with contextlib.suppress(OSError):  # a file system that cannot be written to: it is passed over all the same
            path.unlink(missing_ok=True)
        warn(f"Removed {path}, a damaged file of the cache: what it held can be made again.")
        return None
