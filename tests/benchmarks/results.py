"""Where benchmarks write what they measured: one section each in RESULTS.md, replaced when the benchmark runs again."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from curate.storage.engine import available_processors
from curate.storage.files import write_atomic

RESULTS = Path(__file__).with_name("RESULTS.md")
TITLE = "# Results\n\nWritten by the benchmarks in this folder; a section is replaced when its benchmark runs again.\n"
PACKAGES = ("torch", "cleanlab", "fiftyone", "pandas", "numpy", "pillow", "scikit-learn", "faiss-cpu")


def read_arguments(description: str) -> argparse.Namespace:
    """Return the arguments every benchmark takes: where the real images are."""
    return _parser(description).parse_args()


def trial_parser(description: str) -> argparse.ArgumentParser:
    """Return a parser of those and of what a long benchmark takes: how much of the data, and where its work is kept."""
    parser = _parser(description)
    parser.add_argument("--limit", type=int, default=0, help="samples to use; then nothing is written to RESULTS.md")
    parser.add_argument("--work", type=Path, help="a folder that keeps what is computed; default: a temporary one")
    return parser


def case_arguments(description: str, kind: type, measure: Callable[[Any], dict[str, object]]) -> argparse.Namespace:
    """Return the arguments of a benchmark that runs each case alone; where `run_alone` asked for one, do it and end."""
    parser = trial_parser(description)
    parser.add_argument("--one", default="", help="measure this one case, in JSON, and print it")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(kind(**json.loads(arguments.one)))))
        raise SystemExit
    return arguments


def sizes_to_run(sizes: Sequence[int], limit: int) -> list[int]:
    """Return ``sizes`` up to ``limit`` (0: all); the limit itself when it is below them all."""
    return [size for size in sizes if not limit or size <= limit] or [limit]


def _parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    place = os.environ.get("SPECURATE_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(place), help="the folder of photos/, webscrape/, ...")
    return parser


def expect_data(folder: Path) -> Path:
    """Return ``folder``, or stop with a sentence when the real images are not on this machine."""
    if not folder.is_dir():
        raise SystemExit(
            f"No real images at {folder}: name their place with --data or SPECURATE_DATA. Nothing measured."
        )
    return folder


def run_alone(benchmark: str, case: Any) -> dict[str, object]:
    """Return the JSON object that ``benchmark --one CASE`` prints last, from a process of its own."""
    command = [sys.executable, "-m", f"tests.benchmarks.{benchmark}", "--one", json.dumps(asdict(case))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    row: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    print(row, file=sys.stderr, flush=True)
    return row


def describe_machine() -> str:
    """Return processors, Python and package versions in a line."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{available_processors()} processors, {platform.machine()}, Python {platform.python_version()}; {packages}"


def markdown_table(rows: Sequence[dict[str, object]]) -> str:
    """Return ``rows`` as a Markdown table with the keys of the first as header."""
    names = list(rows[0])
    lines = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    lines += [f"| {' | '.join(_cell(row[name]) for name in names)} |" for row in rows]
    return "\n".join(lines)


def write_section(name: str, body: str) -> None:
    """Put ``body`` under the heading ``name`` in RESULTS.md, in place of what was there."""
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.is_file() else TITLE
    section = f"## {name}\n\n{body.strip()}\n\n*{describe_machine()}*\n"
    text = re.sub(rf"\n## {re.escape(name)}\n.*?(?=\n## |\Z)", "", text, flags=re.S).rstrip() + "\n\n" + section
    write_atomic(RESULTS, text)
    print(section)


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
