from itertools import pairwise

import numpy as np
import pytest
from PIL import Image, ImageFilter, ImageOps

from curate.images.measure import compute_phash, encode_thumbnail, hash_pixels, measure_content, measure_quality, shrink
from curate.images.thumbnails import decode_thumbnail
from curate.spec.model import Images
from curate.storage.tables import MEASURES
from tests.conftest import draw_shape


def distance(first: int, second: int) -> int:
    return (first ^ second).bit_count()


def test_phash_is_near_for_copies_and_far_for_others():
    photos = [draw_shape("disc", seed, (400, 300)) for seed in range(12)]
    for photo in photos:
        own, mirrored = compute_phash(photo)
        assert distance(own, compute_phash(photo.resize((200, 150)))[0]) <= 4
        assert distance(own, compute_phash(photo.filter(ImageFilter.GaussianBlur(1)))[0]) <= 4
        assert distance(mirrored, compute_phash(ImageOps.mirror(photo))[0]) <= 4
    others = [distance(compute_phash(one)[0], compute_phash(two)[0]) for one, two in pairwise(photos)]
    assert np.mean(others) > 20


def test_quality_of_extremes():
    black, white = (measure_quality(Image.new("RGB", (64, 64), colour)) for colour in ("black", "white"))
    assert black["brightness"] == 0 and white["brightness"] == 1
    assert black["brightness_p99"] == 0 and white["brightness_p05"] == 1
    assert black["entropy"] == black["contrast"] == black["colourfulness"] == black["tint_spread"] == 0
    assert np.isnan(black["edge_width"]) and black["visible"] == 0 and black["border_top"] == 0
    assert (black["uneven"], black["few_levels"]) == (1, 0)
    noise = Image.effect_noise((256, 256), 80).convert("RGB")
    assert measure_quality(noise)["entropy"] > 6
    assert measure_quality(noise)["edge_width"] < 2
    assert measure_quality(noise.filter(ImageFilter.GaussianBlur(2)))["edge_width"] > 2.5
    assert measure_quality(Image.new("RGB", (9, 9), (255, 0, 0)))["colourfulness"] == 1


def test_entropy_by_hand():
    half = Image.new("RGB", (10, 10), "black")
    half.paste("white", (0, 0, 5, 10))
    assert measure_quality(half)["entropy"] == pytest.approx(1.0)


@pytest.mark.parametrize("size", [(1, 1), (2, 500), (30, 30), (5000, 20), (700, 900)])
def test_any_size_has_all_measures_and_a_small_thumbnail(size):
    image = Image.new("RGB", size, (90, 120, 30))
    from tests.curate.images.test_decoder import encode

    row, thumbnail = measure_content(encode(image), Images())
    assert set(row) == set(MEASURES) - {"sample_id"}
    assert row["reason"] == "" and (row["width"], row["height"]) == size
    small = decode_thumbnail(thumbnail)
    assert min(small.size) <= 256 and max(small.size) <= 1024
    assert np.abs(np.asarray(small).astype(int) - [90, 120, 30]).max() <= 3


def test_unreadable_content_has_a_reason_and_no_thumbnail():
    row, thumbnail = measure_content(b"text", Images())
    assert "not an image" in str(row["reason"]) and thumbnail == b"" and row["bytes"] == 4


def test_tiny_thumbnails_are_lossless():
    noise = Image.effect_noise((32, 32), 90).convert("RGB")
    assert np.array_equal(np.asarray(decode_thumbnail(encode_thumbnail(shrink(noise)))), np.asarray(noise))


def test_pixel_hash_ignores_the_container():
    image = draw_shape("disc", 1)
    assert hash_pixels(image) == hash_pixels(image.copy()) != hash_pixels(ImageOps.mirror(image))
