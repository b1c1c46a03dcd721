"""Turns the rows of a file into votes; a row that is invalid is reported with its line."""

from __future__ import annotations

import difflib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from curate.exchange.match import Match, SampleFinder
from curate.exchange.rows import Row, brief
from curate.log.events import utc_time
from curate.log.votes import Vote
from curate.spec.names import trim_name
from curate.storage.files import Problem
from curate.storage.tables import PROPOSERS

SHOWN = 3  # faults of each kind that a sentence names
Said = tuple[str, str, str, float]  # sample_id, voter, label, share
Key = tuple[str, str, str]  # sample_id, voter, time


@dataclass(frozen=True)
class Fault:
    """A row that cannot be a vote: the kind of fault, where the row stands, and what is wrong."""

    kind: str
    place: str
    what: str


@dataclass
class Checked:
    """What became of the rows: votes, faults, duplicates within the file, and how many were left out and why.

    Of two rows in `disputed` neither is a vote; `by_name` were matched by the image's bare name; `known` are no news.
    """

    votes: list[Vote] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    duplicates: list[Fault] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    disputed: set[Key] = field(default_factory=set)
    by_name: int = 0
    known: int = 0


@dataclass(frozen=True)
class Reading:
    """How rows are read: the classes there are, what the file calls them, who votes, and through which tool."""

    classes: tuple[str, ...]
    rename: Mapping[str, str]
    voter: str  # instead of the people that the file names, '' to take those
    default_voter: str  # where the file names none
    tool: str


def check_rows(rows: Iterable[Row], finder: SampleFinder, reading: Reading, held: frozenset[Said]) -> Checked:
    """Return the votes that ``rows`` amount to and the faults among them; nothing is written.

    Parameters
    ----------
    held
        What the sources and the proposals say already.
    """
    checked = Checked()
    read = [row for row in rows if not _is_left_out(row, checked)]
    matches = {row.images: finder.find(row.images) for row in read}
    claimed = _claimed_by_several(matches)
    first: dict[Key, tuple[str, Vote]] = {}
    for row in read:
        match = matches[row.images]
        if match.by_name and match.sample_id in claimed:
            why = f"{row.images[0]} fits only by its name, and another image of the file fits the same sample"
            match = Match(why=why)
        vote = _read_vote(row, match, reading)
        if isinstance(vote, Fault):
            checked.faults.append(vote)
        elif not vote.time and (vote.sample_id, vote.voter, vote.label, vote.share) in held:
            checked.known += 1
        elif _is_first(vote, row.place, first, checked):
            checked.by_name += match.by_name
    checked.votes = [vote for _, vote in first.values() if _key(vote) not in checked.disputed]
    return checked


def _is_left_out(row: Row, checked: Checked) -> bool:
    if row.left_out:
        checked.left_out[row.left_out] += 1
    elif row.fault:
        checked.faults.append(Fault(row.kind, row.place, row.fault))
    return bool(row.left_out or row.fault)


def _claimed_by_several(matches: Mapping[tuple[str, ...], Match]) -> set[str]:
    """Return the samples that several images of the file fit: a name alone decides nothing between those."""
    counts = Counter(match.sample_id for match in matches.values() if match.sample_id)
    return {sample_id for sample_id, count in counts.items() if count > 1}


def _read_vote(row: Row, match: Match, reading: Reading) -> Vote | Fault:
    label = reading.rename.get(row.label, row.label)
    if label not in reading.classes:
        return Fault("unknown class", row.place, f"{row.label!r}{_did_you_mean(label, reading.classes)}")
    if not match.sample_id:
        return Fault("unknown sample", row.place, match.why)
    is_machine = row.voter.startswith(PROPOSERS)
    voter = (row.voter if is_machine else reading.voter or row.voter) or reading.default_voter
    try:
        share, time = _read_share(row.share), _read_time(row.time)
        return Vote(sample_id=match.sample_id, label=label, voter=voter, share=share, time=time, tool=reading.tool)
    except ValidationError as error:
        return Fault("bad value", row.place, error.errors()[0]["msg"].removeprefix("Value error, "))
    except ValueError as error:
        return Fault("bad value", row.place, str(error))


@lru_cache(maxsize=1_000)  # a file has the same unknown class on thousands of rows
def _did_you_mean(label: str, classes: tuple[str, ...]) -> str:
    folded = {name.casefold(): name for name in classes}
    near = difflib.get_close_matches(label.casefold()[:200], folded, n=1)
    return f" (did you mean {folded[near[0]]}? `--map {label}={folded[near[0]]}`)" if near else ""


def _read_share(value: Any) -> float:
    if value is None:
        return 1.0
    try:
        share = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        share = math.nan
    if not 0 <= share <= 1:
        raise ValueError(f"expected a share from 0 to 1, found {brief(value)}")
    return share


def _read_time(value: Any) -> str:
    if value is None or value == "":
        return ""
    if not isinstance(value, str | int | float):
        raise ValueError(f"expected a time as in 2026-05-01T10:00:00Z, found {brief(value)}")
    time = utc_time(str(value)[:100])
    if time > (datetime.now(timezone.utc) + timedelta(days=1)).isoformat(timespec="microseconds"):
        raise ValueError(f"expected a time that has come, found {brief(value)}")
    return time


def _is_first(vote: Vote, place: str, first: dict[Key, tuple[str, Vote]], checked: Checked) -> bool:
    """Return whether this voter has said nothing of this sample and time yet; tell a conflict from a duplicate."""
    there, before = first.setdefault(_key(vote), (place, vote))
    if before is vote:
        return True
    if before == vote:
        checked.duplicates.append(Fault("duplicate", place, f"says the same as {there}"))
    else:
        said = f"{vote.voter} says {vote.label} ({vote.share:g}), but {before.label} ({before.share:g}) in {there}"
        checked.faults.append(Fault("conflict", place, said))
        checked.disputed.add(_key(vote))
    return False


def _key(vote: Vote) -> Key:
    return vote.sample_id, vote.voter, vote.time


def describe_faults(faults: list[Fault]) -> str:
    """Return the faults in words: how many of each kind, and the first of them with their places.

    >>> print(describe_faults([Fault("unknown class", "a.csv:2", "'bird'")]))
    1 unknown class:
      a.csv:2: 'bird'
    """
    kinds: defaultdict[str, list[Fault]] = defaultdict(list)
    for fault in faults:
        kinds[fault.kind].append(fault)
    lines = []
    for kind, found in kinds.items():
        lines.append(f"{len(found):,} {kind}:")
        lines += [f"  {fault.place}: {fault.what}" for fault in found[:SHOWN]]
        lines += ["  ..."] if len(found) > SHOWN else []
    return "\n".join(lines)


def expect_rename(rename: Mapping[str, str], classes: tuple[str, ...]) -> dict[str, str]:
    """Return names that a file has for classes -> their names here, trimmed; a Problem when one is no class.

    >>> expect_rename({"Cats ": "cat"}, ("cat", "dog"))
    {'Cats': 'cat'}
    """
    trimmed = {trim_name(old): trim_name(new) for old, new in rename.items()}
    for old, new in trimmed.items():
        if not old or new not in classes:
            raise Problem(f"Expected OLD=NEW with a class ({', '.join(classes)}) on the right, found '{old}={new}'.")
    return trimmed
