"""What all tests share: small drawn images, one scanned dataset, and the demo run once from start to end."""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings
from PIL import Image, ImageDraw

# Two workers on two cores: jobs of two threads each would spin on each other's; the tests' networks are tiny.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from curate.commands.main import main
from curate.images.init import Start, init_dataset
from curate.images.samples import Scan
from curate.images.scan import scan_dataset
from curate.spec.model import Spec
from curate.spec.reading import read_spec
from curate.storage.files import lock_file
from curate.storage.folder import DatasetFolder, open_folder
from curate.storage.tables import FINDINGS, shaped, write_table

ROOT = Path(__file__).parent.parent

# No test may depend on how fast a machine is.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long, so that no worker is left alone with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def draw_shape(label: str, seed: int, size: tuple[int, int] = (96, 80)) -> Image.Image:
    """A disc ('disc') or a square on noise: two classes that a small network can tell."""
    rng = np.random.default_rng([seed, len(label)])
    image = Image.fromarray(rng.integers(40, 215, (size[1], size[0], 3), dtype=np.uint8)).resize(size)
    image = image.resize((12, 10)).resize(size, Image.Resampling.BICUBIC)
    side = int(min(size) * rng.uniform(0.35, 0.6))
    left, top = int(rng.integers(0, size[0] - side)), int(rng.integers(0, size[1] - side))
    colour = tuple(int(value) for value in rng.integers(0, 256, 3))
    draw = ImageDraw.Draw(image)
    (draw.ellipse if label == "disc" else draw.rectangle)(
        (left, top, left + side, top + side), fill=colour, outline="black"
    )
    return image


def write_shapes(folder: Path, count: int, labels: tuple[str, ...] = ("disc", "square")) -> Path:
    """Write ``count`` images of each label into class folders of ``folder``."""
    for label in labels:
        (folder / label).mkdir(parents=True, exist_ok=True)
        for seed in range(count):
            draw_shape(label, seed).save(folder / label / f"{seed:03d}.jpg", quality=90)
    return folder


