"""Plans which file of the demo gets which fault, as a table that is made before anything is drawn."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np

from curate.demo.scene import SPECIES
from curate.storage.files import Problem

LEAST_SAMPLES = 40
# fault -> (share of all files, least number); "none" fills up. The last eleven are formats that a decoder must
# handle, and shapes that an audit should point out.
SHARES: dict[str, tuple[float, int]] = {
    "label_error": (0.06, 2),
    "byte_copy": (0.015, 1),
    "near_copy": (0.04, 2),
    "label_conflict": (0.004, 2),
    "dark": (0.01, 1),
    "blurry": (0.01, 1),
    "blank": (0.007, 1),
    "unreadable": (0.01, 3),
    "off_topic": (0.01, 1),
    "exif": (0.005, 1),
    "cmyk": (0.0035, 1),
    "sixteen_bit": (0.0035, 1),
    "palette": (0.0035, 1),
    "animated": (0.0035, 1),
    "alpha": (0.0035, 1),
    "grayscale": (0.0035, 1),
    "odd_size": (0.0035, 1),
    "odd_aspect_ratio": (0.0035, 1),
}
DETAILS: dict[str, tuple[str, ...]] = {
    "near_copy": ("reencoded", "resized", "cropped", "mirrored"),
    "label_conflict": ("byte_copy", "near_copy"),
    "unreadable": ("truncated", "not_an_image", "empty"),
    "palette": ("png", "gif"),
}
COPIES = ("byte_copy", "near_copy", "label_conflict")
NOTHING_SEEN = ("blank", "unreadable", "off_topic")
SUFFIXES = {"sixteen_bit": ".png", "alpha": ".png", "animated": ".gif"}


@dataclass(frozen=True)
class Planted:
    """One file of the demo: the columns of ``truth.csv``, then what to draw.

    ``drawing`` numbers the drawing, and with the seed decides it; a copy has its original's number. ``own`` numbers
    the file itself.
    """

    path: str
    given_label: str
    true_label: str
    fault: str
    detail: str
    of: str
    species: str
    drawing: int
    own: int


def plan_demo(samples: int, seed: int) -> list[Planted]:
    """Return ``samples`` planned files, sorted by number; the same for the same arguments.

    Raises
    ------
    Problem
        When ``samples`` is too small to hold one fault of each kind.
    """
    if samples < LEAST_SAMPLES:
        raise Problem(
            f"Expected at least {LEAST_SAMPLES} samples, so that each fault is planted once, found {samples}. "
            f"Ask for {LEAST_SAMPLES} or more."
        )
    rng = np.random.default_rng((seed, 0))
    faults = [fault for fault, (share, least) in SHARES.items() for _ in range(max(least, round(share * samples)))]
    faults += ["none"] * (samples - len(faults))
    rng.shuffle(faults)
    turns = {fault: itertools.cycle(details) for fault, details in DETAILS.items()}
    rows = [
        plan_file(number, fault, next(turns[fault]) if fault in turns else "", SPECIES[rng.integers(2)])
        for number, fault in enumerate(faults)
    ]
    # Each original is copied once at most, so that a copy is never a copy of a copy.
    originals = iter(rng.permutation([row.own for row in rows if row.fault == "none"]).tolist())
    return [planned_copy(row, rows[next(originals)]) if row.fault in COPIES else row for row in rows]


def plan_file(number: int, fault: str, detail: str, species: str) -> Planted:
    """Return the plan of a file that is no copy."""
    folder = species if fault != "label_error" else _other(species)
    suffix = f".{detail}" if fault == "palette" else SUFFIXES.get(fault, ".jpg")
    return Planted(
        path=f"{folder}/{number:04d}{suffix}",
        given_label=folder,
        true_label="" if fault in NOTHING_SEEN else species,
        fault=fault,
        detail=f"a {species} under {folder}" if fault == "label_error" else detail,
        of="",
        species=species,
        drawing=number,
        own=number,
    )


def planned_copy(row: Planted, original: Planted) -> Planted:
    """Return ``row`` as a copy of ``original``, in the other class's folder if it is a label conflict."""
    folder = original.given_label if row.fault != "label_conflict" else _other(original.given_label)
    return replace(
        row,
        path=f"{folder}/{row.own:04d}.jpg",
        given_label=folder,
        true_label=original.true_label,
        of=original.path,
        species=original.species,
        drawing=original.drawing,
    )


def _other(species: str) -> str:
    return SPECIES[1 - SPECIES.index(species)]
