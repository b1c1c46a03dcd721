"""Computes properties that are independent of what an image shows: light, size, format, folder, backdrop, marks.

Shortcuts are looked for among them, and weak slices are named by them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from curate.audit.detectors.patches import PLACES
from curate.audit.evidence.evidence import Evidence

MOST_VALUES = 200  # of a category; a column with more different ones names samples
FEWEST_OF_VALUE = 5  # samples; rarer values are not looked at


@dataclass(frozen=True)
class Property:
    """One number or text a sample.

    Parameters
    ----------
    name
        As a person calls it: ``brightest pixels``.
    values
        ``(N,)`` float64 with NaN for unknown, or text with '' for unknown.
    above, below
        What is said of samples on each side of a bound; ``{}`` is the bound. Of text, ``above`` is said of samples that
        have one of the values. Without ``below`` only large numbers mean something.
    shown
        The format of a bound.
    """

    name: str
    values: np.ndarray
    above: str
    below: str = ""
    shown: str = "{:.2f}"

    @property
    def is_text(self) -> bool:
        return self.values.dtype == object


# column or (name, function of the samples) -> above, below, format of a bound
NUMBERS: dict[str, tuple[str, Callable[[pd.DataFrame], pd.Series], str, str, str]] = {
    "brightness_p99": (
        "brightest pixels",
        lambda samples: samples["brightness_p99"],
        "have pixels above {} of white",
        "have hardly a pixel above {} of white",
        "{:.0%}",
    ),
    "brightness_p05": (
        "darkest pixels",
        lambda samples: samples["brightness_p05"],
        "have hardly a pixel below {} of white",
        "have pixels below {} of white",
        "{:.0%}",
    ),
    "brightness": (
        "brightness",
        lambda samples: samples["brightness"],
        "are brighter than {} of white on average",
        "are darker than {} of white on average",
        "{:.0%}",
    ),
    "contrast": (
        "contrast",
        lambda samples: samples["contrast"],
        "have a contrast above {}",
        "have a contrast below {}",
        "{:.2f}",
    ),
    "entropy": (
        "grey levels",
        lambda samples: samples["entropy"],
        "have more than {} bits of grey levels",
        "have fewer than {} bits of grey levels",
        "{:.1f}",
    ),
    "colourfulness": (
        "colours",
        lambda samples: samples["colourfulness"],
        "have colours stronger than {}",
        "have colours weaker than {}",
        "{:.2f}",
    ),
    "edge_width": (
        "sharpness",
        lambda samples: samples["edge_width"],
        "are blurrier than {} pixels an edge",
        "are sharper than {} pixels an edge",
        "{:.1f}",
    ),
    "width": (
        "size",
        lambda samples: samples[["width", "height"]].min(axis=1),
        "have a shorter side of more than {} pixels",
        "have a shorter side of less than {} pixels",
        "{:.0f}",
    ),
    "height": (
        "shape",
        lambda samples: samples["width"] / samples["height"].clip(lower=1),
        "are wider than {} times their height",
        "are narrower than {} times their height",
        "{:.2f}",
    ),
    "bytes": (
        "compression",
        lambda samples: samples["bytes"] / (samples["width"] * samples["height"]).clip(lower=1),
        "take more than {} bytes a pixel",
        "take less than {} bytes a pixel",
        "{:.2f}",
    ),
}
# The outer eight patches together: the backdrop.
FRAME = {
    "frame brightness": ("have a frame brighter than {} of white", "have a frame darker than {} of white", "{:.0%}"),
    "frame red-green": (
        "have a frame redder than {} (red minus green, of white)",
        "have a frame greener than {} (red minus green, of white)",
        "{:+.2f}",
    ),
    "frame yellow-blue": (
        "have a frame yellower than {} (yellow minus blue, of white)",
        "have a frame bluer than {} (yellow minus blue, of white)",
        "{:+.2f}",
    ),
    "frame evenness": (
        "have a frame whose colours differ by more than {}",
        "have a frame whose colours differ by less than {}",
        "{:.2f}",
    ),
}


def tabulate_numbers(evidence: Evidence) -> list[Property]:
    """Return the numbers of the scan and of the frame, over the readable samples."""
    samples = evidence.readable
    listed = [
        Property(name, number(samples).to_numpy(np.float64), above, below, form)
        for column, (name, number, above, below, form) in NUMBERS.items()
        if column in samples.columns
    ]
    return listed


def tabulate_frames(patches: np.ndarray) -> list[Property]:
    """Return the colours of the frame of ``patches`` ``(N, 9, S, S, 3)``."""
    outer = [place for place, name in enumerate(PLACES) if name != "middle"]
    means = patches[:, outer].mean(axis=(2, 3), dtype=np.float64) / 255
    red, green, blue = means.mean(axis=1).T
    numbers = (means.mean(axis=(1, 2)), red - green, (red + green) / 2 - blue, means.std(axis=1).mean(axis=1))
    return [
        Property(name, np.round(values, 6), *words)
        for (name, words), values in zip(FRAME.items(), numbers, strict=True)
    ]


def tabulate_texts(evidence: Evidence, metadata: pd.DataFrame) -> list[Property]:
    """Return format, colour mode, orientation, exact size, source, folder and each further column of a CSV source.

    Folders named like a class are the label itself and are left out of the path.
    """
    samples = evidence.readable
    size = samples["width"].astype(str) + " x " + samples["height"].astype(str)
    listed = {
        "format": (samples["format"], "are {}"),
        "colour mode": (samples["mode"], "have the colour mode {}"),
        "orientation": (samples["orientation"], "have the EXIF orientation {}"),
        "exact size": (size, "have exactly {} pixels"),
        "source": (samples["source"], "come from the source {}"),
        "folder": (pd.Series([_folder(path, evidence) for path in samples["path"]]), "lie in {}"),
    }
    known = metadata.drop_duplicates("sample_id").set_index("sample_id") if len(metadata) else metadata
    taken = {*FRAME, *(number[0] for number in NUMBERS.values())}
    for column in known.columns if len(metadata) else ():
        if column != "path":
            values = known[column].reindex(evidence.ids).fillna("")
            name = f"column {column}" if column in {*listed, *taken} else str(column)
            shown = str(column).replace("{", "{{").replace("}", "}}")
            listed[name] = (values.reset_index(drop=True), f"have {shown} = {{}}")
    properties = [Property(name, _common(values), words) for name, (values, words) in listed.items()]
    return [one for one in properties if len(set(one.values)) > 1]


def _folder(path: str, evidence: Evidence) -> str:
    """Return the folder of a path without the parts that state the label.

    Whatever begins like a class (``cats``, ``cat_photos``) is taken as such, and what a source's ``labels`` map too.
    """
    classes = [name.casefold() for name in evidence.spec.class_names]
    called = {name.casefold() for source in evidence.spec.sources for name in source.labels}
    stems = tuple(re.sub(r"s$", "", name) or name for name in classes)
    parts = [part for part in path.split("/")[:-1] if part.casefold() not in called]
    return "/".join(part for part in parts if not part.casefold().startswith(stems))


def _common(values: pd.Series) -> np.ndarray:
    """Return text, '' for what is rare; all '' where the values name single samples."""
    texts = values.astype(str).to_numpy(dtype=object)
    counts = pd.Series(texts).value_counts()
    kept = set(counts.index[counts >= FEWEST_OF_VALUE][:MOST_VALUES])
    return np.array([text if text in kept else "" for text in texts], dtype=object)
