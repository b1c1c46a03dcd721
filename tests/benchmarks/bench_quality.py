"""Image quality: what is flagged among clean photos, which planted faults are found, and the same of CleanVision.

Faults are planted into 100 photos of the half that no threshold was chosen on; everything is judged as `curate scan`
and `curate audit` judge it. CleanVision is imported where it is; without it its columns say so.
Run: python -m tests.benchmarks.bench_quality --data FOLDER [--limit 40]
About five minutes alone on two cores, half of it CleanVision's.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from curate.audit.audit import DETECTORS
from curate.audit.evidence.evidence import Evidence
from curate.demo.faults import encode_planted
from curate.demo.plan import plan_demo
from curate.images.measure import measure_content
from curate.spec.model import Images, Source, Spec
from curate.storage.engine import map_batches
from curate.storage.tables import SAMPLES, VOTES, empty, shaped
from tests.benchmarks.results import expect_data, markdown_table, trial_parser, write_section

ISSUES = ["dark", "light", "blurry", "low_information", "odd_size", "odd_aspect_ratio", "grayscale"]
OURS = ["overlaid_text", "placeholder", "border"]
PLANTED = 100
Fault = Callable[[Image.Image], Image.Image]


def judge(contents: list[bytes]) -> tuple[pd.DataFrame, float]:
    """Return whether each content has each issue, ``(N, issues)``, and the seconds that it took."""
    start = time.perf_counter()
    batches = [contents[at : at + 32] for at in range(0, len(contents), 32)]
    measured = [row for batch in map_batches(_measure, batches, None, "threads") for row in batch]
    ids = [f"{number:020x}" for number in range(len(measured))]
    blank = {"path": "", "source": "", "given_label": "", "given_split": "", "locations": 1}
    rows = [{**row, **blank, "sample_id": one} for one, (row, _) in zip(ids, measured, strict=True)]
    thumbnails = {one: thumbnail for one, (_, thumbnail) in zip(ids, measured, strict=True)}
    spec = Spec(name="quality", classes={"x": ""}, sources=[Source(path="images")])
    evidence = Evidence(
        spec,
        shaped(pd.DataFrame(rows), SAMPLES),
        empty(VOTES),
        lambda wanted: np.zeros((len(wanted), 2)),
        lambda wanted: {one: thumbnails[one] for one in wanted},
    )
    found = {issue: DETECTORS[issue](evidence)["is_issue"].to_numpy() for issue in ISSUES + OURS}
    return pd.DataFrame(found), time.perf_counter() - start


def _measure(contents: list[bytes]) -> list[tuple[dict[str, object], bytes]]:
    return [measure_content(content, Images()) for content in contents]


def judge_by_cleanvision(contents: list[bytes]) -> tuple[pd.DataFrame, float] | None:
    """Return the same of CleanVision with its defaults; None where it is not installed."""
    try:
        from cleanvision import Imagelab
    except ImportError:
        return None
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number:06d}.jpg" for number in range(len(contents))]
        for file, content in zip(files, contents, strict=True):
            file.write_bytes(content)
        start = time.perf_counter()
        lab = Imagelab(filepaths=[str(file) for file in files])
        lab.find_issues(issue_types={issue: {} for issue in ISSUES}, n_jobs=1, verbose=False)
        seconds = time.perf_counter() - start
        table = lab.issues.loc[[str(file) for file in files]]
    columns = {issue: table.get(f"is_{issue}_issue", pd.Series(False, table.index)).to_numpy() for issue in ISSUES}
    return pd.DataFrame(columns), seconds


def motion(pixels: int, step: tuple[int, int]) -> Fault:
    """Return a blur along ``step`` (rows, columns) over ``pixels``."""

    def moved(image: Image.Image) -> Image.Image:
        values = np.asarray(image, dtype=np.float32)
        padded = np.pad(values, ((pixels, pixels), (pixels, pixels), (0, 0)), mode="reflect")
        shifts = [(at * step[0], at * step[1]) for at in range(-(pixels // 2), pixels - pixels // 2)]
        total = np.mean([np.roll(padded, shift, (0, 1)) for shift in shifts], axis=0)
        return Image.fromarray(total[pixels:-pixels, pixels:-pixels].astype(np.uint8))

    return moved


def enlarged(times: int) -> Fault:
    small = lambda image: tuple(max(1, side // times) for side in image.size)  # noqa: E731
    return lambda image: image.resize(small(image), Image.Resampling.BICUBIC).resize(
        image.size, Image.Resampling.BICUBIC
    )


def written(
    text: str, colour: str | tuple[int, int, int], place: tuple[float, float], size: float, outline: int = 0
) -> Fault:
    """Return ``text`` at ``place`` (shares of width and height), ``size`` of the shorter side high."""

    def drawn(image: Image.Image) -> Image.Image:
        image, least = image.copy(), min(image.size)
        font = ImageFont.load_default(size=max(8, round(least * size)))
        spot = (image.width * place[0], image.height * place[1])
        wide = max(1, least // 150) if outline else 0
        ImageDraw.Draw(image).text(spot, text, fill=colour, font=font, stroke_width=wide, stroke_fill="black")
        return image

    return drawn


def caption(image: Image.Image) -> Image.Image:
    image = image.copy()
    ImageDraw.Draw(image).rectangle((0, image.height * 0.86, *image.size), fill="white")
    return written("Available for adoption", "black", (0.1, 0.88), 0.07)(image)


def framed(share: float, colour: str, is_letterbox: bool = False) -> Fault:
    def bars(image: Image.Image) -> Image.Image:
        wide, high = (max(1, round(side * share)) for side in image.size)
        return ImageOps.expand(image, (0 if is_letterbox else wide, high), fill=colour)

    return bars


def graphic(image: Image.Image) -> Image.Image:
    """Return a "no image" sign of the size of ``image``, its colours by the size and content."""
    rng = np.random.default_rng(int(np.asarray(image)[::7, ::7].sum()))
    colour = lambda low, high: tuple(rng.integers(low, high, 3).tolist())  # noqa: E731
    drawn = Image.new("RGB", image.size, "white" if rng.random() < 0.5 else colour(160, 256))
    draw, (width, height) = ImageDraw.Draw(drawn), image.size
    draw.rectangle((width * 0.15, height * 0.1, width * 0.85, height * 0.7), outline=colour(0, 150), width=4)
    hill = [(width * 0.2, height * 0.65), (width * 0.45, height * 0.3), (width * 0.8, height * 0.65)]
    draw.polygon(hill, fill=colour(0, 150))
    return written("No image", colour(0, 120), (0.3, 0.8), 0.1)(drawn)


def dimmed(share: float) -> Fault:
    return lambda image: image.point(lambda value: round(value * share))


def washed(share: float) -> Fault:
    return lambda image: image.point(lambda value: round(255 - (255 - value) * share))


def sepia(image: Image.Image) -> Image.Image:
    return ImageOps.colorize(image.convert("L"), (20, 10, 0), (255, 240, 200))


FAULTS: dict[str, tuple[str, Fault]] = {
    "Gaussian blur, 1 pixel": ("blurry", lambda image: image.filter(ImageFilter.GaussianBlur(1))),
    "Gaussian blur, 2 pixels": ("blurry", lambda image: image.filter(ImageFilter.GaussianBlur(2))),
    "Gaussian blur, 3 pixels": ("blurry", lambda image: image.filter(ImageFilter.GaussianBlur(3))),
    "Gaussian blur, 5 pixels": ("blurry", lambda image: image.filter(ImageFilter.GaussianBlur(5))),
    "Motion blur, 9 pixels": ("blurry", motion(9, (0, 1))),
    "Motion blur, 15 pixels": ("blurry", motion(15, (0, 1))),
    "Motion blur, 15 pixels, diagonal": ("blurry", motion(15, (1, 1))),
    "Enlarged 4 times": ("blurry", enlarged(4)),
    "Enlarged 8 times": ("blurry", enlarged(8)),
    "JPEG of quality 10": ("blurry", lambda image: Image.open(io.BytesIO(encode(image, 10))).convert("RGB")),
    "Brightness 40 %": ("dark", dimmed(0.4)),
    "Brightness 20 %": ("dark", dimmed(0.2)),
    "Brightness 10 %": ("dark", dimmed(0.1)),
    "Contrast 40 %, washed out": ("light", washed(0.4)),
    "Contrast 20 %, washed out": ("light", washed(0.2)),
    "Grey, saved with one channel": ("grayscale", lambda image: image.convert("L")),
    "Grey, saved with three": ("grayscale", lambda image: image.convert("L").convert("RGB")),
    "Sepia": ("grayscale", sepia),
    "Frame of 2 %": ("border", framed(0.02, "white")),
    "Frame of 5 %": ("border", framed(0.05, "white")),
    "Letterbox, 12 % each": ("border", framed(0.12, "black", is_letterbox=True)),
    "Caption below": ("overlaid_text", caption),
    "Meme text": ("overlaid_text", written("WHEN THE CAT SAYS", "white", (0.08, 0.03), 0.085, outline=1)),
    "Time stamp": ("overlaid_text", written("12/04/2007 16:32", (255, 160, 30), (0.45, 0.88), 0.055)),
    '"No image" graphic': ("placeholder", graphic),
}


def encode(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def held_out(contents: list[bytes], count: int) -> list[bytes]:
    """Return ``count`` photos of the half that is kept from choosing thresholds, by hash so that no name matters."""
    ordered = sorted(contents, key=lambda content: hashlib.sha256(content).digest())
    places = np.random.default_rng(0).permutation(len(ordered))[len(ordered) // 2 :]
    return [ordered[place] for place in places[:count]]


def compare_sets(sets: dict[str, list[bytes]]) -> tuple[list[dict[str, object]], list[str]]:
    """Return a row for each issue with the flagged of each set, ours / CleanVision's, and sentences on the time."""
    rows: list[dict[str, object]] = [{"issue": issue} for issue in ISSUES + OURS]
    notes = []
    for name, contents in sets.items():
        found, seconds = judge(contents)
        theirs = judge_by_cleanvision(contents)
        heading = f"{name} ({len(contents):,})"
        for row in rows:
            issue = str(row["issue"])
            other = "–" if theirs is None or issue not in theirs[0] else f"{int(theirs[0][issue].sum()):,}"
            row[heading] = f"{int(found[issue].sum()):,} / {other}"
        said = "not installed" if theirs is None else f"{theirs[1]:.1f} s"
        notes.append(f"{name}: {seconds:.1f} s, with decoding, hashes and thumbnails; CleanVision {said}.")
    return rows, notes


