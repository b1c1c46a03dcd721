"""Imports another tool's file as votes: all of them or, when one row is invalid, none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from curate.exchange.check import Checked, Reading, Said, check_rows, describe_faults, expect_rename
from curate.exchange.formats import READERS, detect_format
from curate.exchange.match import SampleFinder
from curate.exchange.rows import read_text
from curate.images.samples import Scan, read_scan, read_sources
from curate.log.proposals import read_proposals
from curate.log.votes import Vote, append_votes, read_votes
from curate.spec.model import Spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder


@dataclass(frozen=True)
class Imported:
    """What an import did: the format read, the votes that are new, what became of the other rows.

    `relabelled` counts the samples whose given label is another one now.
    """

    format: str
    votes: list[Vote]
    checked: Checked
    relabelled: int

    @property
    def known(self) -> int:
        """How many votes of the file were there before."""
        return self.checked.known + len(self.checked.votes) - len(self.votes)


def import_votes(
    dataset: DatasetFolder, spec: Spec, path: Path, form: str = "", voter: str = "",
    rename: Mapping[str, str] | None = None, skip_bad: bool = False,
) -> Imported:  # fmt: skip
    """Add the labels in ``path`` to votes.jsonl and return what was added; importing twice adds nothing.

    Parameters
    ----------
    form
        One of ``formats.READERS``; '' tells it from the content.
    voter
        Who gave all labels of people in the file, instead of those it names; the format is added to a bare name.
    rename
        What the file calls a class -> its name here.
    skip_bad
        Import what can be read although other rows cannot.

    Raises
    ------
    Problem
        When there was no scan yet, the file is of no known format, or rows cannot stand: a class or a sample that is
        not known, two labels of one voter at one time, a share or time that is none. Nothing is written then.
    """
    if form and form not in READERS:
        raise Problem(f"Expected a format ({', '.join(READERS)}), found {form!r}.")
    classes = tuple(spec.class_names)
    renamed = expect_rename(rename or {}, classes)
    text = read_text(path)
    form = form or detect_format(text, path)
    before = read_scan(dataset)
    named = _full_name(voter, form) if voter else ""
    reading = Reading(classes, renamed, named, _full_name(_stem(path), form), f"import:{form}")
    checked = check_rows(READERS[form](text, path), SampleFinder(before, path.parent), reading, _held(dataset))
    if checked.faults and not skip_bad:
        raise Problem(_refusal(path, checked))
    written = append_votes(dataset.votes, checked.votes)
    return Imported(form, written, checked, _count_relabelled(before, read_scan(dataset)))


def _count_relabelled(before: Scan, after: Scan) -> int:
    given = [one.samples.set_index("sample_id")["given_label"] for one in (before, after)]
    return int(given[0].ne(given[1]).sum())


def _full_name(name: str, form: str) -> str:
    """Return a voter's full name: where it came from and who it is.

    >>> _full_name("ann", "csv"), _full_name("app:bob", "csv")
    ('csv:ann', 'app:bob')
    """
    full = name if ":" in name else f"{form}:{name}"
    try:
        return Vote(sample_id="0" * 20, label="", voter=full).voter
    except ValueError:
        raise Problem(f"Expected a voter's name, one line of printable text, found {name[:60]!r}.") from None


def _stem(path: Path) -> str:
    return "".join(letter for letter in path.stem if letter.isprintable()).strip()[:100] or "file"


def _held(dataset: DatasetFolder) -> frozenset[Said]:
    """Return what is said already outside the log: coming back from an export, it is nothing new."""
    log = read_votes(dataset.votes)
    said_since = set(zip(log["sample_id"], log["voter"], strict=True))
    rows = [
        one
        for table in (read_sources(dataset).votes, read_proposals(dataset))
        for one in zip(table["sample_id"], table["voter"], table["label"], table["share"], strict=True)
    ]
    return frozenset(one for one in rows if one[:2] not in said_since)


def _refusal(path: Path, checked: Checked) -> str:
    others = f" ({len(checked.votes):,} others could be: `--skip-bad`)" if checked.votes else ""
    faults = describe_faults(checked.faults)
    return f"{path}: {len(checked.faults):,} rows cannot be imported, so nothing was{others}.\n{faults}"
