"""A drawn dataset with two versions and a model of each: made once, read by all tests here."""

from __future__ import annotations

import hashlib
import io
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw

from curate.images.thumbnails import thumbnail_cache
from curate.spec.model import Spec
from curate.storage.files import write_json
from curate.storage.folder import DatasetFolder
from curate.storage.tables import MANIFEST, shaped, write_table
from train.network.recipes import Recipe
from train.training import train_version

# Enough for red discs against blue squares, and done in a second.
TINY = Recipe(
    "tiny", "resnet", side=32, epochs=6, batch=16, learning_rate=5e-3, weight_decay=1e-2, channels=(8, 16),
    optimizer="adamw",
)  # fmt: skip
SPEC = Spec(name="shapes", classes={"disc": "", "square": ""}, sources=[{"path": "images"}])


@dataclass(frozen=True)
class Trained:
    """The dataset, its spec, and the records of m1 (of v1: a third of its labels wrong) and m2 (of v2: all right)."""

    dataset: DatasetFolder
    spec: Spec
    runs: dict[str, dict[str, Any]]


def draw(label: str, number: int) -> bytes:
    """Return a PNG: a reddish disc or a bluish square on grey noise."""
    rng = np.random.default_rng([number, len(label)])
    image = Image.fromarray(rng.integers(90, 160, (40, 40, 3), dtype=np.uint8))
    side, left, top = (int(value) for value in (*rng.integers(12, 26, 1), *rng.integers(0, 14, 2)))
    strong, weak = int(rng.integers(150, 250)), int(rng.integers(0, 90))
    box = (left, top, left + side, top + side)
    if label == "disc":
        ImageDraw.Draw(image).ellipse(box, fill=(strong, weak, weak))
    else:
        ImageDraw.Draw(image).rectangle(box, fill=(weak, weak, strong))
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def draw_samples(count: int, labels: tuple[str, ...] = ("disc", "square")) -> pd.DataFrame:
    """Return ``count`` drawn samples of each label: a manifest with one more column, ``image``; one in five is test."""
    rows: list[dict[str, Any]] = []
    for label in labels:
        for number in range(count):
            content = draw(label, number)
            sample_id = hashlib.sha256(content).hexdigest()[:20]
            split = ("train", "train", "train", "test", "val")[number % 5]
            rows.append({"sample_id": sample_id, "path": f"{label}/{number}.png", "label": label, "split": split})
            rows[-1] |= {"group_id": sample_id, "decided_by": "", "image": content}
    return pd.DataFrame(rows).sort_values("sample_id", ignore_index=True)


def write_version(dataset: DatasetFolder, version: str, rows: pd.DataFrame) -> None:
    """Write a version by hand; its digest says what is in it."""
    manifest = shaped(rows, MANIFEST)
    digest = hashlib.sha256(manifest[["sample_id", "label", "split"]].to_csv().encode()).hexdigest()
    write_table(dataset.versions / version / "manifest.parquet", manifest)
    write_json(dataset.versions / version / "version.json", {"id": version, "digest": digest})


def write_dataset(path: Path, rows: pd.DataFrame) -> DatasetFolder:
    """Write thumbnails of ``rows`` and a first version of them."""
    dataset = DatasetFolder(path)
    thumbnail_cache(dataset).add(rows[["sample_id", "image"]])
    write_version(dataset, "v1", rows)
    return dataset


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Do not change it: take `fresh`."""
    rows = draw_samples(60)
    wrong = rows.copy()
    flipped = (wrong["split"] == "train") & (wrong.index % 3 == 0)
    wrong.loc[flipped, "label"] = wrong.loc[flipped, "label"].map({"disc": "square", "square": "disc"})
    # Three samples of v2's test split were used to train m1.
    wrong.loc[wrong.index[wrong["split"] == "test"][:3], "split"] = "train"
    dataset = write_dataset(tmp_path_factory.mktemp("train") / "shapes", wrong)
    write_version(dataset, "v2", rows)
    runs = [train_version(dataset, SPEC, version, TINY, device="cpu") for version in ("v1", "v2")]
    return Trained(dataset, SPEC, {run["id"]: run for run in runs})


@pytest.fixture
def fresh(trained: Trained, tmp_path: Path) -> Trained:
    """A copy that a test may change."""
    shutil.copytree(trained.dataset.path, tmp_path / "shapes")
    return Trained(DatasetFolder(tmp_path / "shapes"), trained.spec, trained.runs)
