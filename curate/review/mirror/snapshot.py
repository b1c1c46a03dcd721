"""Records what was last pushed, so that an edit made in the App can be recognised.

A token stands in the snapshot and in the FiftyOne dataset. It is taken away while a push writes: a push that was cut
off, another database, or a deleted cache are then noticed, instead of every difference passing for an edit.
Answers given by the plugin change rows between two pushes: those are added to a journal beside the snapshot.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from curate.storage.files import lock_file, read_cached, read_json, write_json
from curate.storage.folder import DatasetFolder
from curate.storage.tables import read_parquet, write_table

SNAPSHOT = {
    "fiftyone_id": "str",
    "sample_id": "str",
    "label": "str",
    "drop": "bool",
    "keep": "bool",
    "digest": "str",
}
INFO = "specurate"  # our key in the info of the FiftyOne dataset


def review_name(dataset: DatasetFolder, name: str | None = None) -> str:
    """Return the name in FiftyOne: stable, readable, and different for two folders of the same name.

    >>> review_name(DatasetFolder(Path("/data/My Pets")))
    'specurate-my-pets-7332a110'
    """
    folder = dataset.path.resolve()
    if name:
        return name
    readable = re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-") or "dataset"
    return f"specurate-{readable}-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"


def read_snapshot(dataset: DatasetFolder, view: Any) -> pd.DataFrame | None:
    """Return the snapshot of the FiftyOne dataset ``view``; None when it is not the one that was pushed last."""
    view.reload()  # another process may have pushed
    pushed = marked(view)
    table, about = _paths(dataset, view.name)
    token = pushed.get("token")
    snapshot, known = read_cached(table, read_parquet), read_cached(about, read_json)
    if snapshot is None or known is None or not token or known["token"] != token:
        return None
    return _with_journal(snapshot, read_journal(dataset, view.name, token)[0])


@contextlib.contextmanager
def writing(dataset: DatasetFolder, name: str) -> Iterator[None]:
    """Keep other processes from comparing or writing the FiftyOne dataset ``name`` until the block ends.

    Between a write and the note of it in the snapshot, the write would pass for an edit.
    """
    path = dataset.cache / "review" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        lock_file(file)
        yield


def journal_rows(dataset: DatasetFolder, view: Any, rows: list[dict[str, Any]]) -> None:
    """Note that ``rows`` (`fiftyone_id, label, drop, keep`) were written to the FiftyOne dataset: they are no edits."""
    journal = _journal(dataset, view.name)
    journal.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps({"token": marked(view).get("token", ""), "rows": rows})
    with journal.open("a", encoding="utf-8") as log:
        log.write(line + "\n")


def read_journal(
    dataset: DatasetFolder, name: str, token: str, start: int = 0
) -> tuple[dict[str, dict[str, Any]], int]:
    """Return what was noted after byte ``start`` under ``token``, the latest of each sample, and where to go on."""
    journal = _journal(dataset, name)
    content = journal.read_bytes()[start:] if journal.is_file() else b""
    whole = content[: content.rfind(b"\n") + 1]
    latest: dict[str, dict[str, Any]] = {}
    for line in whole.splitlines():
        with contextlib.suppress(json.JSONDecodeError, UnicodeDecodeError):  # half a line of a process that was killed
            entry = json.loads(line)
            if entry["token"] == token:
                latest |= {row["fiftyone_id"]: row for row in entry["rows"]}
    return latest, start + len(whole)


def _with_journal(snapshot: pd.DataFrame, latest: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """Return ``snapshot`` with what was written since; such a row loses its digest, so that the next push writes it."""
    rows = [
        {**row, **latest[row["fiftyone_id"]], "digest": ""} if row["fiftyone_id"] in latest else row
        for row in snapshot.to_dict("records")
    ]
    return pd.DataFrame(rows, columns=list(snapshot.columns)) if latest else snapshot


def write_snapshot(dataset: DatasetFolder, view: Any, snapshot: pd.DataFrame, token: str) -> None:
    """Keep ``snapshot``, then mark the FiftyOne dataset with ``token``: from here on a difference is an edit."""
    table, about = _paths(dataset, view.name)
    write_table(table, snapshot)
    write_json(about, {"token": token})
    mark(view, token=token)
    _journal(dataset, view.name).unlink(missing_ok=True)


def mark(view: Any, **facts: Any) -> None:
    """Set keys of ours in the info of the FiftyOne dataset, which other processes write too."""
    view.reload()
    view.info = {**view.info, INFO: {**marked(view), **facts}}
    view.save()


def marked(view: Any) -> dict[str, Any]:
    """Return what `mark` set, as this process last read it."""
    return view.info.get(INFO) or {}


def _journal(dataset: DatasetFolder, name: str) -> Path:
    return dataset.cache / "review" / f"{name}.jsonl"


def _paths(dataset: DatasetFolder, name: str) -> tuple[Path, Path]:
    folder = dataset.cache / "review"
    return folder / f"{name}.parquet", folder / f"{name}.json"
