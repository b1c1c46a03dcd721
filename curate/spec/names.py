"""Resolves a class name as people and folders write it to the class of the spec."""

from __future__ import annotations

import json
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Annotated

from pydantic import AfterValidator


def trim_name(text: str) -> str:
    """Return a class name without the spaces around it, which a folder's name or a cell may have.

    >>> trim_name("cat ")
    'cat'
    """
    return text.strip()


ClassName = Annotated[str, AfterValidator(trim_name)]


def find_spellings(names: Iterable[str]) -> dict[str, str]:
    """Return the names that are most likely another spelling of one that is there, and that one.

    They differ in nothing but case, or in how accents are encoded (Unicode normal form). Of several the one that is
    composed and in small letters stays.

    >>> find_spellings(["Cat", "cat", "dog"])
    {'Cat': 'cat'}
    """
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        # The case first: a folded letter can come apart into a letter and its accent.
        alike[unicodedata.normalize("NFC", name.casefold())].append(name)
    found = {}
    for spellings in alike.values():
        stays, *others = sorted(spellings, key=lambda one: (not _is_composed(one), one != one.lower(), one))
        found.update(dict.fromkeys(others, stays))
    return found


def labels_line(joined: Mapping[str, str]) -> str:
    """Return the line of a source in ``dataset.yaml`` that takes each key of ``joined`` for its value.

    >>> labels_line({"Cat": "cat"})
    'labels: {"Cat": "cat"}'
    """
    pairs = (f"{quote_name(old)}: {quote_name(new)}" for old, new in joined.items())
    return f"labels: {{{', '.join(pairs)}}}"


def quote_name(name: str) -> str:
    r"""Return ``name`` as a YAML string; one that is not composed in escapes, as on a screen it looks as if it were.

    >>> print(quote_name("caf\u00e9"), quote_name("cafe\u0301"))
    "café" "cafe\u0301"
    """
    quoted = json.dumps(name, ensure_ascii=False)  # a JSON string is a YAML string too, whatever is in it
    return quoted if _is_composed(name) else quoted.encode("ascii", "backslashreplace").decode()


def _is_composed(name: str) -> bool:
    return unicodedata.is_normalized("NFC", name)
