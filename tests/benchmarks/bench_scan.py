"""How fast a folder is scanned: everything from one decode, against opening each file again for each measure.

Run: python -m tests.benchmarks.bench_scan --data FOLDER
"""

from __future__ import annotations

import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from curate.images.init import init_dataset
from curate.images.scan import scan_dataset
from curate.spec.reading import read_spec
from curate.storage.engine import available_processors
from curate.storage.folder import open_folder
from tests.benchmarks.results import expect_data, markdown_table, read_arguments, write_section

ROUNDS = 5
STEPS: dict[str, Callable[[Image.Image], object]] = {
    "phash": lambda image: np.asarray(image.convert("L").resize((32, 32))),
    "brightness": lambda image: np.percentile(np.asarray(image.convert("L")), [1, 5, 95, 99]),
    "entropy": lambda image: image.convert("L").entropy(),
    "blur": lambda image: np.asarray(image.convert("L").filter(ImageFilter.FIND_EDGES)).var(),
    "thumbnail": lambda image: image.thumbnail((256, 256)),
}


def scan_once(photos: Path) -> tuple[float, float]:
    """Return seconds of a first scan and of a second one, which finds everything known."""
    with tempfile.TemporaryDirectory() as folder:
        init_dataset(Path(folder) / "set", photos)
        dataset = open_folder(Path(folder) / "set")
        spec = read_spec(dataset)
        times = []
        for _ in range(2):
            started = time.perf_counter()
            scan_dataset(dataset, spec)
            times.append(time.perf_counter() - started)
    return times[0], times[1]


def step_by_step(files: list[Path]) -> float:
    """Return seconds of the plain way with the same threads: each measure opens and decodes the file for itself."""
    started = time.perf_counter()
    with ThreadPoolExecutor(available_processors()) as pool:
        list(pool.map(lambda file: hashlib.sha256(file.read_bytes()).hexdigest(), files))
        for step in STEPS.values():
            list(pool.map(lambda file, step=step: step(Image.open(file).convert("RGB")), files))
    return time.perf_counter() - started


def main() -> None:
    photos = expect_data(read_arguments(__doc__ or "").data / "photos")
    files = sorted(photos.rglob("*.jpg"))
    rounds = [(*scan_once(photos), step_by_step(files)) for _ in range(ROUNDS)]
    rows = [
        {
            "what": name,
            "seconds (median)": statistics.median(times),
            "min": min(times),
            "max": max(times),
            "images/s": round(len(files) / statistics.median(times)),
        }
        for name, times in zip(
            ("first scan", "second scan", "one open a measure"), zip(*rounds, strict=True), strict=True
        )
    ]
    ratio = statistics.median(plain / first for first, _, plain in rounds)
    write_section(
        "Scan",
        f"{len(files):,} photos, {ROUNDS} rounds in turn. A first scan (hash, decode, measures, thumbnail) takes "
        f"1/{ratio:.2f} of the time of opening the file for each of {len(STEPS) + 1} measures (median of the rounds' "
        f"ratios).\n\n{markdown_table(rows)}",
    )


if __name__ == "__main__":
    main()
