"""train, evaluate, compare, predict: trains models on versions and measures them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from curate.commands.arguments import Json, NoDeps, dataset_first, dataset_maybe, expect_device
from curate.commands.show import print_json, print_table, say, shown
from curate.storage.files import Problem


def train(
    words: Annotated[list[str] | None, typer.Argument(metavar="[DATASET] [VERSION]", show_default=False)] = None,
    recipe: Annotated[str, typer.Option(help="small, lite0 or smoke; default: the spec's.")] = "",
    seed: Annotated[int | None, typer.Option(help="Default: the spec's.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    no_deps: NoDeps = False,
    json: Json = False,
) -> None:
    """Train a model on a version, by default the one that a build gives now; an existing model is reused."""
    dataset, rest = dataset_maybe(words or [], no_deps)
    if len(rest) > 1:
        raise Problem(f"Expected [DATASET] [VERSION], found {' '.join(rest)!r}.")
    expect_device(device)
    run = dataset.train(rest[0] if rest else "", recipe, seed, device)
    if json:
        print_json(run)
        return
    metrics, made = run["metrics"]["test"], f"{run['id']}: {run['version']}, {run['recipe']['name']}"
    say(f"{made}, seed {run['seed']}, {run['seconds']:.0f} s, {run['device']}")
    say(f"accuracy on the test split: {interval(metrics['accuracy'])} (n = {metrics['n']})")


def interval(value: dict[str, float]) -> str:
    """Return an estimate with its interval.

    >>> interval({"value": 0.912, "low": 0.89, "high": 0.93})
    '0.912 (95 % interval 0.890 to 0.930)'
    """
    return f"{value['value']:.3f} (95 % interval {value['low']:.3f} to {value['high']:.3f})"


def _cell(value: Any) -> Any:
    """Return an estimate with its interval as short text, anything else as it is."""
    return f"{value['value']:.3f} ({value['low']:.3f} to {value['high']:.3f})" if isinstance(value, dict) else value


def evaluate(
    words: Annotated[list[str], typer.Argument(metavar="[DATASET] MODEL", show_default=False)],
    version: Annotated[str, typer.Option(help="Whose labels are the truth; default: the model's version.")] = "",
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    json: Json = False,
) -> None:
    """Measure a model on a split: accuracy with its interval, and precision and recall of each class."""
    from train.leaks import leak_sentence

    dataset, (model,) = dataset_first(words, "MODEL")
    metrics = dataset.evaluate(model, version, split)
    if json:
        print_json(metrics)
        return
    say(f"{model} on {split}: accuracy {interval(metrics['accuracy'])}, n = {metrics['n']}")
    print_table([{name: _cell(value) for name, value in row.items()} for row in metrics["per_class"]])
    for leak in metrics["leaks"]:
        say(leak_sentence(leak))


def compare(
    words: Annotated[list[str], typer.Argument(metavar="[DATASET] BEFORE AFTER", show_default=False)],
    json: Json = False,
) -> None:
    """Compare two models on the same test labels: which is better, how sure that is, and which predictions changed."""
    dataset, (before, after) = dataset_first(words, "BEFORE AFTER")
    comparison = dataset.compare(before, after)
    if json:
        print_json(comparison)
    else:
        print_comparison(comparison)


def print_comparison(comparison: dict[str, Any]) -> None:
    """Write the verdict, the accuracies and the flips of a comparison."""
    say(comparison["verdict"])
    print_table([{"model": name, "accuracy": interval(value)} for name, value in comparison["accuracy"].items()])
    flips = [
        {
            "kind": flip["kind"],
            "path": flip["path"],
            "label": flip["label"],
            "before": flip["before"],
            "after": flip["after"],
        }
        for flip in comparison["flips"]
    ]
    if flips:
        print_table(flips[:20], f"{len(flips)} flips (the first 20)")


def predict(
    words: Annotated[list[str], typer.Argument(metavar="[DATASET] MODEL IMAGES...", show_default=False)],
    json: Json = False,
) -> None:
    """Classify image files or folders of them with a trained model."""
    dataset, rest = dataset_maybe(words)
    if len(rest) < 2:
        raise Problem("Expected [DATASET] MODEL IMAGES..., as in `curate predict pets m2 photo.jpg`.")
    rows = dataset.predict(rest[0], rest[1:]).to_dict("records")
    if json:
        print_json(rows)
    else:
        print_table(
            [{name: shown(row[name]) for name in ("path", "predicted", "probability", "reason")} for row in rows]
        )
