"""Lists the files of the spec's sources: the label and split of each, or why it is left out.

Only names and sizes are looked at here; nothing is opened but CSV files and files without a known suffix.
"""

from __future__ import annotations

import csv
import fnmatch
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from curate.images.decoder import SUFFIXES
from curate.spec.model import Source, Spec
from curate.spec.names import trim_name
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder
from curate.storage.tables import SPLITS

SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
OWN_FILES = {"dataset.yaml", "decisions.jsonl", "dataset.lock", "votes.jsonl", "truth.csv"}
OWN_FOLDERS = {".curate", "versions", "models", "reports"}
MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
LARGEST_FILE = 512 * 1024 * 1024


@dataclass(frozen=True)
class FoundFile:
    """One file of a source: `path` as in the source (posix), `file` where it opens, `ignored` why it is left out."""

    path: str
    file: Path
    source: str
    label: str = ""
    voter: str = ""
    split: str = ""
    ignored: str = ""
    reason: str = ""  # why it cannot be read, where that is known without reading it
    metadata: tuple[tuple[str, str], ...] = ()


def find_files(dataset: DatasetFolder, spec: Spec) -> list[FoundFile]:
    """Return every file of every source, sorted; a CSV row is one file for each voter that it names.

    Raises
    ------
    Problem
        When a source is missing, a label is no class of the spec, or a CSV is malformed (with its line).
    """
    found: list[FoundFile] = []
    for source in spec.sources:
        root = dataset.path / source.path
        rows = _csv_files(root, source) if source.kind == "csv" else _folder_files(root, source, dataset, spec)
        found.extend(_ignore(row, source) for row in rows)
    _check_labels(found, dataset, spec)
    return sorted(found, key=lambda row: (row.source, row.path, row.voter))


def _ignore(row: FoundFile, source: Source) -> FoundFile:
    pattern = next((one for one in source.ignore if fnmatch.fnmatch(row.path, one)), None)
    return replace(row, ignored=f"the spec's ignore pattern {pattern!r}") if pattern else row


def _folder_files(root: Path, source: Source, dataset: DatasetFolder, spec: Spec) -> Iterator[FoundFile]:
    if not root.is_dir():
        raise Problem(
            f"{dataset.spec}: expected the source folder {root}, but it is not there. Correct `sources: path:`."
        )
    for file in walk_files(root, skip=dataset.path):
        parts = file.relative_to(root).parts
        label, split = ("", "") if source.kind == "flat" else label_and_split(parts, spec.classes)
        label = source.labels.get(label, label)
        yield FoundFile(
            printed("/".join(parts)),
            file,
            source.path,
            label,
            "folder" if label else "",
            split,
            why_ignored(file, root),
        )


def walk_files(root: Path, skip: Path | None = None) -> Iterator[Path]:
    """Yield every file and link under ``root``, sorted, without what belongs to the dataset folder ``skip`` itself."""
    own = skip.resolve() if skip else None
    for folder, names, files in os.walk(root, onerror=_refuse_folder):
        here = Path(folder)
        names.sort()
        links = [name for name in names if (here / name).is_symlink()]
        if own is not None and here.resolve() == own:
            names[:] = [name for name in names if name not in OWN_FOLDERS]
            files = [name for name in files if name not in OWN_FILES]
        yield from (here / name for name in sorted(files + links))


def _refuse_folder(error: OSError) -> None:
    raise Problem(f"Expected to read the folder {error.filename}, but {error.strerror}. Change its permissions.")


def label_and_split(parts: tuple[str, ...], classes: dict[str, str] | None = None) -> tuple[str, str]:
    """Return the label and the split that a file's folders say.

    >>> label_and_split(("cat", "1.jpg")), label_and_split(("train", "cat", "1.jpg"))
    (('cat', ''), ('cat', 'train'))
    """
    if len(parts) < 2:
        return "", ""
    top = trim_name(parts[0])
    split = SPLIT_FOLDERS.get(top.lower(), "") if top not in (classes or {}) else ""
    if split:
        return (trim_name(parts[1]) if len(parts) > 2 else ""), split
    return top, ""


