"""One fault a picture: each is found by its own check, and an ordinary picture by none."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from curate.audit.audit import DETECTORS
from curate.audit.evidence.evidence import Evidence
from curate.images.measure import measure_content
from curate.spec.model import Images, Source, Spec
from curate.storage.tables import LOCATIONS, SAMPLES, VOTES, empty, shaped

CHECKS: tuple[str, ...] = ("dark", "light", "blurry", "low_information", "odd_size", "odd_aspect_ratio", "grayscale")
CHECKS += ("placeholder", "border")


def ordinary() -> Image.Image:
    """Coloured noise at two scales: bright, sharp, full of information."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((320, 240))
    fine = Image.fromarray(rng.integers(0, 256, (240, 320, 3), dtype=np.uint8))
    return Image.blend(coarse, fine, 0.3)


def gather(images: list[Image.Image | bytes]) -> Evidence:
    rows = []
    for number, image in enumerate(images):
        buffer = io.BytesIO()
        if isinstance(image, Image.Image):
            image.save(buffer, "PNG")
        row, _ = measure_content(image if isinstance(image, bytes) else buffer.getvalue(), Images())
        rows.append({**row, "sample_id": f"{number:020x}"})
    texts = {"path": "x.png", "source": "", "given_label": "", "given_split": "", "locations": 1}
    samples = shaped(pd.DataFrame(rows).assign(**texts), SAMPLES)
    spec = Spec(name="t", classes={"x": ""}, sources=[Source(path="images")])
    return Evidence(spec, samples, empty(VOTES), lambda ids: np.ones((len(ids), 2)), lambda ids: {})