def compare_faults(photos: list[bytes]) -> list[dict[str, object]]:
    """Return a row for each planted fault: how many of ``photos`` are flagged for it, among one more without it."""
    images = [Image.open(io.BytesIO(content)).convert("RGB") for content in photos]
    rows: list[dict[str, object]] = []
    for name, (issue, fault) in FAULTS.items():
        # Among clean ones: a set of nothing but grey pictures has no odd ones.
        contents = [encode(fault(image), 90) for image in images] + photos + photos[:1]
        theirs = judge_by_cleanvision(contents) if issue in ISSUES else None
        found = float(judge(contents)[0][issue][: len(photos)].mean())
        other = "–" if theirs is None else f"{float(theirs[0][issue][: len(photos)].mean()):.3f}"
        rows.append({"planted": name, "issue": issue, "found": found, "CleanVision": other})
    return rows


def draw_demo(count: int) -> list[bytes]:
    """Return the demo's drawings that have no fault."""
    return [encode_planted(planted, 0) for planted in plan_demo(max(count, 40), 0) if planted.fault == "none"]


def read_images(folder: Path, limit: int) -> list[bytes]:
    files = sorted(file for file in folder.rglob("*") if file.suffix in (".jpg", ".png"))
    return [file.read_bytes() for file in files[:: max(1, len(files) // limit) if limit else 1]]


def main() -> None:
    arguments = trial_parser(__doc__ or "").parse_args()
    data, limit = expect_data(arguments.data), arguments.limit
    photos = read_images(data / "photos", 0)
    sets = {
        "photos": photos[:: max(1, len(photos) // limit)] if limit else photos,
        "webscrape": read_images(data / "webscrape", limit),
        "CIFAR, 32 pixels": read_images(data / "cifar10_test_catdog", limit),
        "demo drawings": draw_demo(limit or 600),
    }
    alarms, notes = compare_sets(sets)
    faults = compare_faults(held_out(photos, min(PLANTED, limit or PLANTED)))
    body = (
        "Flagged among pictures in which nothing was planted, by specurate / by CleanVision's defaults:\n\n"
        f"{markdown_table(alarms)}\n\n" + " ".join(notes) + "\n\n"
        f"Share found of faults planted into {min(PLANTED, limit or PLANTED)} photos of the held-out half, saved as "
        "JPEG of quality 90 (a Gaussian of 1 pixel and a JPEG of quality 10 are no blur that anybody would sort out: "
        f"fewer is better there):\n\n{markdown_table(faults)}"
    )
    if limit:
        print(body)
    else:
        write_section("Image quality", body)


if __name__ == "__main__":
    main()
