"""Copies are found whatever was done to them, look-alikes are not, and no other picture changes the verdict."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw, ImageOps

from curate.detectors.copies import Picture, compare_pictures
from curate.detectors.evidence import Evidence
from curate.detectors.leakage import find_leakage
from curate.detectors.near_duplicate import COPY, compute_groups, find_near_duplicates
from curate.measure import measure_content
from curate.spec import Images, Source, Spec
from curate.tables import SAMPLES, VOTES, empty, shaped

SPEC = Spec(name="t", classes={"cat": "", "dog": ""}, sources=[Source(path="images")])


def draw_picture(seed: int) -> Image.Image:
    """A textured picture of its own: 150 ellipses on a noisy ground."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(60, 196, (12, 16, 3), dtype=np.uint8)
    image = Image.fromarray(ground).resize((320, 240), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    for x, y, w, h, *colour in rng.integers(0, 256, (150, 7)).tolist():
        left, top = x * 320 // 256, y * 240 // 256
        pen.ellipse((left, top, left + 4 + w // 6, top + 4 + h // 6), fill=tuple(colour))
    return image


def grey(image: Image.Image) -> Picture:
    return Picture(np.asarray(image.convert("L")))


def reencode(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


CHANGES: dict[str, tuple[Callable[[Image.Image], Image.Image], bool]] = {
    "re-encoded": (lambda image: reencode(image, 40), False),
    "smaller": (lambda image: image.resize((160, 120)), False),
    "other proportions": (lambda image: image.resize((240, 240)), False),
    "cropped to half the area": (lambda image: image.crop((80, 10, 306, 180)), False),
    "cropped to a quarter": (lambda image: image.crop((10, 100, 170, 220)), False),
    "mirrored": (ImageOps.mirror, True),
    "mirrored and cropped": (lambda image: ImageOps.mirror(image).crop((20, 30, 270, 220)), True),
    "brighter": (lambda image: image.point(lambda value: min(255, value * 5 // 4)), False),
    "turned by 2 degrees": (lambda image: image.rotate(2), False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_a_copy_in_either_order(change: str) -> None:
    apply, mirrored = CHANGES[change]
    original = draw_picture(1)
    for pair in ((original, apply(original)), (apply(original), original)):
        found = compare_pictures(*map(grey, pair))
        assert found.similarity >= COPY
        assert found.mirrored == mirrored


def test_a_crop_shares_its_area_and_a_smaller_copy_all() -> None:
    original = draw_picture(1)
    quarter = compare_pictures(grey(original), grey(original.crop((10, 100, 170, 220))))
    assert quarter.shared == pytest.approx(0.25, abs=0.03)
    assert compare_pictures(grey(original), grey(original.resize((160, 120)))).shared > 0.97


def test_other_pictures_are_no_copies() -> None:
    pictures = [grey(draw_picture(seed)) for seed in range(6)]
    found = [compare_pictures(one, other).similarity for one in pictures for other in pictures if one is not other]
    assert max(found) < COPY / 2


def test_the_same_ground_with_other_things_on_it_is_no_copy() -> None:
    ground = draw_picture(1)
    one, other = ground.copy(), ground.copy()
    for image, seed in ((one, 2), (other, 3)):
        image.paste(draw_picture(seed).crop((0, 0, 200, 150)), (60, 45))
    assert compare_pictures(grey(one), grey(other)).similarity < COPY


@pytest.mark.parametrize("value", [0, 255])
def test_plain_pictures_say_nothing(value: int) -> None:
    plain = Picture(np.full((60, 80), value, np.uint8))
    assert compare_pictures(plain, plain).similarity == 0
    assert compare_pictures(plain, grey(draw_picture(1))).similarity == 0


@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (5, 4), (32, 32)])
def test_any_size_is_compared(shape: tuple[int, int]) -> None:
    tiny = Picture(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    assert 0 <= compare_pictures(tiny, grey(draw_picture(1))).similarity < COPY


def gather(images: Mapping[str, Image.Image | bytes], **columns: list[str]) -> Evidence:
    """The evidence of pictures, scanned for real; a sample id is its name repeated to 20 digits."""
    rows, thumbnails = [], {}
    for name, image in images.items():
        content = image if isinstance(image, bytes) else png(image)
        row, thumbnail = measure_content(content, Images())
        sample_id = (name * 20)[:20]
        thumbnails[sample_id] = thumbnail
        rows.append({**row, "sample_id": sample_id, "path": f"{name}.png"})
    blank = {"source": "", "given_label": "", "given_split": "", "locations": 1}
    samples = shaped(pd.DataFrame(rows).assign(**{**blank, **columns}), SAMPLES)
    return Evidence(
        SPEC,
        samples,
        empty(VOTES),
        embed=lambda ids: np.ones((len(ids), 2), np.float32) / np.float32(2**0.5),
        read_thumbnails=lambda ids: {one: thumbnails[one] for one in ids},
    )


def png(image: Image.Image, level: int = 6) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=level)
    return buffer.getvalue()


def test_groups_name_the_kind_and_keep_the_largest() -> None:
    first, second = draw_picture(1), draw_picture(2)
    images: dict[str, Image.Image | bytes] = {
        "a": first.resize((200, 150)),
        "b": first,
        "c": png(first, level=1),
        "d": ImageOps.mirror(first).resize((240, 180)),
        "e": second,
    }
    groups = compute_groups(gather(images)).set_index("sample_id")
    assert groups["group_id"].str[0].tolist() == ["a", "a", "a", "a", "e"]
    assert groups["kind"].tolist() == ["reencoded", "identical_pixels", "identical_pixels", "mirrored", ""]
    # b and c have the same pixels: the larger file stays.
    larger = "b" if len(png(first)) > len(png(first, level=1)) else "c"
    assert groups["keeper"].str[0].tolist() == [larger] * 4 + ["e"]


def test_findings_merge_all_but_the_keeper() -> None:
    first = draw_picture(1)
    found = find_near_duplicates(gather({"a": first.resize((200, 150)), "b": first, "c": draw_picture(2)}))
    assert found["is_issue"].tolist() == [True, True, False]
    assert found["suggested_action"].tolist() == ["merge", "keep", ""]
    assert found["group_id"].str[:1].tolist() == ["a", "a", ""]
    assert found["score"].iloc[0] < 0.1 and found["score"].iloc[2] > 0.5
    assert "b.png" in found["evidence"].iloc[0]


def test_more_pictures_change_no_verdict() -> None:
    first = draw_picture(1)
    few = {"a": first, "b": first.resize((200, 150))}
    many = {**few, **{name: draw_picture(seed) for seed, name in enumerate("cdef", 5)}}
    before = compute_groups(gather(few))
    after = compute_groups(gather(many)).head(2)
    pd.testing.assert_frame_equal(before[["sample_id", "group_id", "kind"]], after[["sample_id", "group_id", "kind"]])


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_compare(count: int) -> None:
    found = find_near_duplicates(gather({"a": draw_picture(1), "b": b"broken"} if count else {"b": b"broken"}))
    assert found["is_issue"].tolist() == [False] * count


def test_a_test_picture_with_a_copy_in_train_leaks() -> None:
    first = draw_picture(1)
    images: dict[str, Image.Image | bytes] = {
        "a": first,
        "b": first.resize((200, 150)),
        "c": draw_picture(2),
        "d": draw_picture(3),
    }
    found = find_leakage(gather(images, given_split=["train", "test", "test", "train"])).set_index("path")
    assert found["is_issue"].to_dict() == {"a.png": True, "b.png": True, "c.png": False, "d.png": False}
    assert found["suggested_action"].to_dict() == {"a.png": "drop", "b.png": "keep", "c.png": "", "d.png": ""}
    assert found["evidence"]["b.png"].startswith("b.png was given to test, a.png to train: reencoded copy")
