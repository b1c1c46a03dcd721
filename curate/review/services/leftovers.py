"""Finds and removes what reviews leave on the machine outside the dataset folders, for `curate doctor`.

That is FiftyOne's copy of a dataset whose folder is gone, the plugin's link into an environment that is gone, and a
mongod whose review was killed. Where to look is noted beside the database, so that looking needs neither FiftyOne nor
a database: it takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from curate.review.services.database import database_folder, is_left_running, locked, running_database
from curate.storage.files import read_json, write_json

NOTES = "specurate-notes.json"


@dataclass(frozen=True)
class Notes:
    """Where the plugin was linked ('' for nowhere), and the folder of each dataset that FiftyOne has a copy of."""

    link: str = ""
    copies: dict[str, str] = field(default_factory=dict)


def note_review(name: str, folder: Path, link: Path | None) -> None:
    """Note that FiftyOne holds ``folder`` as the dataset ``name``, and where the plugin is linked."""
    at = database_folder()
    at.mkdir(parents=True, exist_ok=True)
    with locked(at):
        notes = _read_notes()
        copies = {**notes.copies, name: str(folder.resolve())}
        write_json(at / NOTES, asdict(Notes(str(link) if link else notes.link, copies)))


def find_leftovers() -> list[str]:
    """Return what is left, each in words; reviews that run are none."""
    notes = _read_notes()
    found = [f"FiftyOne's copy {name} of {folder}, which is gone" for name, folder in _orphans(notes)]
    if _dangles(notes.link):
        found.append(f"the link {notes.link}, which leads nowhere")
    if is_left_running(database_folder()):
        found.append("a mongod whose review was killed")
    return found


def clean_leftovers() -> list[str]:
    """Remove what `find_leftovers` finds, and return that. No dataset folder and no image is touched.

    Raises
    ------
    Problem
        When the database does not start.
    """
    found, notes = find_leftovers(), _read_notes()
    if orphans := [name for name, _ in _orphans(notes)]:
        _delete_copies(orphans)
        kept = {name: folder for name, folder in notes.copies.items() if name not in orphans}
        write_json(database_folder() / NOTES, asdict(replace(notes, copies=kept)))
    if _dangles(notes.link):
        Path(notes.link).unlink()
    if is_left_running(database_folder()):
        with running_database(database_folder()):
            pass  # its last user stops it
    return found


def _delete_copies(names: list[str]) -> None:
    from curate.review.services.environment import load_fiftyone

    fo = load_fiftyone()
    for name in names:
        if fo.dataset_exists(name):
            fo.delete_dataset(name)


def _orphans(notes: Notes) -> Iterator[tuple[str, str]]:
    return ((name, folder) for name, folder in sorted(notes.copies.items()) if not Path(folder).is_dir())


def _dangles(link: str) -> bool:
    return bool(link) and Path(link).is_symlink() and not Path(link).exists()


def _read_notes() -> Notes:
    path = database_folder() / NOTES
    return Notes(**read_json(path)) if path.is_file() else Notes()
