"""From a version to a model on disk: what the record says, what is refused, what happens when it is interrupted."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

import train.training
from curate.spec.model import Spec, Train
from curate.storage.files import Problem, replacing
from curate.storage.tables import write_table
from curate.versions.read import read_manifest
from curate.versions.training_samples import read_training_samples
from tests.train.conftest import SPEC, TINY, Trained, draw_samples, write_dataset, write_version
from train.models import list_models, load_network, read_predictions, read_run
from train.training import compute_labels_digest, train_version


def test_record_says_how_the_model_came_to_be(trained: Trained) -> None:
    run = read_run(trained.dataset, "m2")
    assert run == json.loads(json.dumps(trained.runs["m2"]))
    assert (run["id"], run["version"], run["seed"], run["classes"]) == ("m2", "v2", 0, ["disc", "square"])
    assert run["recipe"]["name"] == "tiny" and run["recipe"]["channels"] == [8, 16]
    assert run["counts"] == {"train": 72, "val": 24, "test": 24}
    assert run["labels_digest"] == compute_labels_digest(read_manifest(trained.dataset, "v2"))
    assert run["epochs"] == 6 and [row["epoch"] for row in run["history"]] == [1, 2, 3, 4, 5, 6]
    assert run["versions"]["torch"] and run["seconds"] > 0 and run["device"].startswith("cpu")
    assert run["metrics"]["test"]["accuracy"]["value"] > 0.9
    assert {"precision", "recall", "f1", "support", "class"} == set(run["metrics"]["test"]["per_class"][0])


def test_labels_digest_sees_labels_and_splits_only(trained: Trained) -> None:
    rows = read_manifest(trained.dataset, "v2")
    assert compute_labels_digest(rows.sample(frac=1, random_state=0).assign(path="x")) == compute_labels_digest(rows)
    assert compute_labels_digest(rows) != compute_labels_digest(read_manifest(trained.dataset, "v1"))


def test_predictions_table_agrees_with_the_record(trained: Trained) -> None:
    table = read_predictions(trained.dataset, "m2")
    assert list(table) == ["sample_id", "split", "label", "predicted", "p_disc", "p_square"]
    assert list(table["sample_id"]) == sorted(read_manifest(trained.dataset, "v2")["sample_id"])
    assert np.allclose(table[["p_disc", "p_square"]].sum(axis=1), 1)
    test = table[table["split"] == "test"]
    right = (test["predicted"] == test["label"]).mean()
    assert right == trained.runs["m2"]["metrics"]["test"]["accuracy"]["value"]
    assert ((table["p_square"] > 0.5) == (table["predicted"] == "square")).all()


def test_identical_training_is_not_repeated(trained: Trained) -> None:
    again = train_version(trained.dataset, SPEC, "v2", TINY, device="cpu")
    assert again["id"] == "m2" and list_models(trained.dataset) == ["m1", "m2"]


def test_shares_are_learnt_where_the_spec_wants_them_and_the_version_has_them(fresh: Trained) -> None:
    wants = SPEC.model_copy(update={"train": Train(labels="shares")})
    assert train_version(fresh.dataset, wants, "v2", TINY, device="cpu")["id"] == "m2"  # v2 carries none
    manifest = read_manifest(fresh.dataset, "v2")
    even = pd.DataFrame({"sample_id": manifest["sample_id"], "disc": 0.5, "square": 0.5})
    write_table(fresh.dataset.versions / "v2" / "shares.parquet", even.sample(frac=1, random_state=0))
    assert train_version(fresh.dataset, SPEC, "v2", TINY, device="cpu")["id"] == "m2"  # nor are they asked for
    run = train_version(fresh.dataset, wants, "v2", TINY, device="cpu")
    assert (run["id"], run["labels"]) == ("m3", "shares")
    learnt = read_predictions(fresh.dataset, "m3")
    assert learnt["p_disc"].between(0.3, 0.7).mean() > 0.9  # it was told that nobody knows
    assert set(learnt["label"]) == {"disc", "square"}  # and is measured on the labels
    even["disc"], even["square"] = 0.6, 0.4
    write_table(fresh.dataset.versions / "v2" / "shares.parquet", even)
    assert train_version(fresh.dataset, wants, "v2", TINY, device="cpu")["id"] == "m4"


def test_force_trains_again_to_the_same_weights(fresh: Trained) -> None:
    again = train_version(fresh.dataset, SPEC, "v2", TINY, device="cpu", force=True)
    assert again["id"] == "m3"
    assert again["weights_digest"] == fresh.runs["m2"]["weights_digest"]
    assert train_version(fresh.dataset, SPEC, "v2", TINY, seed=5, device="cpu")["id"] == "m4"


def test_start_from_another_model(fresh: Trained) -> None:
    one = replace(TINY, epochs=1, learning_rate=1e-5)
    run = train_version(fresh.dataset, SPEC, "v1", one, device="cpu", init="m2")
    assert run["init"] == "m2" and run["metrics"]["test"]["accuracy"]["value"] > 0.9
    assert read_training_samples(fresh.dataset, run["id"]) == read_training_samples(
        fresh.dataset, "m1"
    ) | read_training_samples(fresh.dataset, "m2")
    with pytest.raises(Problem, match="another network"):
        train_version(fresh.dataset, SPEC, "v1", replace(TINY, channels=(4, 8)), device="cpu", init="m2")


def test_interrupted_training_leaves_no_model_and_goes_on(fresh: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(TINY, epochs=4)
    told: list[int] = []

    class Bar:
        """Stands for Ctrl-C in the second epoch, the first time."""

        def __init__(self, *words: object) -> None:
            pass

        def __enter__(self):  # type: ignore[no-untyped-def]
            return self.tell

        def __exit__(self, *error: object) -> None:
            pass

        def tell(self, progress) -> None:  # type: ignore[no-untyped-def]
            told.append(progress.epochs)
            if told == [1, 2]:
                raise KeyboardInterrupt

    monkeypatch.setattr(train.training, "show_epochs", Bar)
    with pytest.raises(KeyboardInterrupt):
        train_version(fresh.dataset, SPEC, "v2", recipe, device="cpu")
    assert list_models(fresh.dataset) == ["m1", "m2"]
    run = train_version(fresh.dataset, SPEC, "v2", recipe, device="cpu")
    assert told == [1, 2, 3, 4] and run["id"] == "m3"
    assert not list((fresh.dataset.cache / "training").iterdir())
    whole = train_version(fresh.dataset, SPEC, "v2", recipe, device="cpu", force=True)
    assert whole["weights_digest"] == run["weights_digest"]


def test_full_disk_while_writing_leaves_no_half_model(fresh: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, value: object) -> Path:
        with replacing(path):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("train.models.write_json", full)
    with pytest.raises(OSError, match="No space"):
        train_version(fresh.dataset, SPEC, "v2", replace(TINY, epochs=1), device="cpu")
    assert sorted(path.name for path in fresh.dataset.models.iterdir()) == ["m1", "m2"]


def test_weights_are_safetensors_and_a_swapped_file_is_noticed(fresh: Trained) -> None:
    path = fresh.dataset.models / "m2" / "model.safetensors"
    assert load_file(path)["head.weight"].shape == (2, 16)
    shutil.copy(fresh.dataset.models / "m1" / "model.safetensors", path)
    with pytest.raises(Problem, match=r"m2/run\.json"):
        load_network(fresh.dataset, "m2")
    path.unlink()
    with pytest.raises(Problem, match="not there"):
        load_network(fresh.dataset, "m2")


def test_what_cannot_be_trained_on(tmp_path: Path) -> None:
    rows = draw_samples(10)
    dataset = write_dataset(tmp_path / "set", rows)
    write_version(dataset, "v2", rows[rows["split"] != "test"])
    write_version(dataset, "v3", rows[(rows["label"] != "disc") | (rows["split"] == "test")])
    one = Spec(name="one", classes={"disc": ""}, sources=[{"path": "."}])
    with pytest.raises(Problem, match="at least two classes"):
        train_version(dataset, one, "v1", TINY)
    with pytest.raises(Problem, match="test split is empty"):
        train_version(dataset, SPEC, "v2", TINY)
    with pytest.raises(Problem, match="v3 has none of disc"):
        train_version(dataset, SPEC, "v3", TINY)
    with pytest.raises(Problem, match="v9"):
        train_version(dataset, SPEC, "v9", TINY)
    with pytest.raises(Problem, match="small, lite0, smoke"):
        train_version(dataset, SPEC, "v1", "large")
    with pytest.raises(Problem, match="device"):
        train_version(dataset, SPEC, "v1", TINY, device="abacus")
    with pytest.raises(Problem, match="'m7'"):
        read_run(dataset, "m7")


def test_class_without_test_samples_and_no_val(tmp_path: Path) -> None:
    rows = draw_samples(10)
    rows = rows[(rows["split"] != "val") & ((rows["label"] == "disc") | (rows["split"] == "train"))]
    dataset = write_dataset(tmp_path / "set", rows)
    run = train_version(dataset, SPEC, "v1", replace(TINY, epochs=2), device="cpu")
    assert run["epochs"] == 2 and run["metrics"]["val"]["n"] == 0
    disc, square = run["metrics"]["test"]["per_class"]
    assert disc["support"] == 2 and square["recall"]["value"] is None
    assert json.loads(json.dumps(run)) == run


def test_two_training_samples_are_enough(tmp_path: Path) -> None:
    rows = pd.concat([draw_samples(1), draw_samples(4).query("split == 'test'")], ignore_index=True)
    dataset = write_dataset(tmp_path / "set", rows)
    run = train_version(dataset, SPEC, "v1", replace(TINY, epochs=1), device="cpu")
    assert run["counts"] == {"train": 2, "val": 0, "test": 2}
