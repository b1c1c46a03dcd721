"""What another tool calls an image to the sample it is: by its id, its path, its content, or a name no other has."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from curate.images import SUFFIXES
from curate.scan import Scan
from curate.sources import LARGEST_FILE

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
        self.paths: defaultdict[str, set[str]] = defaultdict(set)
        self.names: defaultdict[str, list[tuple[Parts, str]]] = defaultdict(list)
        self.stems: defaultdict[str, list[tuple[Parts, str]]] = defaultdict(list)
        held = scan.locations[scan.locations["sample_id"].isin(self.ids)]
        for path, file, sample_id in held[["path", "file", "sample_id"]].itertuples(index=False):
            self.paths[path].add(sample_id)
            for place in dict.fromkeys((path, file)):
                pure = PurePosixPath(place.replace("\\", "/"))
                self.names[pure.name].append((parts_of(place), sample_id))
                self.stems[pure.stem].append(((*parts_of(place)[:-1], pure.stem), sample_id))

    def find(self, images: Sequence[str]) -> Match:
        """Return the sample that the first of ``images`` means that is known here."""
        if not images:
            return Match(why="it names no image")
        own = next((name for name in images if SAMPLE_ID.fullmatch(name)), "")
        if own:
            return Match(own) if own in self.ids else Match(why=f"no sample has the id {own}")
        tried = [match for name in images for match in self._each_match(name)]
        found = [match for match in tried if match.sample_id]
        sure = [match for match in found if not match.by_name]
        if not sure and self.beside and (content := identify_beside(self.beside, images)) in self.ids:
            return Match(content)
        return (sure or found or tried[::-1])[0]

    def _each_match(self, image: str) -> Iterator[Match]:
        for name in spellings(image):
            exact = self.paths.get(name, set())
            if len(exact) == 1:
                yield Match(next(iter(exact)))
            yield self._by_end(parts_of(name))

    def _by_end(self, parts: Parts) -> Match:
        """Match the ends of paths: one must be the whole end of the other, or its name be the only one of its kind."""
        shown = "/".join(parts)
        known = self.names.get(parts[-1]) or self.stems.get(parts[-1]) or [] if parts else []
        ends = {(len(held), one) for held, one in known if _is_end(held, parts) or _is_end(parts, held)}
        longest = max((length for length, _ in ends), default=0)
        whole = {one for length, one in ends if length == longest or length >= len(parts)}
        candidates = whole or {one for _, one in known}
        if len(candidates) == 1:
            return Match(candidates.pop(), by_name=min(longest, len(parts)) < 2)
        return Match(why=f"{len(candidates)} samples are called {shown}" if candidates else f"no sample is {shown}")


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


def _is_end(end: Parts, parts: Parts) -> bool:
    return parts[-len(end) :] == end


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
