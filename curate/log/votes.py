"""Reads and appends to the log of labels given outside the sources: by people in other tools, by models.

``votes.jsonl`` holds one JSON object a line and only grows. The latest vote of a voter on a sample is what they say; a
vote without a label takes the one before back. The scan joins the log with what the sources state.
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from operator import attrgetter
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, field_validator

from curate.log.events import append_events, read_events, rising_times, utc_time
from curate.spec.names import ClassName
from curate.storage.tables import PROPOSERS, VOTES, empty, shaped

LONGEST_NAME = 200


class Vote(BaseModel):
    """One label that one voter gave one sample.

    `label` is a class, or '' to take the voter's last one back. `share` is how sure the voter was, 0..1. `time` is when
    it was given, UTC in ISO 8601 with microseconds ('' until it is written). `tool` is what it came through.

    >>> Vote(sample_id="0" * 20, label="cat", voter="csv:ann", time="2026-05-01T12:00:00+02:00").time
    '2026-05-01T10:00:00.000000+00:00'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sample_id: str = Field(pattern=r"^[0-9a-f]{20}$")
    label: ClassName
    voter: str
    share: float = Field(1.0, ge=0, le=1, allow_inf_nan=False)
    time: str = ""
    tool: str = ""

    @field_validator("voter")
    @classmethod
    def is_a_name(cls, voter: str) -> str:
        """Names end up in tables, terminals and digests: one line of printable text."""
        if not voter or voter != voter.strip() or not voter.isprintable() or len(voter) > LONGEST_NAME:
            raise ValueError(f"a voter's name is 1 to {LONGEST_NAME} printable characters, not {voter[:60]!r}")
        return voter

    @field_validator("time")
    @classmethod
    def is_in_utc(cls, time: str) -> str:
        """Let any ISO 8601 time stand for itself in UTC; one without a zone is taken as UTC."""
        return utc_time(time) if time else ""


def read_votes(path: Path) -> pd.DataFrame:
    """Return what the voters of the log say now, with the columns of ``tables.VOTES``, sorted; ``path`` is ''.

    That is the latest vote of each on each sample, unless it takes the one before back. No file gives no rows.

    Raises
    ------
    Problem
        When a line is not a vote; the sentence names file and line.
    """
    if not path.is_file():
        return empty(VOTES)
    state = path.stat()
    return _said(path, (state.st_ino, state.st_size, state.st_mtime_ns)).copy()


@lru_cache(maxsize=4)  # one command reads the log several times
def _said(path: Path, state: tuple[int, ...]) -> pd.DataFrame:
    said = {(vote.sample_id, vote.voter): vote for vote in _in_order(read_events(path, Vote).values())}
    rows = [(one.sample_id, one.label, one.voter, "", one.share, one.time) for one in said.values() if one.label]
    return shaped(pd.DataFrame(sorted(rows), columns=list(VOTES)), VOTES)


def append_votes(path: Path, votes: Iterable[Vote]) -> list[Vote]:
    """Add ``votes`` to the log and return those that were written; on disk when this returns.

    What is there already is not written again: a vote with a time if just that is there, one without if the voter says
    the same now. A vote without a time gets one later than all in the log.
    """
    given = list(votes)
    return append_events(path, Vote, lambda events: select_new(events.values(), given)) if given else []


def withdraw_votes(path: Path, voter: str) -> list[Vote]:
    """Take back all that ``voter`` says in the log, by votes without a label, and return these."""
    said = read_votes(path)
    mine = said.loc[said["voter"] == voter, "sample_id"]
    return append_votes(path, [Vote(sample_id=one, label="", voter=voter, tool="votes") for one in mine])


def list_voters(votes: pd.DataFrame) -> pd.DataFrame:
    """Return one row a voter: ``voter, votes, samples, labels`` (how often each), ``last`` (time), most votes first.

    >>> votes = pd.DataFrame([("a", "cat", "csv:ann", "", 1.0, "")], columns=list(VOTES))
    >>> list_voters(votes)[["voter", "labels"]].values.tolist()
    [['csv:ann', 'cat 1']]
    """
    groups = votes.groupby("voter", sort=True)
    table = groups.agg(votes=("label", "size"), samples=("sample_id", "nunique"), last=("time", "max")).reset_index()
    labels = {voter: ", ".join(f"{name} {count}" for name, count in rows.items()) for voter, rows in _tallies(votes)}
    table.insert(3, "labels", table["voter"].map(labels))
    return table.sort_values(["votes", "voter"], ascending=[False, True], ignore_index=True)


def _tallies(votes: pd.DataFrame) -> Iterator[tuple[str, pd.Series]]:
    for voter, rows in votes.groupby("voter", sort=True):
        yield str(voter), rows["label"].value_counts().sort_index()


def by_people(votes: pd.DataFrame) -> pd.DataFrame:
    """Return the votes that people gave: not those of models, prototypes and rules."""
    return votes[~votes["voter"].str.startswith(PROPOSERS)]


def select_new(held: Iterable[Vote], votes: Sequence[Vote]) -> list[Vote]:
    """Return those of ``votes`` that say something new beside the votes ``held``, each with a time."""
    said: defaultdict[tuple[str, str], list[Vote]] = defaultdict(list)
    latest = ""
    for vote in _in_order(held):
        said[vote.sample_id, vote.voter].append(vote)
        latest = max(latest, vote.time)
    new = []
    for vote, now in zip(votes, rising_times(len(votes), latest), strict=True):
        before = said[vote.sample_id, vote.voter]
        if is_said(vote, before):
            continue
        # What was taken back and is said again is said now, or its old time would leave it taken back.
        is_again = bool(before) and not before[-1].label
        dated = vote.model_copy(update={"time": now}) if is_again or not vote.time else vote
        insort(before, dated, key=attrgetter("time"))
        new.append(dated)
    return new


def is_said(vote: Vote, before: Sequence[Vote]) -> bool:
    """Return whether ``vote`` is no news after the same voter's votes ``before`` (in order of time).

    One with a time is no news only if just that is there: said again later, it outlives what was said in between.
    """
    if not before or not before[-1].label:
        return not vote.label
    same = [one for one in before if (one.label, one.share) == (vote.label, vote.share)]
    return any(one.time == vote.time for one in same) if vote.time else before[-1] in same


def _in_order(votes: Iterable[Vote]) -> list[Vote]:
    """Order by time; of one time, the line that comes later in the log."""
    return sorted(votes, key=attrgetter("time"))