def why_ignored(file: Path, root: Path) -> str:
    """Return why ``file`` is not taken as an image ('' when it is), without opening it if its name tells."""
    if any(part.startswith(".") for part in file.relative_to(root).parts):
        return "hidden"
    if printed(str(file)) != str(file):
        return "its name is not valid Unicode; rename it"
    if file.is_symlink():
        target = Path(os.path.realpath(file))  # Path.resolve raises on a link to itself
        if not target.is_relative_to(root.resolve()):
            return "link out of the source"
        if not target.is_file():
            return "broken link" if not target.exists() else "link to a folder"
    if not stat.S_ISREG(file.stat().st_mode):
        return "not a regular file"
    if file.suffix.lower() in SUFFIXES or _looks_like_image(file):
        return ""
    return f"not an image file ({file.suffix or 'no suffix'})"


def printed(name: str) -> str:
    """Return ``name`` with bytes that are no Unicode written out: tables and JSON cannot hold them."""
    return name.encode("utf-8", "backslashreplace").decode()


def _looks_like_image(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            start = opened.read(12)
    except OSError:
        return False
    return start.startswith(MAGIC) or (start[:4] == b"RIFF" and start[8:] == b"WEBP")


def _csv_files(path: Path, source: Source) -> Iterator[FoundFile]:
    """Yield a row for each line: columns path, label and optionally split and annotator; the rest is metadata."""
    if not path.is_file():
        raise Problem(f"Expected the CSV source {path}, but it is not there. Correct `sources: path:` in dataset.yaml.")
    seen: dict[tuple[str, str], tuple[str, int]] = {}
    for number, row in read_csv_rows(path):
        label = trim_name(row.pop("label", ""))
        found = _csv_row(path, number, row, label, source)
        before, line = seen.setdefault((found.path, found.voter), (found.label, number))
        if before != found.label:
            raise Problem(
                f"{path}:{number}: {found.voter} calls {found.path} {found.label!r}, but line {line} says {before!r}. "
                "Keep one of the lines, or add an `annotator` column."
            )
        if line == number:
            yield found


def read_csv_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and columns of each row of a CSV with at least a ``path`` column.

    Raises
    ------
    Problem
        When it is not UTF-8, has no ``path`` column, or a row has more or fewer fields than the header.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.DictReader(opened, strict=True)
            header = [name.strip() for name in reader.fieldnames or []]
            if "path" not in header:
                raise Problem(f"{path}:1: expected the columns path,label[,split,annotator], found {','.join(header)}.")
            reader.fieldnames = header
            for row in reader:
                if None in row or None in row.values():
                    raise Problem(f"{path}:{reader.line_num}: expected {len(header)} fields as in the header.")
                yield reader.line_num, dict(row)
    except (csv.Error, UnicodeDecodeError) as error:
        raise Problem(f"{path}: expected a CSV file in UTF-8, but {error}. Save it again as CSV UTF-8.") from None


def _csv_row(path: Path, number: int, row: dict[str, str], label: str, source: Source) -> FoundFile:
    name, split, annotator = (
        row.pop("path").strip(),
        row.pop("split", "").strip().lower(),
        row.pop("annotator", "").strip(),
    )
    split = SPLIT_FOLDERS.get(split, split)
    if split and split not in SPLITS:
        raise Problem(f"{path}:{number}: expected split {', '.join(SPLITS)} or nothing, found {split!r}.")
    file, label = path.parent / name, source.labels.get(label, label)
    voter = f"csv:{annotator or path.stem}" if label else ""
    found = FoundFile(name, file, source.path, label, voter, split, metadata=tuple(sorted(row.items())))
    if not name or "\0" in name or Path(name).is_absolute() or _is_outside(file, path.parent):
        return replace(found, ignored=f"{path.name}:{number}: outside the folder of the CSV")
    if not file.is_file():
        return replace(found, reason=f"listed in {path.name}:{number}, but there is no such file")
    return found


def _is_outside(file: Path, folder: Path) -> bool:
    return not Path(os.path.realpath(file)).is_relative_to(folder.resolve())


def _check_labels(found: list[FoundFile], dataset: DatasetFolder, spec: Spec) -> None:
    wrong = [row for row in found if row.label and not row.ignored and row.label not in spec.classes]
    if not wrong:
        return
    names = sorted({row.label for row in wrong})
    places = ", ".join(f"{row.path} ({row.label!r})" for row in wrong[:3])
    raise Problem(
        f"{dataset.spec}: expected labels among {', '.join(spec.classes)}, but {len(wrong)} files have another "
        f"({', '.join(names[:5])}): {places}. Add the class under `classes:`, map it under the source's `labels:`, "
        "or leave the files out with `ignore:`."
    )
