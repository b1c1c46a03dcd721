"""The paths of a dataset: everything lies in the folder that holds ``dataset.yaml``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from curate.storage.files import Problem, lock_file


@dataclass(frozen=True)
class DatasetFolder:
    """The paths of one dataset; see the layout in the README.

    >>> DatasetFolder(Path("pets")).decisions.as_posix()
    'pets/decisions.jsonl'
    """

    path: Path

    @property
    def spec(self) -> Path:
        return self.path / "dataset.yaml"

    @property
    def decisions(self) -> Path:
        return self.path / "decisions.jsonl"

    @property
    def votes(self) -> Path:
        """Labels that people and other tools gave outside the sources, append-only; kept in git."""
        return self.path / "votes.jsonl"

    @property
    def lock(self) -> Path:
        return self.path / "dataset.lock"

    @property
    def versions(self) -> Path:
        return self.path / "versions"

    @property
    def models(self) -> Path:
        return self.path / "models"

    @property
    def reports(self) -> Path:
        return self.path / "reports"

    @property
    def cache(self) -> Path:
        """Keyed by content, safe to delete, ignored by git."""
        return self.path / ".curate"


def open_folder(path: Path | str) -> DatasetFolder:
    """Return the dataset folder at ``path``.

    Raises
    ------
    Problem
        When there is no such folder or it holds no ``dataset.yaml``.
    """
    folder = DatasetFolder(Path(path))
    if not folder.path.exists():
        raise Problem(f"Expected a dataset folder at {folder.path}, but nothing is there. `curate init` makes one.")
    if not folder.path.is_dir():
        raise Problem(f"Expected a dataset folder, but {folder.path} is a file. Name the folder of its dataset.yaml.")
    if not folder.spec.is_file():
        raise Problem(
            f"Expected {folder.spec}, but it is not there. "
            f"Write one with `curate init {folder.path} --from FOLDER_OR_CSV`, or name another folder."
        )
    return folder


@contextlib.contextmanager
def working_on(dataset: DatasetFolder) -> Iterator[None]:
    """Let no other command that changes the same dataset run at the same time; a killed one leaves nothing locked.

    Raises
    ------
    Problem
        When there is another one.
    """
    dataset.cache.mkdir(parents=True, exist_ok=True)
    with (dataset.cache / "lock").open("a") as lock:
        try:
            lock_file(lock, wait=False)
        except BlockingIOError:
            raise Problem(
                f"Another curate is working on {dataset.path}. Wait until it has finished, or end it, and try again."
            ) from None
        except OSError:
            pass  # a file system without locks, as some network shares are: as good as it gets
        yield


def next_id(folder: Path, prefix: str) -> str:
    """Return the first unused id ``<prefix>N`` counting from 1 in ``folder`` (``v3`` when v1 and v2 are there)."""
    return f"{prefix}{max(map(_number, numbered(folder, prefix)), default=0) + 1}"


def numbered(folder: Path, prefix: str) -> list[str]:
    """Return the ids ``<prefix>N`` that are folders in ``folder``, in order of N."""
    if not folder.is_dir():
        return []
    names = [child.name for child in folder.iterdir() if child.is_dir()]
    return sorted((name for name in names if name[:1] == prefix and name[1:].isdigit()), key=_number)


def _number(name: str) -> int:
    return int(name[1:])
