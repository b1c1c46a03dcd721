"""The drawn demo: it is what its truth says, it is the same again for the same seed, and its score."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw, ImageOps

from curate.demo.background import PLACES
from curate.demo.faults import encode_planted
from curate.demo.folder import PARTIAL, TRUTH_COLUMNS, read_truth, write_demo
from curate.demo.plan import LEAST_SAMPLES, SHARES, Planted, plan_demo
from curate.demo.scene import SPECIES, draw_animal, draw_offtopic
from curate.demo.score import CAUGHT_BY, score_demo
from curate.storage.files import Problem

SAMPLES = 60


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "demo"
    write_demo(folder, samples=SAMPLES, seed=3)
    return folder


@pytest.fixture(scope="module")
def truth(demo: Path) -> pd.DataFrame:
    return read_truth(demo / "truth.csv")


def opened(demo: Path, truth: pd.DataFrame, fault: str) -> list[Image.Image]:
    images: list[Image.Image] = [
        Image.open(demo / "images" / path) for path in truth.loc[truth["fault"] == fault, "path"]
    ]
    assert images, f"no file with the fault {fault}"
    return images


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- drawings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("species", SPECIES)
@pytest.mark.parametrize("size", [(16, 16), (24, 24), (320, 40), (40, 320), (200, 150)])
def test_animal_has_the_size_asked_for(species: str, size: tuple[int, int]) -> None:
    for seed in range(12):  # through poses, places and occluders
        drawing = draw_animal(species, np.random.default_rng(seed), size)
        assert (drawing.size, drawing.mode) == (size, "RGB")


def test_animal_is_decided_by_the_generator() -> None:
    twice = [draw_animal("cat", np.random.default_rng(5)).tobytes() for _ in range(2)]
    assert twice[0] == twice[1]
    assert draw_animal("cat", np.random.default_rng(6)).tobytes() != twice[0]


def test_animals_vary_in_size_and_are_neither_dark_nor_flat() -> None:
    drawings = [draw_animal(SPECIES[seed % 2], np.random.default_rng(seed)) for seed in range(40)]
    assert len({drawing.size for drawing in drawings}) > 20
    for drawing in drawings:
        grey = np.asarray(drawing.convert("L"))
        assert 96 <= min(drawing.size) <= max(drawing.size) <= 320
        assert grey.mean() > 45
        assert grey.std() > 10


def test_light_and_colour_do_not_tell_the_species() -> None:
    means = {
        species: np.mean(
            [
                np.asarray(draw_animal(species, np.random.default_rng((seed, 9)), (48, 48))).mean((0, 1))
                for seed in range(150)
            ],
            0,
        )
        for species in SPECIES
    }
    assert np.abs(means["cat"] - means["dog"]).max() < 12


@pytest.mark.parametrize("place", sorted(PLACES))
@pytest.mark.parametrize("horizon", [0, 8, 96])
def test_place_can_be_drawn_at_any_horizon(place: str, horizon: int) -> None:
    canvas = Image.new("RGB", (320, 96))
    PLACES[place](ImageDraw.Draw(canvas), np.random.default_rng(0), canvas.size, horizon)
    assert canvas.getbbox() is not None


def test_offtopic_drawings_differ() -> None:
    assert len({draw_offtopic(np.random.default_rng(seed), (40, 40)).tobytes() for seed in range(10)}) == 10


# --- plan -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [LEAST_SAMPLES, 41, 300, 1200])
def test_plan_has_every_fault_in_its_share(samples: int) -> None:
    planned = plan_demo(samples, seed=1)
    counts = pd.Series([row.fault for row in planned]).value_counts()
    assert len(planned) == samples == len({row.path for row in planned})
    for fault, (share, least) in SHARES.items():
        assert counts[fault] == max(least, round(share * samples))


def test_copies_point_at_unspoiled_originals() -> None:
    planned = plan_demo(400, seed=2)
    by_path = {row.path: row for row in planned}
    copies = [row for row in planned if row.of]
    assert len({row.of for row in copies}) == len(copies)
    for row in copies:
        assert by_path[row.of].fault == "none"
        assert (row.given_label == by_path[row.of].given_label) == (row.fault != "label_conflict")
    assert {row.detail for row in copies if row.fault == "near_copy"} == {"reencoded", "resized", "cropped", "mirrored"}


def test_label_of_a_file_is_its_folder_and_only_errors_differ_from_the_truth() -> None:
    for row in plan_demo(300, seed=4):
        assert row.path.split("/")[0] == row.given_label
        wrong = row.true_label not in ("", row.given_label)
        assert wrong == (row.fault in ("label_error", "label_conflict"))


def test_plan_refuses_too_few_samples() -> None:
    with pytest.raises(Problem, match=r"at least 40 samples.*found 39"):
        plan_demo(39, seed=0)


# --- the folder -------------------------------------------------------------------------------------------------------


def test_truth_lists_every_file_but_the_note(demo: Path, truth: pd.DataFrame) -> None:
    files = {path.relative_to(demo / "images").as_posix() for path in (demo / "images").rglob("*") if path.is_file()}
    assert files == set(truth["path"]) | {"notes.txt"}
    assert list(truth.columns) == TRUTH_COLUMNS
    assert truth["path"].is_monotonic_increasing
    assert sorted(path.name for path in demo.iterdir()) == ["images", "truth.csv"]


def test_same_seed_gives_the_same_bytes(demo: Path, truth: pd.DataFrame, tmp_path: Path) -> None:
    again = write_demo(tmp_path, samples=SAMPLES, seed=3)
    pd.testing.assert_frame_equal(again, truth)
    assert [digest(tmp_path / "images" / path) for path in again["path"]] == [
        digest(demo / "images" / path) for path in truth["path"]
    ]


def test_only_byte_copies_share_their_bytes(demo: Path, truth: pd.DataFrame) -> None:
    digests = pd.Series([digest(demo / "images" / path) for path in truth["path"]], index=truth["path"])
    copies = truth[(truth["fault"] == "byte_copy") | (truth["detail"] == "byte_copy")]
    assert (digests[copies["path"]].to_numpy() == digests[copies["of"]].to_numpy()).all()
    assert digests.nunique() == len(truth) - len(copies)


def test_unreadable_files_are_the_only_ones_that_do_not_decode(demo: Path, truth: pd.DataFrame) -> None:
    failed = []
    for path in truth["path"]:
        try:
            with Image.open(demo / "images" / path) as image:
                image.load()
        except OSError:
            failed.append(path)
    assert failed == truth.loc[truth["fault"] == "unreadable", "path"].tolist()


def test_formats_are_what_the_truth_says(demo: Path, truth: pd.DataFrame) -> None:
    assert {image.mode for image in opened(demo, truth, "cmyk")} == {"CMYK"}
    assert {image.mode for image in opened(demo, truth, "sixteen_bit")} <= {"I;16", "I"}
    assert {image.mode for image in opened(demo, truth, "palette")} == {"P"}
    assert {image.mode for image in opened(demo, truth, "alpha")} == {"RGBA"}
    assert {image.mode for image in opened(demo, truth, "grayscale")} == {"L"}
    assert {getattr(image, "n_frames", 1) for image in opened(demo, truth, "animated")} == {3}
    assert {image.size for image in opened(demo, truth, "odd_size")} == {(24, 24)}
    assert {image.size for image in opened(demo, truth, "odd_aspect_ratio")} == {(320, 40)}
    assert max(np.asarray(image).max() for image in opened(demo, truth, "sixteen_bit")) > 255


def test_dark_blurry_and_blank_are_so(demo: Path, truth: pd.DataFrame) -> None:
    assert max(np.asarray(image).max() for image in opened(demo, truth, "dark")) < 60
    assert max(np.asarray(image).std((0, 1)).max() for image in opened(demo, truth, "blank")) < 1
    blurred, sharp = (
        [
            np.abs(np.diff(np.asarray(image.convert("L"), dtype=float), axis=1)).mean()
            for image in opened(demo, truth, fault)
        ]
        for fault in ("blurry", "none")
    )
    assert max(blurred) < min(sharp)


def test_exif_orientation_turns_the_drawing_upright(tmp_path: Path) -> None:
    planned = next(row for row in plan_demo(SAMPLES, seed=3) if row.fault == "exif")
    (tmp_path / "turned.jpg").write_bytes(encode_planted(planned, seed=3))
    upright = draw_animal(planned.species, np.random.default_rng((3, 1, planned.drawing)))
    with Image.open(tmp_path / "turned.jpg") as stored:
        shown = np.asarray(ImageOps.exif_transpose(stored), dtype=float)
        assert np.abs(shown - np.asarray(upright)).mean() < 8
        assert stored.getexif()[0x0112] in (3, 6, 8)


def test_near_copies_look_like_their_originals(demo: Path, truth: pd.DataFrame) -> None:
    def small(path: str, mirrored: bool) -> np.ndarray:
        with Image.open(demo / "images" / path) as image:
            tiny = image.convert("L").resize((12, 12))
            return np.asarray(ImageOps.mirror(tiny) if mirrored else tiny, dtype=float)

    copies = truth[truth["fault"] == "near_copy"]
    assert len(copies) == 2
    for path, detail, original in zip(copies["path"], copies["detail"], copies["of"], strict=True):
        assert np.abs(small(path, detail == "mirrored") - small(original, False)).mean() < 12


def test_refuses_a_folder_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(Problem, match=r"empty folder.*mine\.txt"):
        write_demo(tmp_path, samples=LEAST_SAMPLES)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_refuses_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Problem, match="Cannot write the demo"):
        write_demo(tmp_path / "file", samples=LEAST_SAMPLES)


def test_interrupted_demo_leaves_nothing_and_can_be_restarted(tmp_path: Path) -> None:
    def interrupted(rows: Iterable[Planted], total: int, label: str) -> Iterator[Planted]:
        for count, row in enumerate(rows):
            if count == 3:
                raise KeyboardInterrupt
            yield row

    with pytest.raises(KeyboardInterrupt):
        write_demo(tmp_path, samples=LEAST_SAMPLES, progress=interrupted)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / PARTIAL / "images" / "cat").mkdir(parents=True)  # what a kill would have left
    assert len(write_demo(tmp_path, samples=LEAST_SAMPLES)) == LEAST_SAMPLES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "truth.csv"]


# --- the score --------------------------------------------------------------------------------------------------------

SMALL_TRUTH = pd.DataFrame(
    [
        ("cat/0.jpg", "none", ""),
        ("cat/1.jpg", "label_error", ""),
        ("cat/2.jpg", "near_copy", "cat/0.jpg"),
        ("cat/3.jpg", "byte_copy", "cat/4.jpg"),
        ("cat/4.jpg", "none", ""),
        ("cat/5.jpg", "unreadable", ""),
        ("dog/6.jpg", "label_conflict", "cat/7.jpg"),
        ("cat/7.jpg", "none", ""),
        ("dog/8.jpg", "blank", ""),
        ("dog/9.jpg", "none", ""),
    ],
    columns=["path", "fault", "of"],
)
# Files 3 and 4, and files 6 and 7, have the same bytes; file 5 could not be read and has no sample.
SMALL_LOCATIONS = pd.DataFrame(
    [
        (path, {"cat/3.jpg": "s4", "dog/6.jpg": "s7"}.get(path, f"s{path[4]}"))
        for path in SMALL_TRUTH["path"]
        if path != "cat/5.jpg"
    ],
    columns=["path", "sample_id"],
)


def flagged(*pairs: tuple[str, str]) -> pd.DataFrame:
    rows = [(path, f"s{path[4]}", issue, True) for path, issue in pairs]
    return pd.DataFrame(rows, columns=["path", "sample_id", "issue", "is_issue"])


def scored(findings: pd.DataFrame) -> dict[str, tuple[int, int, int]]:
    table = score_demo(SMALL_TRUTH, findings, SMALL_LOCATIONS)
    return {fault: (planted, found, false) for fault, _, planted, found, false in table.to_numpy().tolist()}


def test_score_counts_planted_found_and_false_alarms() -> None:
    score = scored(
        flagged(
            ("cat/1.jpg", "label_error"),
            ("dog/9.jpg", "label_error"),
            ("cat/0.jpg", "near_duplicate"),
            ("cat/2.jpg", "near_duplicate"),
            ("dog/9.jpg", "near_duplicate"),
            ("cat/5.jpg", "unreadable"),
            ("cat/7.jpg", "label_conflict"),
            ("dog/8.jpg", "outlier"),
            ("dog/8.jpg", "low_information"),
        )
    )
    assert score["label_error"] == (1, 1, 1)
    assert score["near_copy"] == (1, 1, 1)
    assert score["byte_copy"] == (1, 1, 0)
    assert score["unreadable"] == (1, 1, 0)
    assert score["label_conflict"] == (1, 1, 0)
    assert score["blank"] == (1, 1, 0)
    assert score["off_topic"] == (0, 0, 0)


def test_score_ignores_findings_that_are_no_issue() -> None:
    findings = flagged(("cat/1.jpg", "label_error"), ("dog/9.jpg", "label_error")).assign(is_issue=False)
    assert scored(findings)["label_error"] == (1, 0, 0)


def test_score_without_findings_finds_copies_alone() -> None:
    score = scored(flagged())
    assert set(score) == set(CAUGHT_BY)
    assert {fault for fault, (_, found, _) in score.items() if found} == {"byte_copy"}
    assert not any(false for _, _, false in score.values())
