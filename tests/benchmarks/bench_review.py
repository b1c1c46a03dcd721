"""Time and memory of a review in the App, as the samples grow: how long it takes to open, and to answer.

The pictures are generated (noise with a shape, 64 x 48 JPEGs); findings, groups and embeddings are written by hand (see
`review_set`). Each size has a process, a folder and a database of its own. A review is opened twice, as `curate review`
does, until a headless Chromium has drawn the pictures of the first screen. Then a script walks through the suspects: it
accepts the suggestion of the sample that is open, asks the panel for the one that the App is told to open next, and so
on, by the requests that the App sends. Alone on a machine; the load before each case is in the table.
Run: python -m tests.benchmarks.bench_review [--limit 10000] [--work FOLDER]   (--limit caps the largest)
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from curate.review.mirror.snapshot import review_name
from curate.review.services.running import running_reviews
from curate.storage.folder import DatasetFolder
from tests.benchmarks.results import case_arguments, markdown_table, run_alone, sizes_to_run, write_section
from tests.benchmarks.review_set import make_review_set
from tests.browser.shoot import free_port, open_grid, running_browser

SIZES = (1_000, 10_000, 50_000)
ANSWERS = 200
PLUGIN = "@specurate/review"
PATIENCE = 600  # seconds
REVIEW = """
import sys
from curate.storage.folder import open_folder
from curate.review.session import review
from curate.spec.reading import read_spec
dataset = open_folder(sys.argv[1])
review(dataset, read_spec(dataset), port=int(sys.argv[2]), browser=False, reviewer="script")
"""
SUSPECTS = """
import json, sys
from curate.review.services.environment import load_fiftyone
suspects = load_fiftyone().load_dataset(sys.argv[1]).load_saved_view("suspects")
print(json.dumps({"first": suspects.first().id, "stages": suspects._serialize(include_uuids=False)}))
"""


@dataclass(frozen=True)
class Case:
    samples: int
    work: str = ""


def main() -> None:
    arguments = case_arguments(__doc__ or "", Case, measure)
    sizes = sizes_to_run(SIZES, arguments.limit)
    body = describe([run_alone("bench_review", Case(size, str(arguments.work or ""))) for size in sizes])
    if arguments.limit:
        print(body)
    else:
        write_section("Review in the App: opening and answering", body)


def measure(case: Case) -> dict[str, object]:
    """Return the seconds and megabytes of one size."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=case.work or None) as folder:
        dataset = make_review_set(Path(folder), case.samples)
        os.environ["FIFTYONE_DATABASE_DIR"] = str(Path(folder) / "database")
        os.environ["FIFTYONE_PLUGINS_DIR"] = str(Path(folder) / "plugins")
        row: dict[str, object] = {"samples": f"{case.samples:,}", "load before": f"{load:.1f}"}
        peaks: dict[str, float] = {}
        with running_browser() as browser:
            for opening in ("first", "second"):
                with_walk = walk if opening == "second" else None
                row |= measure_opening(browser, dataset, opening, peaks, with_walk)
        return row | {f"{role}, MB": f"{peak:,.0f}" for role, peak in peaks.items()}


def measure_opening(
    browser: Any,
    dataset: DatasetFolder,
    opening: str,
    peaks: dict[str, float],
    then: Callable[[str, DatasetFolder], dict[str, object]] | None,
) -> dict[str, object]:
    """Open a review, do ``then`` in it, close it, and raise ``peaks`` to the memory that its processes held."""
    port = free_port()
    origin, start = f"http://127.0.0.1:{port}", time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", REVIEW, str(dataset.path), str(port)], stderr=subprocess.PIPE)
    try:
        wait_for_address(process, origin)
        answered = time.perf_counter() - start
        page = open_grid(browser, f"{origin}/datasets/{review_name(dataset)}?view=suspects")
        drawn = time.perf_counter() - start
        page.close()
        row: dict[str, object] = {f"{opening}: address, s": answered, f"{opening}: pictures, s": drawn}
        row |= then(origin, dataset) if then else {}
        for role, megabytes in memory_of(process.pid).items():
            peaks[role] = max(megabytes, peaks.get(role, 0))
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, told.decode()
        return row
    finally:
        process.kill()


