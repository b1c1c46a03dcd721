"""Matches another tool's name of an image to a sample: by id, path, content, or a unique file name."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from curate.images.decoder import SUFFIXES
from curate.images.samples import Scan
from curate.images.sources import LARGEST_FILE

SAMPLE_ID = re.compile(r"[0-9a-f]{20}")
UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # what Label Studio puts before the name of an uploaded file
Parts = tuple[str, ...]


@dataclass(frozen=True)
class Match:
    """The sample found ('' for none, and then why), and whether only the bare name speaks for it."""

    sample_id: str = ""
    why: str = ""
    by_name: bool = False


class SampleFinder:
    """Finds the samples of one scan.

    A sample id counts as it is: where it is not in the scan, the picture is another one now, whatever its path. Where
    a path does not tell, an image of that name in the folder ``beside`` does, by its content.
    """

    def __init__(self, scan: Scan, beside: Path | None = None) -> None:
        self.beside = beside
        self.ids = set(scan.samples["sample_id"])
        self.names, self.stems = _PathIndex(), _PathIndex()  # FiftyOne names images without their suffix
        held = scan.locations[scan.locations["sample_id"].isin(self.ids)]
        for path, file, sample_id in held[["path", "file", "sample_id"]].itertuples(index=False):
            for parts in {parts_of(path), parts_of(file)}:
                self.names.add(parts, sample_id)
                self.stems.add((*parts[:-1], PurePosixPath(parts[-1]).stem), sample_id)

    def find(self, images: Sequence[str]) -> Match:
        """Return the sample that the first of ``images`` means that is known here."""
        own = next((name for name in images if SAMPLE_ID.fullmatch(name)), "")
        if own:
            return Match(own) if own in self.ids else Match(why=f"no sample has the id {own}")
        last, named = Match(why="it names no image"), Match()
        for parts in (parts_of(name) for image in images for name in spellings(image)):
            last = self.names.find(parts) or self.stems.find(parts) or Match(why=f"no sample is {'/'.join(parts)}")
            if last.sample_id and not last.by_name:
                return last
            named = last if last.sample_id and not named.sample_id else named
        content = identify_beside(self.beside, images) if self.beside else ""
        return Match(content) if content in self.ids else named if named.sample_id else last


class _PathIndex:
    """Which sample lies where: by the whole path, by the last two parts of it, and by the name alone."""

    def __init__(self) -> None:
        self.paths: defaultdict[Parts, set[str]] = defaultdict(set)
        self.pairs: defaultdict[Parts, list[tuple[Parts, str]]] = defaultdict(list)
        self.names: defaultdict[str, set[str]] = defaultdict(set)
        self.deepest = 0

    def add(self, parts: Parts, sample_id: str) -> None:
        self.paths[parts].add(sample_id)
        self.pairs[parts[-2:]].append((parts, sample_id))
        self.names[parts[-1]].add(sample_id)
        self.deepest = max(self.deepest, len(parts))

    def find(self, parts: Parts) -> Match | None:
        """Return the sample of a path that ends as ``parts`` do, one being the whole end of the other; else by name."""
        first = max(0, len(parts) - self.deepest)  # no end longer than the longest path is known
        ends = (parts[start:] for start in range(first, max(1, len(parts) - 1)))
        known = next((self.paths[end] for end in ends if end in self.paths), set())
        if not known and len(parts) > 1:
            known = {one for held, one in self.pairs.get(parts[-2:], ()) if held[-len(parts) :] == parts}
        found = known or self.names.get(parts[-1] if parts else "", set())
        if len(found) > 1:
            return Match(why=f"{len(found)} samples are called {'/'.join(parts)}")
        return Match(next(iter(found)), by_name=not known) if found else None


def identify_beside(folder: Path, images: Sequence[str]) -> str:
    """Return the sample id of the first of ``images`` that is a file in ``folder`` or its ``data/``; '' for none.

    Exports of COCO and FiftyOne bring their images along, under names that may no longer be those of the sources. What
    leads out of the folder is not opened.
    """
    root = Path(os.path.realpath(folder))
    for name in images:
        suffixes = [""] if PurePosixPath(name).suffix.lower() in SUFFIXES else ["", *sorted(SUFFIXES)]
        for place, suffix in product((root / name, root / "data" / name), suffixes):
            with contextlib.suppress(OSError, ValueError):  # a name may be too long, or hold what no path can
                file = Path(os.path.realpath(f"{place}{suffix}"))
                if file.is_relative_to(root) and file.is_file() and file.stat().st_size <= LARGEST_FILE:
                    return hashlib.sha256(file.read_bytes()).hexdigest()[:20]
    return ""


def parts_of(path: str) -> Parts:
    """Return the parts of a path, whichever way its slashes lean.

    >>> parts_of("C:\\\\pets\\\\cat\\\\1.jpg"), parts_of("./cat/1.jpg")
    (('C:', 'pets', 'cat', '1.jpg'), ('cat', '1.jpg'))
    """
    return tuple(part for part in path.replace("\\", "/").split("/") if part not in ("", ".", ".."))


def spellings(image: str) -> list[str]:
    """Return the paths that ``image`` may mean: as it is, out of an address, and without an upload's prefix.

    >>> spellings("/data/local-files/?d=pets/my%20cat.jpg")[1:]
    ['pets/my cat.jpg']
    >>> spellings("/data/upload/1/8f3a1b2c-cat.12.jpg")[1:]
    ['cat.12.jpg']
    """
    found = [image]
    try:
        address = urlsplit(image)
        local = parse_qs(address.query).get("d", [""])[0]
    except ValueError:  # as in http://[
        return found
    found.append(local or unquote(address.path))
    name = found[-1].replace("\\", "/").rsplit("/", 1)[-1]
    if UPLOADED.match(name):
        found.append(UPLOADED.sub("", name))  # without its folder, which is the upload's
    return list(dict.fromkeys(filter(None, found)))
