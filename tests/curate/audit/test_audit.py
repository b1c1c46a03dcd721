"""The whole audit on a drawn folder: complete, repeatable, quick the second time, and calm about odd inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw

from curate.audit.audit import DETECTORS, audit_dataset, read_findings, read_notes
from curate.images.scan import scan_dataset
from curate.spec.model import Audit, Source, Spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder
from curate.storage.tables import FINDINGS

PIXELS = Audit(embedding="pixels.npy")


def draw(seed: int, ground: tuple[int, int, int]) -> Image.Image:
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (120, 90), ground)
    pen = ImageDraw.Draw(image)
    for x, y, w, h, *colour in rng.integers(0, 90, (80, 7)).tolist():
        pen.ellipse((x, y, x + 3 + w // 4, y + 3 + h // 4), fill=tuple(colour))
    return image


def make(folder: Path, per_class: int = 6, classes: tuple[str, ...] = ("cat", "dog")) -> tuple[DatasetFolder, Spec]:
    """Class folders of drawings; their embeddings are their mean colours, saved as ``pixels.npy``."""
    for place, name in enumerate(classes):
        (folder / "images" / name).mkdir(parents=True)
        for number in range(per_class):
            ground = (230, 160, 160) if place == 0 else (160, 160, 230)
            draw(100 * place + number, ground).save(folder / "images" / name / f"{number}.png")
    spec = Spec(name="t", classes=dict.fromkeys(classes, ""), sources=[Source(path="images")], audit=PIXELS)
    return DatasetFolder(folder), spec


def scan(dataset: DatasetFolder, spec: Spec) -> None:
    samples = scan_dataset(dataset, spec).samples
    files = [dataset.path / "images" / path for path in samples["path"]]
    means = [
        np.asarray(Image.open(file).convert("RGB")).mean((0, 1)) if reason == "" else np.zeros(3)
        for file, reason in zip(files, samples["reason"], strict=True)
    ]
    np.save(dataset.path / "pixels.npy", np.array(means, np.float32).reshape(-1, 3))
    (dataset.path / "pixels.txt").write_text("".join(f"{path}\n" for path in samples["path"]))


def test_every_sample_is_scored_and_the_order_is_fixed(tmp_path: Path) -> None:
    dataset, spec = make(tmp_path)
    (tmp_path / "images" / "cat" / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    draw(0, (230, 160, 160)).resize((80, 60)).save(tmp_path / "images" / "dog" / "copy.png")
    scan(dataset, spec)
    found = audit_dataset(dataset, spec)
    assert list(found.columns) == list(FINDINGS)
    rows = found.groupby("issue").size()
    assert rows[["unreadable", "dark", "near_duplicate", "label_error"]].tolist() == [14, 13, 13, 13]
    assert found["score"].between(0, 1).all()
    ordered = found.sort_values(["issue", "score", "sample_id"], ignore_index=True)
    pd.testing.assert_frame_equal(found, ordered)
    issues = found[found["is_issue"]].groupby("issue")["path"].apply(sorted).to_dict()
    assert issues["unreadable"] == ["cat/broken.jpg"]
    assert issues["near_duplicate"] == issues["label_conflict"] == ["cat/0.png", "dog/copy.png"]


def test_tables_are_written_and_cover_the_readable_samples(tmp_path: Path) -> None:
    dataset, spec = make(tmp_path)
    scan(dataset, spec)
    found = audit_dataset(dataset, spec)
    pd.testing.assert_frame_equal(found, read_findings(dataset))
    groups = pd.read_parquet(dataset.cache / "groups.parquet")
    probs = pd.read_parquet(dataset.cache / "pred_probs.parquet")
    assert list(probs.columns) == ["sample_id", "cat", "dog"]
    assert len(groups) == len(probs) == 12
    # Six pictures a class: what needs more says so, and nothing else is left out.
    assert [note.split(":")[0] for note in read_notes(dataset)] == ["off_topic", "shortcut", "weak_slice"]


def test_unchanged_is_answered_from_the_store_and_a_change_is_not(tmp_path: Path) -> None:
    dataset, spec = make(tmp_path)
    scan(dataset, spec)
    audit_dataset(dataset, spec)
    written = (dataset.cache / "findings.parquet").stat().st_mtime_ns
    audit_dataset(dataset, spec)
    assert (dataset.cache / "findings.parquet").stat().st_mtime_ns == written
    (dataset.cache / "groups.parquet").unlink()
    audit_dataset(dataset, spec)
    assert (dataset.cache / "groups.parquet").is_file()
    darker = spec.model_copy(update={"audit": Audit(embedding="pixels.npy", dark=0.99)})
    assert audit_dataset(dataset, darker).query("issue == 'dark'")["is_issue"].all()


def test_the_same_folder_gives_the_same_table(tmp_path: Path) -> None:
    tables = []
    for name in ("one", "two"):
        dataset, spec = make(tmp_path / name)
        scan(dataset, spec)
        tables.append(audit_dataset(dataset, spec))
    pd.testing.assert_frame_equal(*tables)


def test_a_check_to_skip_that_there_is_none_of(grouped) -> None:
    """A slip in the name would leave the check on, and nobody would know."""
    dataset, spec, _ = grouped
    audit = spec.audit.model_copy(update={"skip": ["label_eror"]})
    with pytest.raises(Problem, match=r"audit.skip: expected issues \(unreadable, .*\), found 'label_eror'"):
        audit_dataset(dataset, spec.model_copy(update={"audit": audit}))


def test_skipped_checks_give_no_rows(tmp_path: Path) -> None:
    dataset, spec = make(tmp_path)
    skipped = [issue for issue in DETECTORS if issue != "dark"]
    spec = spec.model_copy(update={"audit": Audit(embedding="pixels.npy", skip=skipped)})
    scan(dataset, spec)
    assert set(audit_dataset(dataset, spec)["issue"]) == {"dark"}


@pytest.mark.parametrize(("per_class", "classes"), [(0, ("cat",)), (1, ("cat",)), (3, ("cat",)), (1, ("cat", "dog"))])
def test_too_few_for_some_checks(tmp_path: Path, per_class: int, classes: tuple[str, ...]) -> None:
    dataset, spec = make(tmp_path, per_class, classes)
    (tmp_path / "images" / "cat" / "broken.png").write_bytes(b"nothing")
    scan(dataset, spec)
    found = audit_dataset(dataset, spec)
    count = per_class * len(classes)
    assert (found["issue"] == "unreadable").sum() == count + 1
    assert (found["issue"] == "near_duplicate").sum() == count
    assert not (found["issue"] == "label_error").any()
    assert any(note.startswith("label_error") for note in read_notes(dataset))
    assert len(pd.read_parquet(dataset.cache / "pred_probs.parquet")) == 0


def test_without_a_scan_the_command_is_named(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="curate scan"):
        audit_dataset(DatasetFolder(tmp_path), Spec(name="t", classes={"a": ""}, sources=[Source(path="x")]))
