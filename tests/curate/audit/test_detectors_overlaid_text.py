"""Lines of letters on drawn pictures, and what looks a little like them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw, ImageFont, ImageOps

from curate.audit.detectors.overlaid_text import _is_written, find_line, find_overlaid_text
from curate.audit.evidence.evidence import Evidence
from curate.images.measure import encode_thumbnail
from curate.spec.model import Source, Spec
from curate.storage.tables import SAMPLES, VOTES, empty, shaped


def ground(seed: int = 0) -> Image.Image:
    """Soft colours, as of something out of focus."""
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(40, 130, (5, 7, 3), dtype=np.uint8)).resize(
        (340, 256), Image.Resampling.BICUBIC
    )


def written(text: str, colour: str | tuple[int, int, int] = "white", size: int = 22, seed: int = 0) -> Image.Image:
    image = ground(seed)
    ImageDraw.Draw(image).text((20, 210), text, fill=colour, font=ImageFont.load_default(size=size))
    return image


def letters(image: Image.Image) -> int:
    return find_line(np.asarray(image.convert("RGB")))[0]


def gather(images: list[Image.Image], cache: Path | None = None) -> Evidence:
    ids = [f"{number:020x}" for number in range(len(images))]
    blank = {name: "" if kind == "str" else 0 for name, kind in SAMPLES.items()}
    rows = [{**blank, "sample_id": one, "path": one} for one in ids]
    samples = shaped(pd.DataFrame(rows, columns=list(SAMPLES)), SAMPLES)
    encoded = {one: encode_thumbnail(image) for one, image in zip(ids, images, strict=True)}
    spec = Spec(name="t", classes={"x": ""}, sources=[Source(path="images")])
    look_up = lambda wanted: {one: encoded[one] for one in wanted}  # noqa: E731
    return Evidence(spec, samples, empty(VOTES), lambda wanted: np.ones((len(wanted), 2)), look_up, cache=cache)


@pytest.mark.parametrize(("text", "count"), [("Adopted", 7), ("03/17/2007", 10), ("BELLA", 5)])
def test_light_letters_are_counted(text: str, count: int) -> None:
    found, left, top, right, bottom = find_line(np.asarray(written(text)))
    assert max(5, count // 2) <= found <= count
    assert left >= 15 and right <= 200 and 205 <= top < bottom <= 240


def test_dark_letters_need_light_paper() -> None:
    image = ground()
    ImageDraw.Draw(image).rectangle((0, 200, 340, 256), fill="white")
    ImageDraw.Draw(image).text((20, 210), "Available now", fill="black", font=ImageFont.load_default(size=22))
    assert letters(image) >= 5
    assert letters(written("Available now", "black")) == 0


def test_what_is_no_text() -> None:
    bars = ground()
    for left in range(20, 320, 14):
        ImageDraw.Draw(bars).rectangle((left, 60, left + 5, 110), fill="white")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (256, 340, 3), dtype=np.uint8))
    grass = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 170, 3), dtype=np.uint8)).resize((340, 256))
    for image in (ground(), bars, noise, grass, ImageOps.mirror(noise), Image.new("RGB", (50, 50), "white")):
        assert letters(image) < 5


@pytest.mark.parametrize(("wide", "is_written"), [(6, False), (10, True)])
def test_letters_are_wider_than_slats(wide: int, is_written: bool) -> None:
    boxes = np.array([[20 * at, 50, wide + at % 4, 16, (6 + at % 2 * 3) * wide] for at in range(6)], float)
    assert _is_written(boxes, np.full((6, 3), 200.0)) == is_written


@pytest.mark.parametrize("size", [(1, 1), (1, 1024), (1024, 2), (7, 9), (32, 32)])
def test_any_size_and_colour(size: tuple[int, int]) -> None:
    for colour in ("black", "white", (200, 30, 30)):
        assert find_line(np.asarray(Image.new("RGB", size, colour))) == (0, 0, 0, 0, 0)
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    assert find_line(noise)[0] >= 0


def test_findings_say_where_and_the_score_falls_with_the_letters() -> None:
    found = find_overlaid_text(gather([ground(), written("BELLA"), written("03/17/2007"), written("Hi")]))
    assert found["is_issue"].tolist() == [False, True, True, False]
    assert found["score"].iloc[0] == 1 and found["score"].iloc[2] < found["score"].iloc[1] <= 0.5
    assert found["evidence"].iloc[0] == "no line of letters"
    assert "letters" in found["evidence"].iloc[2] and "from the top" in found["evidence"].iloc[2]
    assert len(find_overlaid_text(gather([]))) == 0


def test_what_was_looked_at_is_kept(tmp_path: Path) -> None:
    images = [ground(), written("03/17/2007")]
    first = find_overlaid_text(gather(images, tmp_path))
    blind = gather([ground(), ground()], tmp_path)
    assert find_overlaid_text(blind).equals(first)
