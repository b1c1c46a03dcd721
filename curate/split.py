"""Samples to train, val and test: near copies together, old samples where they were, shares met by a keyed hash.

A group's place is the hash of its smallest sample id, so it depends on nothing but the content and the spec's seed.
Where history must win over the hash (a group grew, a class had no test sample) ``dataset.lock`` pins the place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from curate.spec import Split
from curate.tables import SPLITS

STRICTEST = ("test", "val", "train")  # who was tested on must never be trained on


@dataclass(frozen=True)
class Assignment:
    """`split` by sample_id, `pins` where it is not what the hash says, `moved` samples with the reason."""

    split: pd.Series
    pins: dict[str, str]
    moved: dict[str, str]


def assign_splits(
    samples: pd.DataFrame, recipe: Split, pins: Mapping[str, str] | None = None, old: Mapping[str, str] | None = None
) -> Assignment:
    """Return the split of every sample.

    Parameters
    ----------
    samples
        Columns ``sample_id, group_id, label, given_split``; label '' for samples that no class needs.
    pins, old
        Splits by sample_id, from ``dataset.lock`` and from the version before.

    A group goes where its source says, else where its oldest members were, else where the lock says, else where the
    hash falls. Of several claims the strictest wins: test, then val, then train.
    """
    groups: dict[str, list[str]] = {}
    for name, one in sorted(zip(samples["group_id"], samples["sample_id"], strict=True)):
        groups.setdefault(name, []).append(one)
    given = _given(samples) if recipe.use_given else {}
    hashed = {name: hash_split(min(members), recipe) for name, members in groups.items()}
    claims = (given, old or {}, pins or {})
    claimed = {name: _claim(members, claims) for name, members in groups.items()}
    placed = {name: claimed[name] or hashed[name] for name in groups}
    free = {name for name in groups if not claimed[name]}
    _fill_empty(placed, free, groups, samples, recipe)
    split = pd.Series({one: placed[name] for name, members in groups.items() for one in members}, dtype="str")
    group_of = dict(zip(samples["sample_id"], samples["group_id"], strict=True))
    kept = {one: where for one, where in split.items() if where != hashed[group_of[one]] and one not in given}
    return Assignment(split.sort_index(), kept, _moves(split, given, old or {}))


def hash_split(key: str, recipe: Split) -> str:
    """Return where the keyed hash of ``key`` falls: uniform in [0, 1), test first, then val, then train."""
    place = position(key, recipe.seed)
    return "test" if place < recipe.test else "val" if place < recipe.test + recipe.val else "train"


def position(key: str, seed: int) -> float:
    """Return a number in [0, 1) that depends on nothing but ``key`` and ``seed``."""
    digest = hashlib.sha256(f"split:{seed}:{key}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def _given(samples: pd.DataFrame) -> dict[str, str]:
    rows = samples[samples["given_split"].isin(SPLITS)]
    return dict(zip(rows["sample_id"], rows["given_split"], strict=True))


def _claim(members: list[str], claims: tuple[Mapping[str, str], ...]) -> str:
    for claim in claims:
        places = {claim[one] for one in members if one in claim}
        if places:
            return min(places, key=STRICTEST.index)
    return ""


def _fill_empty(
    placed: dict[str, str], free: set[str], groups: dict[str, list[str]], samples: pd.DataFrame, recipe: Split
) -> None:
    """Let a class that the hash left without any train, test or val sample have one, in this order of need.

    It is the group whose hash came nearest. Only groups that nothing claims move, and only a lesser need is emptied:
    a class that nothing can be learned of is no use in the others.
    """
    shares = {"train": recipe.train, "test": recipe.test, "val": recipe.val}
    for _, rows in samples[samples["label"] != ""].groupby("label", sort=True):
        names = sorted(set(rows["group_id"]), key=lambda name: position(min(groups[name]), recipe.seed))
        for wanted, share in shares.items():
            places = [placed[name] for name in names]
            lesser = {"train": ("val", "test"), "test": ("val",), "val": ()}[wanted]
            donors = [
                name for name in names if name in free and (places.count(placed[name]) > 1 or placed[name] in lesser)
            ]
            if share and donors and wanted not in places:
                placed[donors[-1 if wanted == "train" else 0]] = wanted


def _moves(split: pd.Series, given: Mapping[str, str], old: Mapping[str, str]) -> dict[str, str]:
    moved = {}
    for one, where in split.items():
        before = given.get(one) or old.get(one)
        if before and before != where:
            moved[one] = f"{before} -> {where}: a near copy of it is in {where}"
    return moved
