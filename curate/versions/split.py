"""Splits samples into train, val and test: near copies together, old samples in place, shares met by class.

Each sample may *claim* a place: the locked test set, a pin of the spec, the split its source states, where an earlier
version or ``dataset.lock`` had it, in this order. A group goes to the strictest claim of its members: who was tested on
must never be trained on. Groups that claim nothing are new. They are taken in the order of a keyed hash of their
smallest sample id and fill what each class lacks of test, then of val; the rest is train. So the hash decides who, the
shares decide how many, and neither the order of arrival nor the machine matters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from curate.spec.model import Split
from curate.storage.tables import SPLITS
from curate.versions.claims import Claim, History, claim_places, column_or, fall, strictest
from curate.versions.stratify import NEVER, Group, gather_groups, stratify_groups

PLACES = ["sample_id", "group_id", "split", "rule", "by", "position", "claim"]


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
    groups = gather_groups(samples, recipe)
    claims = claim_places(samples, recipe, history)
    placed = {name: strictest(group.members, claims) for name, group in groups.items()}
    free = {name: group for name, group in groups.items() if name not in placed or placed[name] is None}
    hashed = {name: _hash_place(group, recipe, history.exam is not None) for name, group in groups.items()}
    final = {name: claim for name, claim in placed.items() if claim is not None}
    final.update({name: Claim(hashed[name], "hash") for name in free})
    if history.pins is None or history.old is not None:
        counted = {name: group for name, group in free.items() if group.labels}
        stratify_groups(final, counted, groups, recipe, history.exam is not None)
    for name in free:
        if final[name].rule == "share" and final[name].split == hashed[name]:
            final[name] = Claim(hashed[name], "hash")
    return _assignment(samples, groups, final, claims, history, recipe)


def _hash_place(group: Group, recipe: Split, is_locked: bool) -> str:
    place = fall(group.position, recipe)
    return "train" if place == "test" and (is_locked or group.may_test == NEVER) else place


def _assignment(
    samples: pd.DataFrame,
    groups: Mapping[str, Group],
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
    groups: Mapping[str, Group], final: Mapping[str, Claim], claims: Mapping[str, Claim], recipe: Split
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
