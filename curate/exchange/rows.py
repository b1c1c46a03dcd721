"""The rows of another tool's file, before they are matched to samples and classes."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.storage.files import Problem

LARGEST_IMPORT = 1_000_000_000  # bytes; it is read whole
SPACE = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True)
class Row:
    """One label as a file states it; nothing in it has been checked.

    `place` is where it stands, `images` are the file's names for the image (the first that is known here counts),
    `share` and `time` are as found. `left_out` says why a row is no vote, as an empty one is; `fault` why it cannot be
    understood, with `kind` as the heading under which it is reported.
    """

    place: str
    images: tuple[str, ...] = ()
    label: str = ""
    voter: str = ""
    share: Any = None
    time: Any = None
    left_out: str = ""
    fault: str = ""
    kind: str = "malformed"


def read_text(path: Path) -> str:
    """Return the text of the file to import.

    Raises
    ------
    Problem
        When there is no such file, or it is too large, empty or not UTF-8.
    """
    if not path.is_file():
        raise Problem(f"Expected a file to import, but {path} is {'a folder' if path.is_dir() else 'not there'}.")
    size = path.stat().st_size
    if size > LARGEST_IMPORT:
        raise Problem(f"{path}: expected at most {LARGEST_IMPORT:,} bytes, found {size:,}. Import it in parts.")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Problem(f"{path}: expected UTF-8, but {error.reason} at byte {error.start}. Save it as UTF-8.") from None
    if not text.strip():
        raise Problem(f"{path}: expected lines, but the file is empty.")
    return text


def parse_json(text: str, path: Path, line: int = 1) -> Any:
    """Return the JSON value that ``text``, beginning at ``line`` of ``path``, holds; a Problem when it is none."""
    try:
        return json.loads(text, object_pairs_hook=_expect_unique)
    except _Repeated as error:
        raise Problem(f"{path}:{line}: expected each key of an object once, but {error} is there twice.") from None
    except json.JSONDecodeError as error:
        raise Problem(f"{path}:{line + error.lineno - 1}: expected JSON, but {error.msg}.") from None
    except (RecursionError, ValueError) as error:  # nested without end, or a number of thousands of digits
        raise Problem(f"{path}:{line}: expected JSON of a sane size, but {type(error).__name__}: {error}.") from None


class _Repeated(ValueError):
    pass


def _expect_unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two labels under one key, Python would keep the last without a word."""
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise _Repeated(brief(max(counts, key=lambda key: counts[key])))
    return found


def parse_object(text: str, path: Path) -> dict[str, Any]:
    """Return the JSON object that ``text`` holds; a Problem when it is something else."""
    tree = parse_json(text, path)
    if not isinstance(tree, dict):
        raise Problem(f"{path}: expected a JSON object, found {type(tree).__name__}. Is it another format (--format)?")
    return tree


def parse_list(text: str, path: Path) -> Iterator[tuple[int, Any]]:
    """Yield each value of a JSON list with the line it begins on.

    >>> list(parse_list('[1,\\n {"a": 2}]', Path("x.json")))
    [(1, 1), (2, {'a': 2})]
    """
    if not isinstance(parse_json(text, path), list):  # whole and valid, or told where it is not
        raise Problem(f"{path}: expected a JSON list of tasks, found something else. Is it another format (--format)?")
    decoder, line, counted = json.JSONDecoder(), 1, 0
    place = _skip_space(text, text.index("[") + 1)
    while text[place] != "]":
        line, counted = line + text.count("\n", counted, place), place
        value, end = decoder.raw_decode(text, place)
        yield line, value
        place = _skip_space(text, end)
        place = _skip_space(text, place + 1) if text[place] == "," else place


def _skip_space(text: str, start: int) -> int:
    space = SPACE.match(text, start)
    assert space is not None
    return space.end()


def table_of(value: Any) -> dict[str, Any]:
    """Return ``value`` if it is a JSON object, else an empty one: other people's files hold anything anywhere."""
    return value if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    """Return ``value`` if it is a JSON list, else an empty one."""
    return value if isinstance(value, list) else []


def text_of(value: Any) -> str:
    """Return a text or a whole number as text, '' for anything else.

    >>> text_of(" cat "), text_of(3), text_of(None), text_of(True)
    ('cat', '3', '', '')
    """
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def brief(value: Any) -> str:
    """Return what an error shows of ``value``: not all of a long text, and nothing of what is nested.

    >>> brief("a" * 99), brief(7), brief([[]])
    ("'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'", "'7'", 'a list')
    """
    return repr(str(value)[:40]) if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
