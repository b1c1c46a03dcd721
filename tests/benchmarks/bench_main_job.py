"""The main job on real photos: seconds by stage, findings, a second run, and the accuracy of both recipes.

Run: python -m tests.benchmarks.bench_main_job --data FOLDER
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from curate.images.init import init_dataset
from curate.run import run_dataset
from curate.spec.model import Train
from curate.spec.reading import read_spec
from curate.storage.folder import DatasetFolder, open_folder
from tests.benchmarks.results import expect_data, markdown_table, read_arguments, write_section

SETS = ("photos", "webscrape")
RECIPES = ("small", "lite0")


def measure(dataset: DatasetFolder, recipe: str) -> tuple[dict[str, Any], float]:
    """Run the main job with ``recipe`` and return its summary and the seconds of a second run."""
    spec = read_spec(dataset).model_copy(update={"train": Train(recipe=recipe)})
    summary = run_dataset(dataset, spec, tell=print)
    started = time.perf_counter()
    run_dataset(dataset, spec)
    return summary, time.perf_counter() - started


def describe(name: str, recipe: str, summary: dict[str, Any], again: float) -> dict[str, object]:
    accuracy = {model: made["metrics"]["test"]["accuracy"] for model, made in summary["models"].items()}
    return {
        "set": name,
        "recipe": recipe,
        **{
            stage: summary["seconds"].get(stage, 0.0)
            for stage in ("scan", "audit", "build", "train", "compare", "report")
        },
        "second run": again,
        "accuracy (95 % interval)": "; ".join(
            f"{model} {one['value']:.3f} ({one['low']:.3f} to {one['high']:.3f})" for model, one in accuracy.items()
        ),
    }


def main() -> None:
    data = read_arguments(__doc__ or "").data
    rows, found = [], []
    for name in SETS:
        source = expect_data(data / name)
        with tempfile.TemporaryDirectory() as folder:
            init_dataset(Path(folder) / name, source)
            for recipe in RECIPES:
                summary, again = measure(open_folder(Path(folder) / name), recipe)
                rows.append(describe(name, recipe, summary, again))
            counts = {issue: count for issue, count in summary["findings"].items() if count}
            verdict = (summary["comparison"] or {}).get("verdict", "")
            found.append(f"- {name}: {summary['samples']:,} samples; {counts}. {verdict}")
    write_section(
        "Main job",
        "`curate run` on real photos, one run each, seconds by stage. The second recipe finds scan and audit done.\n\n"
        + markdown_table(rows)
        + "\n\n"
        + "\n".join(found),
    )


if __name__ == "__main__":
    main()