@pytest.fixture(scope="session", autouse=True)
def own_database(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the tests out of the user's FiftyOne database; its mongod stops before the folder goes."""
    folder = tmp_path_factory.mktemp("fiftyone")
    os.environ["FIFTYONE_DATABASE_DIR"] = str(folder)
    os.environ["FIFTYONE_PLUGINS_DIR"] = str(folder / "plugins")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 discs and 12 squares in class folders. Do not change it: copy it."""
    return write_shapes(tmp_path_factory.mktemp("shapes") / "images", 12)


@pytest.fixture
def make_dataset(tmp_path: Path) -> Callable[..., tuple[DatasetFolder, Spec]]:
    """Return a function from a source folder or CSV to an initialised dataset and its spec."""

    def make(source: Path, name: str = "set") -> tuple[DatasetFolder, Spec]:
        init_dataset(tmp_path / name, source)
        dataset = open_folder(tmp_path / name)
        return dataset, read_spec(dataset)

    return make


def write_partly_labelled(shapes: Path, folder: Path) -> tuple[DatasetFolder, Spec]:
    """Return a scanned dataset in ``folder``: 12 discs and 12 squares, the last five squares without a label."""
    images = folder / "images"
    shutil.copytree(shapes, images)
    rows = [f"{label}/{place:03d}.jpg" for label in ("disc", "square") for place in range(12)]
    labelled = [f"{path},{path.split('/')[0] if path < 'square/007' else ''}" for path in rows]
    (images / "labels.csv").write_text("\n".join(["path,label", *labelled]))
    init_dataset(folder / "set", images / "labels.csv", Start(classes=("disc", "square")))
    dataset = open_folder(folder / "set")
    scan_dataset(dataset, read_spec(dataset))
    return dataset, read_spec(dataset)


@pytest.fixture
def scanned(
    shapes: Path, tmp_path: Path, make_dataset: Callable[..., tuple[DatasetFolder, Spec]]
) -> tuple[DatasetFolder, Spec, Scan]:
    """A dataset of its own copy of the shapes, scanned."""
    images = tmp_path / "images"
    shutil.copytree(shapes, images)
    dataset, spec = make_dataset(images)
    return dataset, spec, scan_dataset(dataset, spec)


def write_groups(dataset: DatasetFolder, scan: Scan, groups: dict[str, str] | None = None) -> None:
    """Write the audit's groups by hand: each sample alone, or in the group that ``groups`` says, named by keeper."""
    ids = scan.samples.loc[scan.samples["reason"] == "", "sample_id"]
    names = [(groups or {}).get(one, one) for one in ids]
    table = pd.DataFrame({"sample_id": ids, "group_id": names, "kind": "", "keeper": names})
    write_table(dataset.cache / "groups.parquet", table)


def write_findings(dataset: DatasetFolder, *rows: dict[str, object]) -> pd.DataFrame:
    """Write the audit's findings by hand; what a row leaves out is empty."""
    blank = {"path": "", "score": 0.01, "is_issue": True, "group_id": "", "suggested_action": "", "suggested_label": ""}
    blank |= {"evidence": "because", "kind": "", "detector": "by hand"}
    table = shaped(pd.DataFrame([{**blank, **row} for row in rows], columns=list(FINDINGS)), FINDINGS)
    write_table(dataset.cache / "findings.parquet", table)
    return table


@pytest.fixture
def grouped(scanned: tuple[DatasetFolder, Spec, Scan]) -> tuple[DatasetFolder, Spec, Scan]:
    """The scanned dataset, with every sample a group of its own and no findings."""
    dataset, spec, scan = scanned
    write_groups(dataset, scan)
    write_findings(dataset)
    return dataset, spec, scan


def train_quickly(dataset: Path) -> None:
    """Let ``curate run`` train with the recipe `smoke`, where what is learned is not the subject."""
    spec = dataset / "dataset.yaml"
    spec.write_text(spec.read_text(encoding="utf-8").replace("recipe: small", "recipe: smoke"), encoding="utf-8")


def curate(*words: str | Path, cwd: Path | None = None, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Type a command as a user would, and expect its exit code; in this process, which has imported everything."""
    out, error, before = io.StringIO(), io.StringIO(), Path.cwd()
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(sys, "argv", ["curate", *map(str, words)]))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(error))
        stack.callback(os.chdir, before)
        os.chdir(cwd or before)
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code == code, out.getvalue() + error.getvalue()
    return subprocess.CompletedProcess(words, code, out.getvalue(), error.getvalue())


def curate_alone(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Type a command that ends well in a process of its own, where nothing is imported or remembered yet."""
    command = [sys.executable, "-m", "curate.commands.main", *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@dataclass(frozen=True)
class DemoRun:
    """A demo drawn and run from start to end: its dataset, its spec, and what `curate run --json` printed."""

    dataset: DatasetFolder
    spec: Spec
    summary: dict[str, Any]


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> DemoRun:
    """The main job on 160 drawings, done by the first worker that needs it. Do not change it: copy it by `copy_of`."""
    own = tmp_path_factory.getbasetemp()
    folder = (own if worker_id == "master" else own.parent) / "demo"
    summary = folder / "run.json"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        lock_file(lock)
        if not summary.is_file():
            curate_alone("demo", folder / "pets", "--samples", "160")
            summary.write_text(curate_alone("run", folder / "pets", "--json").stdout)
    dataset = open_folder(folder / "pets")
    return DemoRun(dataset, read_spec(dataset), json.loads(summary.read_text()))


def copy_of(run: DemoRun, folder: Path) -> DatasetFolder:
    """Return a copy of the run's dataset that a test may change."""
    shutil.copytree(run.dataset.path, folder)
    return open_folder(folder)
