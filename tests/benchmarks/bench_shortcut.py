"""Shortcuts planted in real photos: which are found and named, and what is raised where none is.

Run: python -m tests.benchmarks.bench_shortcut --data FOLDER   (about five minutes; needs only photos/)
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from curate.audit.detectors.shortcuts.shortcut import find_shortcuts
from curate.audit.evidence.evidence import Evidence
from curate.images.decoder import open_image
from curate.images.measure import measure_content
from curate.spec.model import Images, Source, Spec
from curate.storage.tables import SAMPLES, VOTES, empty, shaped
from tests.benchmarks.results import expect_data, markdown_table, trial_parser, write_section

CLASSES = ("cats", "dogs")
SMALL = 1_000  # photos of the smaller set
SEEDS = 5
QUALITY = 90
Change = Callable[[Image.Image, int], Image.Image]  # picture and its number to the picture as planted


@dataclass(frozen=True)
class Photos:
    """The bytes and the class of each photo."""

    contents: list[bytes]
    labels: np.ndarray

    def change(self, chosen: np.ndarray, change: Change, form: str = "JPEG") -> Photos:
        """Return the photos with those ``chosen`` changed and saved again."""

        def make(row: int) -> bytes:
            if not chosen[row]:
                return self.contents[row]
            image = change(open_image(self.contents[row], Images()), row)
            written = io.BytesIO()
            image.save(written, form, **({"quality": QUALITY} if form == "JPEG" else {"compress_level": 1}))
            return written.getvalue()

        with ThreadPoolExecutor(2) as pool:
            return Photos(list(pool.map(make, range(len(self.contents)))), self.labels)


def read_photos(folder: Path, limit: int) -> Photos:
    """Return ``limit`` photos, as many of each class, spread over the folder; all for 0."""
    contents, labels = [], []
    for label, name in enumerate(CLASSES):
        files = sorted((folder / name).iterdir())
        each = limit // 2 if limit else len(files)
        files = [files[place * len(files) // each] for place in range(min(each, len(files)))]
        contents += [file.read_bytes() for file in files]
        labels += [label] * len(files)
    return Photos(contents, np.array(labels))


def darken(image: Image.Image, row: int, factor: float) -> Image.Image:
    return image.point([round(value * factor) for value in range(256)] * 3)


def mark(image: Image.Image, row: int, opacity: float = 1.0) -> Image.Image:
    """A round logo of 12 % of the shorter side in the bottom right corner."""
    side = max(6, round(0.12 * min(image.size)))
    logo = Image.new("RGB", (side, side), (250, 245, 235))
    draw = ImageDraw.Draw(logo)
    draw.ellipse((1, 1, side - 2, side - 2), fill=(200, 40, 40))
    draw.rectangle((side * 0.3, side * 0.42, side * 0.7, side * 0.58), fill=(255, 255, 255))
    left, top = image.width - side - 2, image.height - side - 2
    under = image.crop((left, top, left + side, top + side))
    copy = image.copy()
    copy.paste(Image.blend(under, logo, opacity), (left, top))
    return copy


def stamp(image: Image.Image, row: int) -> Image.Image:
    """A date in orange digits, another one on each photo, in the bottom right corner."""
    day = np.random.default_rng(row)
    text = f"{day.integers(1, 29):02d}.{day.integers(1, 13):02d}.{day.integers(2005, 2013)}"
    size = max(8, min(image.size) // 18)
    copy = image.copy()
    ImageDraw.Draw(copy).text(
        (image.width - 6 * size, image.height - 2 * size), text, fill=(255, 150, 40), font_size=size
    )
    return copy


def enlarge(image: Image.Image, row: int) -> Image.Image:
    """As if it came from a copy a third as large."""
    small = image.resize((max(1, image.width // 3), max(1, image.height // 3)))
    return small.resize(image.size)


def keep(image: Image.Image, row: int) -> Image.Image:
    return image


def part_of(labels: np.ndarray, name: str, share: float) -> np.ndarray:
    """Return ``share`` of the photos of one class, drawn with a fixed seed."""
    rows = np.flatnonzero(labels == CLASSES.index(name))
    drawn = np.random.default_rng(0).permutation(rows)[: round(share * len(rows))]
    chosen: np.ndarray = np.isin(np.arange(len(labels)), drawn)
    return chosen


def plant_all(given: Photos, resaved: Photos) -> dict[str, tuple[str, Photos]]:
    """Return each planted set: what was done -> words of which one has to be in the name, and the photos."""
    cats, dogs = (partial(part_of, given.labels, name) for name in CLASSES)
    light = "brightest pixels|brightness|frame brightness|contrast"
    corner = "mark at the bottom right"
    planted = {
        f"cats darkened by {round(100 - 100 * factor)} %": (
            light,
            resaved.change(cats(1.0), partial(darken, factor=factor)),
        )
        for factor in (0.85, 0.9, 0.95)
    }
    planted["cats darkened by 15 %, only they saved again"] = (
        light, given.change(cats(1.0), partial(darken, factor=0.85))
    )  # fmt: skip
    for share in (1.0, 0.5, 0.3, 0.15):
        planted[f"logo on {share:.0%} of the dogs"] = (corner, resaved.change(dogs(share), mark))
    planted["faint logo (30 %) on all dogs"] = (corner, resaved.change(dogs(1.0), partial(mark, opacity=0.3)))
    planted["changing date on all dogs"] = (corner, resaved.change(dogs(1.0), stamp))
    planted["changing date on 50 % of the dogs"] = (corner, resaved.change(dogs(0.5), stamp))
    planted["cats enlarged from a third"] = ("sharpness|compression", resaved.change(cats(1.0), enlarge))
    planted["cats saved as PNG"] = ("format", resaved.change(cats(1.0), keep, "PNG"))
    planted["30 % of the cats saved as PNG"] = ("format", resaved.change(cats(0.3), keep, "PNG"))
    return planted


def make_evidence(photos: Photos) -> Evidence:
    """Return the evidence of photos in memory, each a group of its own."""
    with ThreadPoolExecutor(2) as pool:
        measured = list(pool.map(lambda content: measure_content(content, Images()), photos.contents))
    ids = [f"{row:020x}" for row in np.random.default_rng(0).permutation(len(photos.contents))]
    rows = [
        {**measures, "sample_id": one, "path": f"{one}.jpg", "source": "photos", "given_label": CLASSES[label]}
        for one, label, (measures, _) in zip(ids, photos.labels, measured, strict=True)
    ]
    samples = shaped(pd.DataFrame(rows).assign(given_split="", locations=1), SAMPLES)
    thumbnails = dict(zip(ids, (thumbnail for _, thumbnail in measured), strict=True))
    spec = Spec(name="planted", classes=dict.fromkeys(CLASSES, ""), sources=[Source(path="photos")])
    return relabelled(
        Evidence(spec, samples, empty(VOTES), _no_vectors, lambda asked: {one: thumbnails[one] for one in asked})
    )


def _no_vectors(sample_ids: object) -> np.ndarray:
    raise AssertionError("shortcuts need no embeddings")


def relabelled(evidence: Evidence, labels: np.ndarray | None = None) -> Evidence:
    """Return the same photos with other labels, without near copies."""
    samples = evidence.samples
    if labels is not None:
        samples = samples.assign(given_label=np.array(CLASSES, dtype=object)[labels])
    new = Evidence(evidence.spec, samples, evidence.votes, evidence.embed, evidence.read_thumbnails)
    vars(new)["groups"] = pd.DataFrame({"sample_id": new.ids, "group_id": new.ids})
    return new


def measure_planted(what: str, words: str, photos: Photos) -> dict[str, object]:
    evidence = make_evidence(photos)
    started = time.perf_counter()
    found = [row for row, _ in find_shortcuts(evidence, pd.DataFrame()) if row["is_issue"]]
    seconds = time.perf_counter() - started
    right = [row for row in found if any(word in str(row["name"]) for word in words.split("|"))]
    print(f"{what}: {[row['name'] for row in found]}\n    {right[0]['evidence'] if right else 'MISSED'}", flush=True)
    return {
        "planted": what,
        "photos": len(photos.contents),
        "found": "yes" if right else "no",
        "others raised": len(found) - len(right),
        "named": right[0]["name"] if right else "",
        "score": float(str(right[0]["score"])) if right else float("nan"),
        "seconds": f"{seconds:.1f}",
    }


def measure_null(evidence: Evidence, what: str, seed: int) -> int:
    """Return how many shortcuts are raised where labels say nothing."""
    rng = np.random.default_rng(seed)
    count = len(evidence.ids)
    labels = rng.integers(0, 2, count)
    if what == "random halves of cats":
        is_cat = evidence.samples["given_label"].to_numpy() == CLASSES[0]
        vars_kept = evidence.samples[is_cat].reset_index(drop=True)
        evidence, labels = (
            Evidence(evidence.spec, vars_kept, evidence.votes, evidence.embed, evidence.read_thumbnails),
            labels[is_cat],
        )
    return sum(bool(row["is_issue"]) for row, _ in find_shortcuts(relabelled(evidence, labels), pd.DataFrame()))


def main() -> None:
    arguments = trial_parser(__doc__ or "").parse_args()
    folder = expect_data(arguments.data / "photos")
    small = read_photos(folder, arguments.limit or SMALL)
    resaved = small.change(np.ones(len(small.labels), dtype=bool), keep)
    rows = [measure_planted(what, *planted) for what, planted in plant_all(small, resaved).items()]
    untouched = make_evidence(small)
    null: list[dict[str, object]] = [
        {
            "labels": what,
            "photos": len(small.labels),
            "sets": SEEDS,
            "shortcuts raised": sum(measure_null(untouched, what, seed) for seed in range(SEEDS)),
        }
        for what in ("random labels", "random halves of cats")
    ]
    raised: dict[str, object] = {
        "labels": "as they are",
        "photos": len(small.labels),
        "sets": 1,
        "shortcuts raised": _raised(untouched),
    }
    if arguments.limit:
        print(markdown_table(rows), markdown_table([raised, *null]), sep="\n\n")
        return
    whole = read_photos(folder, 0)
    all_raised = {**raised, "photos": len(whole.labels), "shortcuts raised": _raised(make_evidence(whole))}
    cats, dogs = (part_of(whole.labels, name, share) for name, share in (("cats", 1.0), ("dogs", 0.3)))
    rows.append(
        measure_planted(
            "cats darkened by 15 %",
            "brightest pixels|brightness|contrast",
            whole.change(cats, partial(darken, factor=0.85)),
        )
    )
    rows.append(measure_planted("logo on 30% of the dogs", "mark at the bottom right", whole.change(dogs, mark)))
    body = [
        "Shortcuts planted in photos of cats and dogs; unless said otherwise all photos were saved again as JPEG of "
        f"quality {QUALITY}, so that saving is no tell. `found`: raised, and named after what was done.",
        markdown_table(rows),
        "What is raised where nothing was planted:",
        markdown_table([raised, all_raised, *null]),
    ]
    write_section("Shortcuts: planted in photos, and where there are none", "\n\n".join(body))


def _raised(evidence: Evidence) -> int:
    return sum(bool(row["is_issue"]) for row, _ in find_shortcuts(evidence, pd.DataFrame()))


if __name__ == "__main__":
    main()
