"""One fault a picture: each is found by its own check, and an ordinary picture by none."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFilter

from curate.audit import DETECTORS
from curate.detectors.evidence import Evidence
from curate.detectors.outlier import compute_company
from curate.measure import measure_content
from curate.spec import Images, Source, Spec
from curate.tables import LOCATIONS, SAMPLES, VOTES, empty, shaped

CHECKS = ("dark", "light", "blurry", "low_information", "odd_size", "odd_aspect_ratio", "grayscale")


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


FAULTS: dict[str, tuple[Image.Image, set[str]]] = {
    "none": (ordinary(), set()),
    "dark": (ordinary().point(lambda value: value // 6), {"dark"}),
    "light": (ordinary().point(lambda value: 215 + value // 7), {"light"}),
    "blurry": (ordinary().filter(ImageFilter.GaussianBlur(8)), {"blurry"}),
    "blank": (Image.new("RGB", (320, 240), (90, 120, 150)), {"blurry", "low_information"}),
    "small": (ordinary().resize((40, 30), Image.Resampling.NEAREST), {"odd_size"}),
    "long": (ordinary().resize((900, 200)), {"odd_aspect_ratio"}),
    "grey": (ordinary().convert("L"), {"grayscale"}),
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


def test_company_by_hand() -> None:
    """Rows 0 to 2 are 0.9 like each other; row 3 is 0.5 like them: likeness 0.5, ratio 0.1 / 0.5."""
    indices = np.array([[1, 2], [0, 2], [0, 1], [0, 1]])
    similarities = np.array([[0.9, 0.9]] * 3 + [[0.5, 0.5]])
    likeness, score = compute_company(indices, similarities, np.arange(4))
    assert likeness.tolist() == [0.9, 0.9, 0.9, 0.5]
    assert score.round(6).tolist() == [0.9, 0.9, 0.9, 0.1]


def test_a_copy_is_no_company() -> None:
    indices = np.array([[1, 2], [0, 2], [3, 0], [2, 0]])
    similarities = np.array([[1.0, 0.2], [1.0, 0.2], [0.9, 0.2], [0.9, 0.2]])
    likeness, _ = compute_company(indices, similarities, np.array([0, 0, 2, 3]))
    assert likeness[0] == pytest.approx(0.2)


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
