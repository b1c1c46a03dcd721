"""Reads ``dataset.yaml`` into a ``Spec``; every error names the file, line and key and what is allowed there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from curate.spec.model import AcceptBelow, Source, Spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder

LARGEST_SPEC = 1_000_000  # bytes; a longer file is not something a person wrote


def read_spec(dataset: DatasetFolder) -> Spec:
    """Return the checked spec of ``dataset``.

    Raises
    ------
    Problem
        When the file is missing, is not YAML, or breaks a rule; one line for each fault with file, line and key.
    """
    try:
        text = dataset.spec.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Problem(f"{dataset.spec}: expected UTF-8 text, but {error}. Save it as UTF-8.") from None
    return parse_spec(text, dataset.spec)


def parse_spec(text: str, path: Path) -> Spec:
    """Return the spec written in ``text``; ``path`` only names it in errors."""
    tree = _load_yaml(text, path)
    if not isinstance(tree, dict):
        raise Problem(f"{path}:1: expected keys such as `name:` and `classes:`, but found {type(tree).__name__}.")
    try:
        return Spec.model_validate(_plain(tree))
    except ValidationError as error:
        raise Problem("\n".join(_sentences(error, tree, path))) from None


def _load_yaml(text: str, path: Path) -> Any:
    from ruamel.yaml import YAML, YAMLError
    from ruamel.yaml.events import AliasEvent

    if len(text) > LARGEST_SPEC:
        raise Problem(f"{path}: expected at most {LARGEST_SPEC:,} characters, found {len(text):,}.")
    try:
        # Aliases can make a small file expand without end, and a spec has no use for them.
        for event in YAML(typ="safe", pure=True).parse(text):
            if isinstance(event, AliasEvent):
                raise Problem(f"{path}:{event.start_mark.line + 1}: YAML aliases (*{event.anchor}) are not allowed.")
        # The round-trip loader builds no Python objects from tags and knows the line of each key.
        return YAML(typ="rt", pure=True).load(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise Problem(f"{path}:{line}: expected YAML, but {getattr(error, 'problem', None) or error}.") from None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_plain(child) for child in value]
    return value


def _sentences(error: ValidationError, tree: Any, path: Path) -> list[str]:
    """One line a fault: file:line: key: what is wrong (what was found)."""
    lines = []
    for fault in error.errors():
        keys = [key for key in fault["loc"] if isinstance(key, int) or not key.startswith(("literal[", "AcceptBelow"))]
        where, known = _line_of(tree, keys)
        found = "" if fault["type"] in ("missing", "value_error") else f", found {fault['input']!r:.60}"
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            message, found = f"unknown key; allowed here: {', '.join(_allowed(keys))}", ""
        lines.append(f"{path}:{where}: {'.'.join(map(str, known))}: {message}{found}.")
    return list(dict.fromkeys(lines))


def _line_of(tree: Any, keys: list[Any]) -> tuple[int, list[Any]]:
    line, node = 1, tree
    for key in keys:
        try:
            line = (node.lc.item(key) if isinstance(key, int) else node.lc.key(key))[0] + 1
            node = node[key]
        except (KeyError, AttributeError, IndexError, TypeError):
            break
    return line, keys


def _allowed(keys: list[Any]) -> list[str]:
    part: Any = Spec
    for key in keys[:-1]:
        if isinstance(key, int):
            continue
        if key == "sources":
            part = Source
        elif key == "label_error":
            part = AcceptBelow
        else:
            part = part.model_fields[key].annotation
    return list(part.model_fields)
