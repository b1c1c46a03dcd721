"""Samples to train, val and test: near copies together, old samples where they were, shares met class by class.

Each sample may *claim* a place: the locked test set, a pin of the spec, the split its source states, where an earlier
version or ``dataset.lock`` had it, in this order. A group goes to the strictest claim of its members: who was tested on
must never be trained on. Groups that claim nothing are new. They are taken in the order of a keyed hash of their
smallest sample id and fill what each class lacks of test, then of val; the rest is train. So the hash decides who, the
shares decide how many, and neither the order of arrival nor the machine matters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import pandas as pd

from curate.spec.model import Split
from curate.storage.tables import SPLITS
from curate.versions.claims import Claim, History, claim_places, column_or, fall, position, strictest

NEED = ("train", "test", "val")  # what a class can least do without comes first
PLACES = ["sample_id", "group_id", "split", "rule", "by", "position", "claim"]
# Who may come to a new place in test: anybody; who the hash puts there; nobody.
LIMITS = ANY, HASHED, NEVER = "any", "hashed", "never"


@dataclass(frozen=True)
class Assignment:
    """`split` by sample_id, `pins` for the lock, `moved` samples with the reason, and why each is where it is.

    `places` has the columns ``PLACES``. `rule` is what decided: locked, pinned, given, before, lock, hash (new, and
    where the hash falls), share (new, moved from there to meet the shares) or needed (new, and its class had none
    there). `by` is the sample whose claim it was, '' for new ones; `position` is the hash of its group, 0..1; `claim`
    is the split that the sample claims for itself, '' for none.
    """

    split: pd.Series
    pins: dict[str, str]
    moved: dict[str, str]
    places: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=PLACES))


class _Group(NamedTuple):
    """Near copies: their ids, sorted, and how many of each class; ``''`` is no class and not counted."""

    name: str
    members: list[str]
    labels: dict[str, int]
    position: float
    may_test: str


def assign_splits(samples: pd.DataFrame, recipe: Split, history: History | None = None) -> Assignment:
    """Return the split of every sample.

    Parameters
    ----------
    samples
        Columns ``sample_id, group_id, label, given_split``; label '' for samples that no class needs. Optional:
        ``pinned`` (the split the spec pins it to, or ''), ``may_test`` (any, hashed or never: whether a sample whose
        label a machine made may come to test) and ``path`` (for the sentences).

    Without a version on disk the lock alone cannot tell new samples from old ones that lie where the hash falls. Then
    all of these stay there, and shares are not corrected: an old sample could be moved.
    """
    history = history or History()
    groups = _gather_groups(samples, recipe)
    claims = claim_places(samples, recipe, history)
    placed = {name: strictest(group.members, claims) for name, group in groups.items()}
    free = {name: group for name, group in groups.items() if name not in placed or placed[name] is None}
    hashed = {name: _hash_place(group, recipe, history.exam is not None) for name, group in groups.items()}
    final = {name: claim for name, claim in placed.items() if claim is not None}
    final.update({name: Claim(hashed[name], "hash") for name in free})
    if history.pins is None or history.old is not None:
        counted = {name: group for name, group in free.items() if group.labels}
        _share_out(final, counted, groups, recipe, history.exam is not None)
    for name in free:
        if final[name].rule == "share" and final[name].split == hashed[name]:
            final[name] = Claim(hashed[name], "hash")
    return _assignment(samples, groups, final, claims, history, recipe)


def _gather_groups(samples: pd.DataFrame, recipe: Split) -> dict[str, _Group]:
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
        name: _Group(
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


def _hash_place(group: _Group, recipe: Split, is_locked: bool) -> str:
    place = fall(group.position, recipe)
    return "train" if place == "test" and (is_locked or group.may_test == NEVER) else place


def _share_out(
    final: dict[str, Claim], free: Mapping[str, _Group], groups: Mapping[str, _Group], recipe: Split, is_locked: bool
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
    groups: Mapping[str, _Group], recipe: Split, split: str, final: Mapping[str, Claim], is_locked: bool
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
    movable: Mapping[str, _Group],
    groups: Mapping[str, _Group],
    recipe: Split,
    is_locked: bool,
) -> None:
    """Give a class without any train, test or val sample the smallest new group of it that can be spared elsewhere."""
    held: dict[tuple[str, str], set[str]] = {}  # split, class -> groups
    of_class: dict[str, list[_Group]] = {}  # class -> the groups that may go elsewhere
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


def _can_spare(
    group: _Group, wanted: str, final: Mapping[str, Claim], held: Mapping[tuple[str, str], set[str]]
) -> bool:
    """Return whether ``group`` may go to ``wanted``: only what is needed less there is left without a class."""
    where = final[group.name].split
    is_lesser = NEED.index(where) > NEED.index(wanted)
    emptied = any(len(held[where, label]) == 1 for label in group.labels)
    return where != wanted and (is_lesser or not emptied)


def _distance(group: _Group, wanted: str) -> float:
    return -group.position if wanted == "train" else group.position


def _assignment(
    samples: pd.DataFrame,
    groups: Mapping[str, _Group],
    final: Mapping[str, Claim],
    claims: Mapping[str, Claim],
    history: History,
    recipe: Split,
) -> Assignment:
    rows = sorted((one, name) for name, group in groups.items() for one in group.members)
    nothing = Claim("", "")
    decided = [(one, name, final[name], groups[name].position, claims.get(one, nothing)) for one, name in rows]
    places = pd.DataFrame(
        [(one, name, at.split, at.rule, at.by, where, own.split) for one, name, at, where, own in decided],
        columns=PLACES,
    )
    split = pd.Series({one: final[name].split for one, name in rows}, dtype="str")
    pins = _pins(groups, final, claims, recipe)
    if recipe.locked:  # the lock alone then says what the test set is
        pins = dict(sorted({**pins, **{one: "test" for one, where in split.items() if where == "test"}}.items()))
    return Assignment(split, pins, _moves(samples, final, claims, history, recipe), places)


def _pins(
    groups: Mapping[str, _Group], final: Mapping[str, Claim], claims: Mapping[str, Claim], recipe: Split
) -> dict[str, str]:
    """Return the places that neither the hash nor the statements of spec and sources would give again."""
    pins = {}
    for name, group in groups.items():
        stated = {one: claims[one] for one in group.members if one in claims and claims[one].rule in STATED}
        again = strictest(group.members, stated)
        place = again.split if again else fall(group.position, recipe)
        if place != final[name].split:
            pins.update({one: final[name].split for one in group.members if one not in stated})
    return dict(sorted(pins.items()))


STATED = ("pinned", "given")


def _moves(
    samples: pd.DataFrame,
    final: Mapping[str, Claim],
    claims: Mapping[str, Claim],
    history: History,
    recipe: Split,
) -> dict[str, str]:
    """Return a sentence for each sample that is not where it was before, or not where it was stated to be."""
    name_of = dict(zip(column_or(samples, "sample_id"), column_or(samples, "path"), strict=True))
    old, moved = history.old or history.pins or {}, {}
    columns = (column_or(samples, name) for name in ("sample_id", "group_id", "pinned", "given_split"))
    for one, group, pinned, given in sorted(zip(*columns, strict=True)):
        stated = pinned or (given if recipe.use_given and given in SPLITS else "")
        claim, place = claims.get(one), final[group]
        before = old.get(one) if stated in ("", place.split) else stated
        if before and before != place.split:
            why = _why_moved(claim, place, stated, name_of.get(place.by) or place.by)
            moved[one] = f"{before} -> {place.split}: {why}"
    return moved


def _why_moved(claim: Claim | None, place: Claim, stated: str, copy: str) -> str:
    if claim is None or claim.split != place.split:
        return f"its near copy {copy} is in {place.split}"
    if claim.rule == "locked":
        return "the test set is locked" + (", so it is held out in val" if place.split == "val" else "")
    return f"{'dataset.yaml' if claim.rule == 'pinned' else 'its source'} states {stated} now"
