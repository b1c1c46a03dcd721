"""Predicting files: right answers, every order, and a reason for each file that cannot be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curate.storage.files import Problem
from tests.train.conftest import SPEC, Trained, draw
from train.predict import predict_images


def test_files_and_what_cannot_be_read(trained: Trained, tmp_path: Path) -> None:
    for name in ("disc", "square"):
        (tmp_path / f"{name}.png").write_bytes(draw(name, 900))
    (tmp_path / "broken.png").write_bytes(draw("disc", 1)[:200])
    (tmp_path / "empty.jpg").write_bytes(b"")
    asked = [tmp_path / name for name in ("square.png", "broken.png", "none.png", "disc.png", "empty.jpg")]
    table = predict_images(trained.dataset, SPEC, "m2", asked, device="cpu")
    assert list(table) == ["path", "predicted", "probability", "reason", "p_disc", "p_square"]
    assert list(table["path"]) == [str(path) for path in asked]
    assert list(table["predicted"]) == ["square", "", "", "disc", ""]
    assert list(table["reason"] == "") == [True, False, False, True, False]
    assert table["reason"][2] == "No such file or directory"
    assert table["probability"][0] == table["p_square"][0] > 0.5 and np.isnan(table["probability"][1])


def test_folder_stands_for_its_images(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        (tmp_path / "in" / f"{number}.png").write_bytes(draw("disc", number))
    (tmp_path / "in" / "notes.txt").write_text("no image")
    table = predict_images(trained.dataset, SPEC, "m2", [tmp_path], device="cpu")
    assert list(table["predicted"]) == ["disc"] * 3


def test_no_files_and_no_model(trained: Trained) -> None:
    assert len(predict_images(trained.dataset, SPEC, "m2", [])) == 0
    with pytest.raises(Problem, match="'m9'"):
        predict_images(trained.dataset, SPEC, "m9", [])
