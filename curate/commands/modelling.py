"""train, evaluate, compare, predict: versions to models, models to numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from curate.commands.arguments import Json, dataset_first, dataset_maybe, expect_device
from curate.commands.show import print_json, print_table, say, shown
from curate.storage.files import Problem, write_json
from curate.storage.folder import working_on


def train(
    words: Annotated[list[str], typer.Argument(metavar="[DATASET] VERSION", show_default=False)],
    recipe: Annotated[str, typer.Option(help="small or lite0; default: the spec's.")] = "",
    seed: Annotated[int | None, typer.Option(help="Default: the spec's.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    json: Json = False,
) -> None:
    """Train a model on a version; the same version, recipe and seed are not trained twice."""
    from curate.spec.reading import read_spec
    from train.training import train_version

    folder, (version,) = dataset_first(words, "VERSION")
    expect_device(device)
    with working_on(folder):
        run = train_version(folder, read_spec(folder), version, recipe or None, seed, device)
    if json:
        print_json(run)
        return
    metrics = run["metrics"]["test"]
    say(f"{run['id']}: {version}, {run['recipe']['name']}, seed {run['seed']}, {run['seconds']:.0f} s, {run['device']}")
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
    from curate.spec.reading import read_spec
    from train.evaluate import evaluate_model
    from train.leaks import collect_leaks, leak_sentence

    folder, (model,) = dataset_first(words, "MODEL")
    metrics = evaluate_model(folder, read_spec(folder), model, version or None, split)
    metrics["leaks"] = collect_leaks(folder, [model]) if split == "test" else []
    if json:
        print_json(metrics)
        return
    say(f"{model} on {split}: accuracy {interval(metrics['accuracy'])}, n = {metrics['n']}")
    print_table([{name: _cell(value) for name, value in row.items()} for row in metrics["per_class"]])
    for leak in metrics["leaks"]:
        say(leak_sentence(leak))


def compare(
    words: Annotated[list[str], typer.Argument(metavar="[DATASET] M1 M2", show_default=False)],
    json: Json = False,
) -> None:
    """Compare two models on the same test truth: which is better, for sure or not, and which images flipped."""
    from curate.spec.reading import read_spec
    from train.compare import compare_models

    folder, (first, second) = dataset_first(words, "M1 M2")
    comparison = compare_models(folder, read_spec(folder), first, second)
    write_json(folder.reports / "comparison.json", comparison)
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
    from curate.spec.reading import read_spec
    from train.predict import predict_images

    folder, rest = dataset_maybe(words)
    if len(rest) < 2:
        raise Problem("Expected [DATASET] MODEL IMAGES..., as in `curate predict pets m2 photo.jpg`.")
    table = predict_images(folder, read_spec(folder), rest[0], _image_files(rest[1:]))
    rows = table.to_dict("records")
    if json:
        print_json(rows)
    else:
        print_table(
            [{name: shown(row[name]) for name in ("path", "predicted", "probability", "reason")} for row in rows]
        )


def _image_files(names: list[str]) -> list[Path]:
    from curate.images.sources import walk_files, why_ignored

    files: list[Path] = []
    for name in names:
        path = Path(name)
        if not path.exists():
            raise Problem(f"Expected an image or a folder at {path}, but nothing is there.")
        files += [one for one in walk_files(path) if not why_ignored(one, path)] if path.is_dir() else [path]
    return files