def lamp() -> Image.Image:
    """A night without anything to see but a lamp."""
    night = ordinary().point(lambda value: value // 20)
    ImageDraw.Draw(night).ellipse((150, 100, 170, 120), fill="white")
    return night


def icon() -> Image.Image:
    drawn = Image.new("RGB", (320, 240), (255, 255, 255))
    draw = ImageDraw.Draw(drawn)
    draw.ellipse((60, 60, 180, 180), fill=(200, 60, 40))
    draw.rectangle((160, 40, 260, 140), fill=(30, 90, 160))
    return drawn


def studio() -> Image.Image:
    """A subject on a white ground, a thirteenth of the picture."""
    return on_ground(Image.new("RGB", (320, 240), (252, 252, 252)), ordinary(), (90, 80))


def black_cat() -> Image.Image:
    """Nearly black fur before black; eyes and a rim of light are seen."""
    night = ordinary().point(lambda value: value // 12)
    return on_ground(night, ordinary().point(lambda value: value // 2), (90, 80))


def on_ground(ground: Image.Image, subject: Image.Image, size: tuple[int, int]) -> Image.Image:
    outline = Image.new("L", size, 0)
    ImageDraw.Draw(outline).ellipse((0, 0, size[0] - 1, size[1] - 1), fill=255)
    ground.paste(subject.crop((0, 0, *size)), (120, 90), outline)
    return ground


def sepia() -> Image.Image:
    return ImageOps.colorize(ordinary().convert("L"), (20, 10, 0), (255, 240, 200))


FAULTS: dict[str, tuple[Image.Image, set[str]]] = {
    "none": (ordinary(), set()),
    "studio": (studio(), set()),
    "black cat": (black_cat(), set()),
    "dark": (ordinary().point(lambda value: value // 6), {"dark"}),
    "lamp": (lamp(), {"dark"}),
    "light": (ordinary().point(lambda value: 215 + value // 7), {"light"}),
    "blurry": (ordinary().filter(ImageFilter.GaussianBlur(8)), {"blurry"}),
    "blank": (Image.new("RGB", (320, 240), (90, 120, 150)), {"low_information"}),
    "small": (ordinary().resize((40, 30), Image.Resampling.NEAREST), {"odd_size"}),
    "long": (ordinary().resize((900, 200)), {"odd_aspect_ratio"}),
    "grey": (ordinary().convert("L"), {"grayscale"}),
    "sepia": (sepia(), {"grayscale"}),
    "icon": (icon(), {"placeholder"}),
    "frame": (ImageOps.expand(ordinary().resize((300, 220)), 10, fill="black"), {"border"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found_by_its_own_check(fault: str) -> None:
    image, expected = FAULTS[fault]
    evidence = gather([image, ordinary(), ordinary()])
    tables = {issue: DETECTORS[issue](evidence) for issue in CHECKS}
    assert {issue for issue, table in tables.items() if table["is_issue"].iloc[0]} == expected
    assert not any(table["is_issue"].iloc[1:].any() for table in tables.values())
    assert all(table["score"].between(0, 1).all() for table in tables.values())


def test_unreadable_gives_the_reason_and_no_other_check_sees_it() -> None:
    evidence = gather([ordinary(), b"", b"no picture"])
    found = DETECTORS["unreadable"](evidence)
    assert found["is_issue"].tolist() == [False, True, True]
    assert found["evidence"].tolist()[:2] == ["", "the file is empty"]
    assert len(DETECTORS["dark"](evidence)) == 1


def test_no_picture_gives_no_rows() -> None:
    evidence = gather([b"no picture"])
    assert [len(DETECTORS[issue](evidence)) for issue in CHECKS] == [0] * len(CHECKS)


def test_each_unreadable_file_has_its_row() -> None:
    """Two empty files are one content in two places; both must be found."""
    evidence = gather([ordinary(), b""])
    empty_id = evidence.samples["sample_id"].iloc[1]
    files = pd.DataFrame({"path": ["a.jpg", "b.jpg"], "sample_id": empty_id, "status": "unreadable", "reason": "empty"})
    found = DETECTORS["unreadable"](
        replace(evidence, locations=shaped(files.reindex(columns=list(LOCATIONS)), LOCATIONS))
    )
    assert found.loc[found["is_issue"], "path"].tolist() == ["a.jpg", "b.jpg"]
    assert len(found) == 3


def verdicts(*images: Image.Image) -> dict[str, list[bool]]:
    evidence = gather(list(images))
    return {issue: DETECTORS[issue](evidence)["is_issue"].tolist() for issue in CHECKS}


def scores(issue: str, images: list[Image.Image]) -> list[float]:
    return DETECTORS[issue](gather(list(images)))["score"].tolist()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_mirrored_or_encoded_picture_keeps_its_verdict(fault: str) -> None:
    image = FAULTS[fault][0]
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    again = Image.open(io.BytesIO(buffer.getvalue()))
    for issue, found in verdicts(image, ImageOps.mirror(image), again, ordinary(), *[ordinary()] * 4).items():
        assert found[0] == found[1] == found[2], issue


def test_more_of_a_fault_never_raises_the_score() -> None:
    series = {
        "blurry": [ordinary().filter(ImageFilter.GaussianBlur(blur / 2)) for blur in range(10)],
        "dark": [ordinary().point(lambda value, part=part: value * part // 10) for part in range(10, 0, -1)],
        "light": [
            ordinary().point(lambda value, part=part: 255 - (255 - value) * part // 10) for part in range(10, 0, -1)
        ],
        "border": [ImageOps.expand(ordinary(), width, fill="white") for width in range(0, 60, 6)],
    }
    for issue, images in series.items():
        found = scores(issue, images)
        assert all(after <= before + 0.01 for before, after in pairwise(found)), issue
        assert found[-1] < found[0] - 0.2, issue


def test_evidence_has_numbers_and_units() -> None:
    found = {
        issue: DETECTORS[issue](gather([FAULTS[name][0], ordinary(), ordinary()]))["evidence"].iloc[0]
        for issue, name in {"blurry": "blurry", "border": "frame", "grayscale": "sepia", "dark": "lamp"}.items()
    }
    assert "of 240 pixels" in found["blurry"]
    assert found["border"].endswith("top 4.2%, bottom 4.2%, left 3.1%, right 3.1%")
    assert found["grayscale"].startswith("tinted:") and "of white" in found["dark"]


def test_a_set_of_only_small_pictures_has_none_that_is_oddly_small() -> None:
    small, tiny = ordinary().resize((28, 28)), ordinary().resize((6, 6))
    assert not any(verdicts(small, small, small)["odd_size"])
    assert verdicts(small, small, tiny)["odd_size"] == [False, False, True]
    assert verdicts(ordinary(), ordinary(), small)["odd_size"] == [False, False, True]


def test_in_a_grey_set_grey_is_no_issue_and_a_note_says_so() -> None:
    grey = ordinary().convert("L")
    evidence = gather([grey, grey, ordinary()])
    assert not DETECTORS["grayscale"](evidence)["is_issue"].any()
    assert "2 of 3 pictures have no colour" in evidence.notes[0]


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (9, 9), (32, 32)])
@pytest.mark.parametrize("colour", ["black", "white", (200, 30, 30)])
def test_no_size_breaks_a_check(size: tuple[int, int], colour: str) -> None:
    tables = [DETECTORS[issue](gather([Image.new("RGB", size, colour), ordinary()])) for issue in CHECKS]
    assert all(table["score"].between(0, 1).all() and (table["evidence"] != "").all() for table in tables)
