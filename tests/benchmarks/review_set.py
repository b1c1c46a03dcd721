"""A dataset as scan and audit would leave it, of any size: drawn pictures, written findings, groups and embeddings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from curate.images.init import init_dataset
from curate.images.scan import scan_dataset
from curate.spec.reading import read_spec
from curate.storage.cache import ContentCache
from curate.storage.folder import DatasetFolder, open_folder
from curate.storage.tables import FINDINGS, shaped, write_table
from curate.vectors.embed import SIDE

CLASSES = ("disc", "square")
SIZE = (64, 48)
SUSPECTS = 50  # one sample in so many has a label suggestion
FEWEST_SUSPECTS = 300
COPIES = 10  # one sample in so many has a near copy
DARK = 100
WIDTH, KINDS = 1_280, 50  # of the embeddings: as long as Lite0's, around so many centres
CHUNK = 5_000


def make_review_set(folder: Path, count: int) -> DatasetFolder:
    """Draw ``count`` pictures into ``folder``, scan them, and write by hand what an audit would have found."""
    draw_pictures(folder / "images", count)
    init_dataset(folder / "set", folder / "images")
    dataset = open_folder(folder / "set")
    samples = scan_dataset(dataset, read_spec(dataset)).samples
    groups = write_groups(dataset, samples)
    write_findings(dataset, samples, groups)
    write_embeddings(dataset, list(samples["sample_id"]))
    return dataset


def draw_pictures(folder: Path, count: int) -> None:
    """Noise with a disc or a square on it: no two of the same bytes."""
    rng = np.random.default_rng(0)
    for label in CLASSES:
        (folder / label).mkdir(parents=True)
    for place in range(count):
        label = CLASSES[place % 2]
        image = Image.fromarray(rng.integers(40, 215, (6, 8, 3), dtype=np.uint8)).resize(SIZE)
        left, top, side = (int(value) for value in rng.integers((0, 0, 16), (32, 16, 32)))
        draw = ImageDraw.Draw(image)
        fill = tuple(int(value) for value in rng.integers(0, 256, 3))
        (draw.ellipse if label == "disc" else draw.rectangle)((left, top, left + side, top + side), fill=fill)
        image.save(folder / label / f"{place:06d}.jpg", quality=85)


def write_groups(dataset: DatasetFolder, samples: pd.DataFrame) -> pd.DataFrame:
    """Put each tenth sample and the one after it into a group."""
    ids = list(samples["sample_id"])
    names = [ids[place - 1] if place % COPIES == 1 else one for place, one in enumerate(ids)]
    table = pd.DataFrame({"sample_id": ids, "group_id": names, "kind": "", "keeper": names})
    write_table(dataset.cache / "groups.parquet", table)
    return table


def write_findings(dataset: DatasetFolder, samples: pd.DataFrame, groups: pd.DataFrame) -> None:
    """Write a score of label_error, near_duplicate and dark for all, and the flags on some."""
    ids, count = samples["sample_id"], len(samples)
    blank = {"path": samples["path"], "group_id": "", "suggested_action": "", "suggested_label": "", "kind": ""}
    blank |= {"sample_id": ids, "evidence": "written by hand", "detector": "none"}
    suspects = min(count, max(FEWEST_SUSPECTS, count // SUSPECTS))
    ranks = np.random.default_rng(1).permutation(count)
    is_suspect, other = ranks < suspects, samples["given_label"].map(dict(zip(CLASSES, CLASSES[::-1], strict=True)))
    label_error = pd.DataFrame({**blank, "issue": "label_error", "score": 0.01 + 0.98 * ranks / count})
    label_error = label_error.assign(is_issue=is_suspect, suggested_label=other.where(is_suspect, ""))
    label_error["suggested_action"] = np.where(is_suspect, "relabel", "")
    copied = groups["group_id"].duplicated(keep=False).to_numpy()
    near = pd.DataFrame({**blank, "issue": "near_duplicate", "score": np.where(copied, 0.1, 0.9), "is_issue": copied})
    near["group_id"] = groups["group_id"].where(copied, "").to_numpy()
    near["suggested_action"] = np.where(copied, np.where(groups["keeper"] == groups["sample_id"], "keep", "merge"), "")
    dark = pd.DataFrame({**blank, "issue": "dark", "score": 0.5, "is_issue": np.arange(count) % DARK == 0})
    write_table(dataset.cache / "findings.parquet", shaped(pd.concat([label_error, near, dark]), FINDINGS))


def write_embeddings(dataset: DatasetFolder, ids: list[str]) -> None:
    """Fill the cache that Lite0's vectors are kept in, so that no network has to run."""
    rng = np.random.default_rng(2)
    centres = rng.standard_normal((KINDS, WIDTH)).astype(np.float32)
    cache = ContentCache(dataset.cache, f"embeddings-lite0-{SIDE}-v1")
    for start in range(0, len(ids), CHUNK):
        some = ids[start : start + CHUNK]
        vectors = centres[rng.integers(0, KINDS, len(some))] + rng.standard_normal((len(some), WIDTH), np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        rows = {"sample_id": some, "embedding": [row.tobytes() for row in vectors.astype(np.float16)]}
        cache.add(pd.DataFrame(rows))
