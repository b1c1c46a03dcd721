"""The pixel file: each image once, in any order, whole after a write that was cut off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curate.images.thumbnails import read_pixels
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder
from tests.train.conftest import draw_samples, write_dataset
from train.network.pixels import read_rows


@pytest.fixture
def drawn(tmp_path: Path) -> tuple[DatasetFolder, list[str]]:
    rows = draw_samples(6)
    return write_dataset(tmp_path / "set", rows), list(rows["sample_id"])


def test_rows_are_the_pixels_of_the_samples(drawn: tuple[DatasetFolder, list[str]]) -> None:
    dataset, ids = drawn
    for asked in (ids[:3], ids[::-1], [ids[4], ids[0]]):
        pixels, rows = read_rows(dataset, asked, 32)
        assert np.array_equal(pixels[rows], read_pixels(dataset, asked, 32))


def test_only_new_images_are_added(drawn: tuple[DatasetFolder, list[str]]) -> None:
    dataset, ids = drawn
    file = dataset.cache / "pixels-v2-32" / "pixels.u8"
    read_rows(dataset, ids[:4], 32)
    first = file.read_bytes()
    read_rows(dataset, ids[2:6], 32)
    assert file.read_bytes()[: len(first)] == first and file.stat().st_size == 6 * 32 * 32 * 3


def test_append_that_was_cut_off_is_made_again(drawn: tuple[DatasetFolder, list[str]]) -> None:
    dataset, ids = drawn
    read_rows(dataset, ids[:4], 32)
    folder = dataset.cache / "pixels-v2-32"
    with (folder / "pixels.u8").open("ab") as file:
        file.write(b"\7" * 5000)  # one image and a half, whose ids never came
    with (folder / "ids.txt").open("ab") as file:
        file.write(ids[4][:9].encode())
    pixels, rows = read_rows(dataset, ids, 32)
    assert np.array_equal(pixels[rows], read_pixels(dataset, ids, 32))


def test_pixel_file_that_lost_its_end_is_mended(drawn: tuple[DatasetFolder, list[str]]) -> None:
    dataset, ids = drawn
    read_rows(dataset, ids, 32)
    file = dataset.cache / "pixels-v2-32" / "pixels.u8"
    file.write_bytes(file.read_bytes()[:-10])
    pixels, rows = read_rows(dataset, ids, 32)
    assert np.array_equal(pixels[rows], read_pixels(dataset, ids, 32))


@pytest.mark.parametrize("name", ["pixels.u8", "ids.txt"])
def test_damaged_rows_are_made_again(drawn: tuple[DatasetFolder, list[str]], name: str) -> None:
    dataset, ids = drawn
    read_rows(dataset, ids, 32)
    file = dataset.cache / "pixels-v2-32" / name
    content = file.read_bytes()
    for start in (0, 40):  # all of it, and some bytes of a row or line
        file.write_bytes(content[:start] + np.random.default_rng(0).bytes(len(content) if not start else 9))
        with file.open("ab") as end:
            end.write(content[file.stat().st_size :])
        pixels, rows = read_rows(dataset, ids, 32)
        assert np.array_equal(pixels[rows], read_pixels(dataset, ids, 32))
    size = file.stat().st_size
    read_rows(dataset, ids, 32)
    assert file.stat().st_size == size


def test_sample_without_thumbnail_is_a_problem(drawn: tuple[DatasetFolder, list[str]]) -> None:
    with pytest.raises(Problem, match="thumbnails"):
        read_rows(drawn[0], ["0" * 20], 32)


def test_no_samples(drawn: tuple[DatasetFolder, list[str]]) -> None:
    pixels, rows = read_rows(drawn[0], [], 32)
    assert pixels.shape == (0, 32, 32, 3) and len(rows) == 0
