"""The numbers of how a picture looks, by hand on drawn pictures, and what must not change them."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from curate.images.appearance import measure_borders, measure_edges, measure_grain, measure_tint


def squares(cell: int = 40, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """A chessboard: steps of 0 to 200 in both directions."""
    rows, columns = np.indices(size[::-1]) // cell
    return Image.fromarray(((rows + columns) % 2 * 200).astype(np.uint8))


def noise(seed: int = 0, size: tuple[int, int] = (320, 240)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(60, 200, size[::-1], dtype=np.uint8))


def width_of(image: Image.Image) -> float:
    return measure_edges(np.asarray(image))["edge_width"]


def test_a_step_is_one_pixel_wide_and_a_ramp_as_long_as_it_is() -> None:
    assert width_of(squares()) == pytest.approx(np.sqrt(2))  # the diagonals are the worst: their step is that long
    ramp = np.clip((np.arange(320) % 80 - 40) * 50, 0, 200)  # rises over 4 pixels
    assert measure_edges(np.tile(ramp.astype(np.uint8), (240, 1)))["edge_width"] >= 1
    slow = np.tile((np.arange(240) * 1.0).astype(np.uint8), (240, 1))
    assert width_of(Image.fromarray(slow)) == pytest.approx(8 * np.sqrt(2))  # a mere gradient: as wide as is looked


@pytest.mark.parametrize("blur", [1.0, 1.5, 2.0])
def test_a_gaussian_takes_two_and_a_half_of_its_deviation(blur: float) -> None:
    rows = np.tile((np.arange(320) // 40 % 2 * 200).astype(np.uint8), (240, 1))
    width = width_of(Image.fromarray(rows).filter(ImageFilter.GaussianBlur(blur)))
    assert width == pytest.approx(np.sqrt(2 * np.pi) * blur * np.sqrt(2), rel=0.25)  # a diagonal is the worst


def test_a_frame_of_a_few_pixels_is_no_blur() -> None:
    framed = ImageOps.expand(Image.new("L", (240, 180), 200), 2, fill=0)  # its only edges are nearer than 4 to the side
    assert np.isnan(width_of(framed))
    framed.paste(noise(size=(90, 90)), (60, 60))
    assert width_of(framed) < 2.5


def test_more_blur_is_never_a_narrower_edge() -> None:
    for picture in (squares(), noise()):
        widths = [width_of(picture.filter(ImageFilter.GaussianBlur(blur / 2))) for blur in range(7)]
        assert all(after >= before - 0.1 for before, after in pairwise(widths))


def test_blur_along_any_one_direction_is_seen() -> None:
    values = np.asarray(noise()).astype(float)
    for step in ((0, 1), (1, 0), (1, 1), (1, -1)):
        moved = np.mean([np.roll(values, (at * step[0], at * step[1]), (0, 1)) for at in range(13)], axis=0)
        stretched = np.clip((moved - moved.mean()) * 3 + 128, 0, 255)
        assert width_of(Image.fromarray(stretched.astype(np.uint8))) > 1.5 * width_of(noise())


def test_a_sharp_subject_on_a_plain_or_defocused_ground_is_sharp() -> None:
    ground = squares().filter(ImageFilter.GaussianBlur(8))
    for behind in (ground.copy(), Image.new("L", ground.size, 180)):
        behind.paste(noise(size=(90, 90)), (120, 80))
        assert width_of(behind) < 2.5
    assert width_of(ground) > 6


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (3, 7), (9, 9), (10, 10), (17, 40)])
def test_any_size_is_measured(size: tuple[int, int]) -> None:
    grey = np.asarray(noise(size=size))
    edges = measure_edges(grey)
    assert np.isnan(edges["edge_width"]) and np.isnan(edges["visible"]) == (min(size) <= 9)
    assert set(measure_borders(grey).values()) == {0.0}
    assert 0 <= measure_grain(grey)["uneven"] <= 1
    assert measure_tint(np.stack([grey] * 3, axis=2)) == 0


@pytest.mark.parametrize(("box", "colour"), [((10, 0, 0, 20), 255), ((0, 12, 12, 0), 0), ((8, 9, 10, 11), 255)])
def test_a_border_is_found_with_its_width(box: tuple[int, int, int, int], colour: int) -> None:
    left, top, right, bottom = box
    framed = ImageOps.expand(noise(size=(20, 15)).resize((320, 240)), box, fill=colour)
    buffer = io.BytesIO()
    framed.save(buffer, "JPEG", quality=80)
    found = measure_borders(np.asarray(Image.open(buffer)))
    wanted = {"border_top": top, "border_bottom": bottom, "border_left": left, "border_right": right}
    for name, pixels in wanted.items():
        side = framed.height if name in ("border_top", "border_bottom") else framed.width
        assert found[name] * side == pytest.approx(pixels, abs=1)
    assert not any(measure_borders(np.asarray(noise())).values())


def test_a_studio_ground_is_no_border_and_one_colour_neither() -> None:
    studio = Image.new("L", (320, 240), 255)
    ImageDraw.Draw(studio).ellipse((100, 60, 220, 239), fill=90)
    assert not any(measure_borders(np.asarray(studio)).values())
    assert not any(measure_borders(np.full((50, 60), 7, np.uint8)).values())


def test_a_mirror_image_swaps_left_and_right_and_keeps_the_rest() -> None:
    framed = ImageOps.expand(squares(), (16, 0, 0, 8), fill=99)
    one, other = (measure_borders(np.asarray(image)) for image in (framed, ImageOps.mirror(framed)))
    assert (one["border_left"], one["border_right"]) == (other["border_right"], other["border_left"]) != (0, 0)
    assert one["border_bottom"] == other["border_bottom"] > 0
    assert width_of(noise()) == pytest.approx(width_of(ImageOps.mirror(noise())), rel=0.1)


def test_flat_shapes_have_few_levels_and_no_grain_and_surfaces_have_both() -> None:
    drawn = Image.new("L", (320, 240), 255)
    ImageDraw.Draw(drawn).rectangle((60, 60, 200, 180), fill=70)
    assert measure_grain(np.asarray(drawn)) == pytest.approx({"uneven": 0, "few_levels": 1})
    slight = np.random.default_rng(0).normal(128, 6, (240, 320)).clip(0, 255).astype(np.uint8)
    grain = measure_grain(np.concatenate([slight // 2, slight]))
    assert grain["uneven"] > 0.7 and grain["few_levels"] < 0.8


def test_sepia_is_one_tint_and_a_second_colour_is_not() -> None:
    grey = np.asarray(noise()).astype(float)
    sepia = np.stack([grey * 1.0, grey * 0.85, grey * 0.65], axis=2).astype(np.uint8)
    assert measure_tint(sepia) < 0.02
    sepia[:60, :60, 2] = 255
    assert measure_tint(sepia) > 0.2


def test_one_colour_and_a_few_pixels_are_no_tint() -> None:
    assert measure_tint(np.full((60, 60, 3), (90, 120, 150), np.uint8)) == pytest.approx(30 / 255)
    assert measure_tint(np.full((1, 1, 3), (200, 0, 0), np.uint8)) == pytest.approx(200 / 255)