def wait_for_address(process: subprocess.Popen[bytes], origin: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        if any(one.url.startswith(origin) for one in running_reviews()):
            return
        time.sleep(0.05)
    raise SystemExit("The App did not come up.")


def memory_of(review: int) -> dict[str, float]:
    """Return the most memory, in MB, that the review, the App's server and mongod held so far."""
    roles = {"review": review}
    for child in psutil.Process(review).children(recursive=True):
        if child.name() == "mongod":
            roles["mongod"] = child.pid
        elif child.cmdline()[1:2] == ["main.py"]:
            roles["server"] = child.pid
    return {role: peak_of(pid) for role, pid in sorted(roles.items())}


def peak_of(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    [kilobytes] = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(kilobytes) / 1024


def walk(origin: str, dataset: DatasetFolder) -> dict[str, object]:
    """Accept the suggestions of ``ANSWERS`` suspects, one open sample after the other."""
    asked = subprocess.run(
        [sys.executable, "-c", SUSPECTS, review_name(dataset)], stdout=subprocess.PIPE, text=True, check=True
    )
    suspects = json.loads(asked.stdout.splitlines()[-1])
    common = {"dataset_name": review_name(dataset), "view": suspects["stages"], "view_name": "suspects"}
    panel = {"operator_uri": f"{PLUGIN}/findings", **common}
    shown, answers, panels = suspects["first"], [], []
    for _ in range(ANSWERS):
        params = {"panel_id": "findings", "panel_state": {}, "__method__": "on_change_current_sample", "value": shown}
        panels.append(post(origin, {**panel, "params": params, "current_sample": shown})[0])
        accept = {"operator_uri": f"{PLUGIN}/accept", **common, "params": {}, "current_sample": shown}
        took, told = post(origin, accept)
        answers.append(took)
        [shown] = [one["params"]["id"] for one in told["executor"]["requests"] if "open_sample" in one["operator_uri"]]
    written = len(dataset.decisions.read_text(encoding="utf-8").splitlines())
    assert written == ANSWERS, f"{written} decisions of {ANSWERS}"
    return {
        "answers a second": ANSWERS / sum(answers),
        **spread("answer", answers),
        **spread("panel", panels),
        "both, a second": ANSWERS / (sum(answers) + sum(panels)),
    }


def spread(name: str, seconds: list[float]) -> dict[str, object]:
    parts = {"median": np.median(seconds), "95 %": np.percentile(seconds, 95), "first": seconds[0]}
    return {f"{name}: {part}, ms": f"{1000 * value:.0f}" for part, value in parts.items()}


def post(origin: str, content: dict[str, Any]) -> tuple[float, Any]:
    """Return the seconds that the App's server took to answer an operator, and its answer."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{origin}/operators/execute", json.dumps(content).encode(), headers)
    start = time.perf_counter()
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        told = json.load(answer)
    took = time.perf_counter() - start
    if told.get("error"):
        raise SystemExit(told["error"])
    return took, told


def describe(rows: list[dict[str, object]]) -> str:
    return (
        "Generated pictures; findings, groups and embeddings written by hand: one sample in 50 (at least 300) has a "
        "label suggestion, one in ten a near copy. `first` and `second`: seconds from the start of the process until "
        "the address is told, and until the first screen of pictures is drawn; the first writes everything, the "
        f"second finds nothing changed. Then {ANSWERS} suggestions are accepted one after the other: `answer`, until "
        "the decision is on disk and the next sample is named; `panel`, until the evidence of that one is there, its "
        "pictures with it; `first`: the first of these, which reads the tables. Memory: the most that each process "
        "held. One run a size.\n\n" + markdown_table(turned(rows))
    )


def turned(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Return one row a measure and one column a size: there are many measures and few sizes."""
    names = [name for name in rows[0] if name != "samples"]
    return [{"samples": name} | {str(row["samples"]): row[name] for row in rows} for name in names]


if __name__ == "__main__":
    main()
