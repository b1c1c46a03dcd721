"""Assigns new groups of near copies to splits, so that each class has its share in each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

from curate.spec.model import Split
from curate.versions.claims import Claim, column_or, position

NEED = ("train", "test", "val")  # what a class can least do without comes first
# Who may come to a new place in test: anybody; who the hash puts there; nobody.
LIMITS = ANY, HASHED, NEVER = "any", "hashed", "never"


class Group(NamedTuple):
    """Near copies: their ids, sorted, and how many of each class; ``''`` is no class and not counted."""

    name: str
    members: list[str]
    labels: dict[str, int]
    position: float
    may_test: str


def gather_groups(samples: pd.DataFrame, recipe: Split) -> dict[str, Group]:
    """Return the groups of near copies by their name; see ``split.assign_splits`` for the columns of ``samples``."""
    label = dict(zip(column_or(samples, "sample_id"), column_or(samples, "label"), strict=True))
    limited = {
        one: limit
        for one, limit in zip(column_or(samples, "sample_id"), column_or(samples, "may_test", ANY), strict=True)
        if limit != ANY
    }
    members: dict[str, list[str]] = {}
    for name, one in sorted(zip(column_or(samples, "group_id"), column_or(samples, "sample_id"), strict=True)):
        members.setdefault(name, []).append(one)
    return {
        name: Group(
            name,
            ids,
            _count_labels(ids, label),
            position(ids[0], recipe.seed),
            max((limited[one] for one in ids if one in limited), key=LIMITS.index, default=ANY),
        )
        for name, ids in members.items()
    }


def _count_labels(ids: list[str], label: Mapping[str, str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in ids:
        if label[one]:
            counts[label[one]] = counts.get(label[one], 0) + 1
    return counts


def stratify_groups(
    final: dict[str, Claim], free: Mapping[str, Group], groups: Mapping[str, Group], recipe: Split, is_locked: bool
) -> None:
    """Give each of the ``free`` groups its place: test where its classes lack that, else val, else train.

    A group is taken where it brings the counts of its classes nearer to what is wanted (by their squares), so that each
    is met to within half of a group. A label that a machine made fills no test split: such groups stay where the hash
    puts them, and no test samples are wanted for them.
    """
    movable = {name: group for name, group in free.items() if group.may_test == ANY}
    lacking = {split: _wanted(groups, recipe, split, final, is_locked) for split in ("test", "val")}
    for name, group in groups.items():
        if name not in movable and final[name].split in lacking:
            _take(lacking[final[name].split], group.labels)
    for name in sorted(movable, key=lambda name: (movable[name].position, name)):
        labels = movable[name].labels
        where = next((split for split, lacks in lacking.items() if _gain(labels, lacks) > 0), "train")
        final[name] = Claim(where, "share")
        if where in lacking:
            _take(lacking[where], labels)
    _fill_needed(final, movable, groups, recipe, is_locked)


def _wanted(
    groups: Mapping[str, Group], recipe: Split, split: str, final: Mapping[str, Claim], is_locked: bool
) -> dict[str, float]:
    """Return how many samples of each class ``split`` is to have: its share, but one where there are groups enough."""
    share, least = (recipe.test, 2) if split == "test" else (recipe.val, 3)
    if not share or (split == "test" and is_locked):
        return {}
    sizes: dict[str, int] = {}
    places: dict[str, int] = {}
    for name, group in groups.items():
        if split == "val" or group.may_test == ANY or final[name].split == "test":
            for label, size in group.labels.items():
                sizes[label] = sizes.get(label, 0) + size
                places[label] = places.get(label, 0) + 1
    return {label: max(share * size, float(places[label] >= least)) for label, size in sizes.items()}


def _take(lacking: dict[str, float], labels: Mapping[str, int]) -> None:
    for label, size in labels.items():
        lacking[label] = lacking.get(label, 0.0) - size


def _gain(labels: Mapping[str, int], lacking: Mapping[str, float]) -> float:
    """Return how much nearer the counts come, by their squares: ``sum of d^2 - (d - s)^2`` over the classes."""
    return round(sum(size * (2 * lacking.get(label, 0.0) - size) for label, size in labels.items()), 6)


def _fill_needed(
    final: dict[str, Claim],
    movable: Mapping[str, Group],
    groups: Mapping[str, Group],
    recipe: Split,
    is_locked: bool,
) -> None:
    """Give a class without any train, test or val sample the smallest new group of it that can be spared elsewhere."""
    held: dict[tuple[str, str], set[str]] = {}  # split, class -> groups
    of_class: dict[str, list[Group]] = {}  # class -> the groups that may go elsewhere
    for name, group in groups.items():
        for label in group.labels:
            held.setdefault((final[name].split, label), set()).add(name)
            if name in movable:
                of_class.setdefault(label, []).append(group)
    ratios = {"train": recipe.train, "test": 0.0 if is_locked else recipe.test, "val": recipe.val}
    for label in sorted(of_class):
        for wanted in NEED:
            if not ratios[wanted] or held.get((wanted, label)):
                continue
            spare = [one for one in of_class[label] if _can_spare(one, wanted, final, held)]
            if spare:
                chosen = min(spare, key=lambda one: (len(one.members), _distance(one, wanted), one.name))
                for other in chosen.labels:
                    held[final[chosen.name].split, other].discard(chosen.name)
                    held.setdefault((wanted, other), set()).add(chosen.name)
                final[chosen.name] = Claim(wanted, "needed")


def _can_spare(group: Group, wanted: str, final: Mapping[str, Claim], held: Mapping[tuple[str, str], set[str]]) -> bool:
    """Return whether ``group`` may go to ``wanted``: only what is needed less there is left without a class."""
    where = final[group.name].split
    is_lesser = NEED.index(where) > NEED.index(wanted)
    emptied = any(len(held[where, label]) == 1 for label in group.labels)
    return where != wanted and (is_lesser or not emptied)


def _distance(group: Group, wanted: str) -> float:
    return -group.position if wanted == "train" else group.position
