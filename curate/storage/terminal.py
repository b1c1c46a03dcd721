"""Prints a line for a person on standard error, apart from the results."""

from __future__ import annotations

import sys


def warn(text: str) -> None:
    """Write a line for a person to standard error."""
    sys.stderr.write(printable(text) + "\n")


def printable(text: str) -> str:
    """Return ``text`` with control characters written out: a file name must not steer the terminal.

    >>> printable("cat\\x1b[31m.jpg")
    'cat\\\\x1b[31m.jpg'
    """
    return "".join(one if one.isprintable() or one == "\n" else repr(one)[1:-1] for one in text)
