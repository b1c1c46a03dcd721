"""Versions and models of a dataset: rules, splits, training, evaluation and comparison."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.api.stages import Stages
from curate.storage.files import Problem, write_json

if TYPE_CHECKING:
    import pandas as pd

    from curate.check.rules import Rule
    from curate.versions.read import Version


class Modelling(Stages):
    """Versions to models, models to numbers."""

    @property
    def versions(self) -> dict[str, Version]:
        """The versions that were built, by id, oldest first."""
        from curate.storage.folder import numbered
        from curate.versions.read import load_version

        return {one: load_version(self.folder, one) for one in numbered(self.folder.versions, "v")}

    @property
    def models(self) -> dict[str, dict[str, Any]]:
        """The run records of the models that were trained, by id, oldest first; see `train`."""
        from train.models import list_models, read_run

        return {one: read_run(self.folder, one) for one in list_models(self.folder)}

    def check(self) -> list[Rule]:
        """Return each rule of the spec's `check:` with what the current version has, and whether it holds."""
        from curate.check.rules import check_dataset

        self._need_version()
        return check_dataset(self.folder, self.spec)

    def split(self, sample: str = "") -> dict[str, Any]:
        """Return the splits as a build would have them now, and why; or why one sample is where it is.

        See ``explain_split`` and ``explain_sample`` of ``curate.versions.explain_split`` for the keys.
        """
        from curate.versions.explain_split import explain_sample, explain_split

        self._need_audit()
        return explain_sample(self.folder, self.spec, sample) if sample else explain_split(self.folder, self.spec)

    def export(self, version: str, to: Path | str, format: str = "imagefolder") -> Path:
        """Write a version for other tools to the new folder ``to``; the sources are copied, never touched.

        Parameters
        ----------
        format
            imagefolder, csv or parquet.
        """
        from curate.versions.export import export_version

        return export_version(self.folder, version, Path(to), format)

    def train(
        self, version: str = "", recipe: str = "", seed: int | None = None, device: str = "auto"
    ) -> dict[str, Any]:
        """Train a model and return its run record, as in models/mN/run.json; an existing model is reused.

        Parameters
        ----------
        version
            Default: what sources and decisions give now; it is built first. Without `deps`, the newest version.
        recipe, seed
            Default: the spec's.
        device
            auto, cpu, cuda or mps.
        """
        from curate.versions.read import current_version
        from train.training import train_version

        with self._working():
            chosen = version or (self.build().id if self.deps else current_version(self.folder) or "v1")
            return train_version(self.folder, self.spec, chosen, recipe or None, seed, device)

    def evaluate(self, model: str, version: str = "", split: str = "test") -> dict[str, Any]:
        """Measure a model on a split: ``accuracy`` with its interval, ``per_class``, ``n``; and `leaks` into test.

        Parameters
        ----------
        version
            Whose labels are the truth; default: the model's version.
        split
            train, val or test.
        """
        from train.evaluate import evaluate_model
        from train.leaks import collect_leaks

        metrics = evaluate_model(self.folder, self.spec, model, version or None, split)
        return {**metrics, "leaks": collect_leaks(self.folder, [model]) if split == "test" else []}

    def compare(self, before: str, after: str) -> dict[str, Any]:
        """Compare two models on the same test truth: `verdict`, `accuracy`, and `flips`, the images that changed.

        See ``train.compare.compare_models`` for all keys. It is kept as reports/comparison.json.
        """
        from train.compare import compare_models

        comparison = compare_models(self.folder, self.spec, before, after)
        write_json(self.folder.reports / "comparison.json", comparison)
        return comparison

    def predict(self, model: str, images: Iterable[Path | str]) -> pd.DataFrame:
        """Classify image files, or folders of them: ``path, predicted, probability, reason``, ``p_<class>`` a class.

        A file that cannot be read has its reason; a Problem when one is not there.
        """
        from train.predict import predict_images

        paths = [Path(one) for one in images]
        if gone := [one for one in paths if not one.exists()]:
            raise Problem(f"Expected an image or a folder at {gone[0]}, but nothing is there.")
        return predict_images(self.folder, self.spec, model, paths)
