"""The place in train, val or test that a sample claims by itself, and the keyed hash of a sample."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from curate.spec.model import Split
from curate.storage.tables import SPLITS

STRICTEST = ("test", "val", "train")


@dataclass(frozen=True)
class History:
    """What a build knows of those before.

    `old` are splits by sample_id from the versions, None where no version is on disk; `pins` those of ``dataset.lock``,
    None where there is none; `exam` the samples of a locked test set, None while it is open.
    """

    old: Mapping[str, str] | None = None
    pins: Mapping[str, str] | None = None
    exam: Set[str] | None = None


class Claim(NamedTuple):
    """A place, the rule that gives it, and the sample by which it does, '' for new ones; see ``Assignment``."""

    split: str
    rule: str
    by: str = ""


def hash_split(key: str, recipe: Split) -> str:
    """Return where the keyed hash of ``key`` falls: uniform in [0, 1), test first, then val, then train."""
    return fall(position(key, recipe.seed), recipe)


def fall(place: float, recipe: Split) -> str:
    """Return the split at ``place`` in [0, 1): test first, then val, then train."""
    return "test" if place < recipe.test else "val" if place < recipe.test + recipe.val else "train"


def position(key: str, seed: int) -> float:
    """Return a number in [0, 1) that depends on nothing but ``key`` and ``seed``."""
    digest = hashlib.sha256(f"split:{seed}:{key}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def column_or(samples: pd.DataFrame, name: str, otherwise: str = "") -> list[str]:
    """Return a column as a list; ``otherwise`` for each row where the table has no such column."""
    return samples[name].tolist() if name in samples else [otherwise] * len(samples)


def claim_places(samples: pd.DataFrame, recipe: Split, history: History) -> dict[str, Claim]:
    """Return the place that each sample claims for itself, whatever its copies claim; new ones claim none."""
    exam, old, pins = history.exam, history.old or {}, history.pins or {}
    claims = {}
    columns = (column_or(samples, name) for name in ("sample_id", "pinned", "given_split"))
    for one, pinned, given in zip(*columns, strict=True):
        stated = given if recipe.use_given and given in SPLITS else ""
        if exam is not None and one in exam:
            claims[one] = Claim("test", "locked", one)
        elif split := pinned or stated or old.get(one) or pins.get(one):
            rule = "pinned" if pinned else "given" if stated else "before" if old.get(one) else "lock"
            # Stated to be in a locked test set, it is held out, but not of the exam.
            held_out = split == "test" and exam is not None
            claims[one] = Claim("val", "locked", one) if held_out else Claim(split, rule, one)
    return claims


def strictest(members: list[str], claims: Mapping[str, Claim]) -> Claim | None:
    """Return the claim of ``members`` that is furthest from training: test before val before train; None without."""
    made = [claims[one] for one in members if one in claims]
    return min(made, key=lambda claim: STRICTEST.index(claim.split)) if len(made) > 1 else made[0] if made else None
