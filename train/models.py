"""Reads and writes the models of a dataset: ``models/mN/`` with weights, run record and predictions."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pandas as pd

from curate.storage.files import Problem, making_folder, read_json, write_atomic, write_json
from curate.storage.folder import DatasetFolder, next_id, numbered
from curate.storage.tables import read_parquet, write_table
from train.network.recipes import recipe_from

if TYPE_CHECKING:
    from torch import Tensor, nn


def list_models(dataset: DatasetFolder) -> list[str]:
    """Return the ids of all models of ``dataset``, oldest first."""
    return [model for model in numbered(dataset.models, "m") if (dataset.models / model / "run.json").is_file()]


def read_run(dataset: DatasetFolder, model: str) -> dict[str, Any]:
    """Return the run record of ``model``: version, recipe, seed, metrics and all else that ``train_version`` wrote.

    Raises
    ------
    Problem
        When there is no such model.
    """
    known = list_models(dataset)
    if model not in known:
        raise Problem(
            f"Expected a model of {dataset.path}, found {model!r}. "
            + (f"There are {', '.join(known)}." if known else "There is none yet: `curate train VERSION` makes one.")
        )
    run: dict[str, Any] = read_json(dataset.models / model / "run.json")
    return run


def find_run(dataset: DatasetFolder, identity: str) -> dict[str, Any] | None:
    """Return the newest run with this identity (digest of version, recipe, seed and start), None when there is none."""
    runs = (read_run(dataset, model) for model in reversed(list_models(dataset)))
    return next((run for run in runs if run.get("identity") == identity), None)


def read_predictions(dataset: DatasetFolder, model: str) -> pd.DataFrame:
    """Return what ``model`` predicted for every sample of its own version.

    Returns
    -------
    Columns ``sample_id, split, label, predicted`` and one ``p_<class>`` a class. Rows of split ``train`` are in-sample.
    """
    path = dataset.models / model / "predictions.parquet"
    if not path.is_file():
        raise Problem(f"Expected the table {path}, but it is not there. Train it again: `curate train VERSION`.")
    return read_parquet(path)


def write_model(
    dataset: DatasetFolder, weights: dict[str, Tensor], run: dict[str, Any], predictions: pd.DataFrame
) -> dict[str, Any]:
    """Write the next model and return its run record, to which ``id`` and ``weights_digest`` are added."""
    from safetensors.torch import save

    content = save({name: value.detach().cpu().contiguous() for name, value in weights.items()})
    model = next_id(dataset.models, "m")
    run = {"id": model, **run, "weights_digest": hashlib.sha256(content).hexdigest()}
    with making_folder(dataset.models / model) as making:
        write_atomic(making / "model.safetensors", content)
        write_table(making / "predictions.parquet", predictions)
        write_json(making / "run.json", run)
    return run


def load_network(dataset: DatasetFolder, model: str) -> nn.Module:
    """Return the network of ``model`` with its weights, on the CPU, ready to predict.

    Raises
    ------
    Problem
        When the weights are missing, or are not those that the run record names.
    """
    from safetensors.torch import load

    from train.network.networks import build_network

    run = read_run(dataset, model)
    path = dataset.models / model / "model.safetensors"
    if not path.is_file():
        raise Problem(f"Expected the weights {path}, but they are not there. Restore the file or train again.")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != run["weights_digest"]:
        raise Problem(f"{path} is not the file that {model}/run.json describes. Restore it or train again.")
    network = build_network(recipe_from(run["recipe"]), len(run["classes"]), pretrained=False)
    network.load_state_dict(load(content))
    return network.eval()
