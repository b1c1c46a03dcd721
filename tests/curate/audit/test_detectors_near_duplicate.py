"""Copies are found whatever was done to them, look-alikes are not, and no other picture changes the verdict."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from curate.audit.detectors.leakage import find_leakage
from curate.audit.detectors.near_duplicate import find_near_duplicates
from curate.audit.evidence.alignment import Picture
from curate.audit.evidence.copies import compare_pictures
from curate.audit.evidence.copy_groups import COPY, choose_keepers, connect_copies
from curate.audit.evidence.evidence import Evidence
from curate.images.measure import measure_content
from curate.spec.model import Images, Source, Spec
from curate.storage.tables import SAMPLES, VOTES, empty, shaped

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


def colour(image: Image.Image) -> Picture:
    return Picture(np.asarray(image.convert("RGB")))


def write_over(image: Image.Image) -> Image.Image:
    """White letters with a black edge over the lowest fifth."""
    image = image.copy()
    ImageDraw.Draw(image).text((8, 200), "my best friends", fill="white", font_size=28, stroke_width=2, stroke_fill=0)
    return image


EDITS: dict[str, tuple[Callable[[Image.Image], Image.Image], str]] = {
    "grey": (lambda image: image.convert("L").convert("RGB"), "edited"),
    "pale": (lambda image: ImageEnhance.Color(image).enhance(0.2), "edited"),
    "darker": (lambda image: ImageEnhance.Brightness(image).enhance(0.6), "edited"),
    "written over": (write_over, "edited"),
    "re-encoded": (lambda image: reencode(image, 80), "reencoded"),
    "smaller": (lambda image: image.resize((200, 150), Image.Resampling.LANCZOS), "reencoded"),
    "cropped": (lambda image: image.crop((30, 20, 290, 220)), "cropped"),
    "mirrored": (ImageOps.mirror, "mirrored"),
    "turned by 90": (lambda image: image.transpose(Image.Transpose.ROTATE_90), "rotated"),
    "turned by 180": (lambda image: image.transpose(Image.Transpose.ROTATE_180), "rotated"),
}


@pytest.mark.parametrize("change", EDITS)
def test_the_kind_says_what_was_done(change: str) -> None:
    apply, kind = EDITS[change]
    original = draw_picture(1)
    for pair in ((original, apply(original)), (apply(original), original)):
        found = compare_pictures(*map(colour, pair))
        assert found.similarity >= COPY
        assert found.kind == kind


@pytest.mark.parametrize("by", [(30, 0), (0, 25), (-25, 15)])
def test_a_subject_that_moved_before_one_ground_is_no_copy(by: tuple[int, int]) -> None:
    frames = []
    for step in ((0, 0), by):
        frame = draw_picture(1)
        frame.paste(draw_picture(2).crop((0, 0, 150, 140)), (85 + step[0], 50 + step[1]))
        frames.append(colour(frame))
    assert compare_pictures(*frames).similarity < COPY


def test_plain_shapes_of_two_colours_or_forms_are_no_copies() -> None:
    def shape(kind: str, fill: tuple[int, int, int]) -> Picture:
        image = Image.new("RGB", (200, 200), "white")
        getattr(ImageDraw.Draw(image), kind)((40, 40, 160, 160), fill=fill)
        return colour(image)

    red = shape("ellipse", (220, 30, 30))
    assert compare_pictures(red, shape("ellipse", (30, 30, 220))).similarity < COPY
    assert compare_pictures(red, shape("rectangle", (220, 30, 30))).similarity < COPY


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


def connect(links: Mapping[tuple[int, int], float], asked: Mapping[tuple[int, int], float], count: int) -> list[int]:
    pairs = pd.DataFrame([(*pair, value) for pair, value in links.items()], columns=["first", "second", "similarity"])
    return connect_copies(pairs, count, COPY, lambda unknown: {pair: asked.get(pair, 0.0) for pair in unknown}).tolist()


def test_one_weak_pair_joins_two_pictures_but_no_two_families() -> None:
    families = {(0, 1): 0.95, (1, 2): 0.9, (3, 4): 0.99}
    assert connect({(0, 1): 0.72}, {}, 2) == [0, 0]
    assert connect({**families, (2, 3): 0.75}, {}, 5) == [0, 0, 0, 3, 3]
    # Pairs that were no candidates are compared before two families are kept apart.
    assert connect({**families, (2, 3): 0.75}, {(0, 3): 0.8, (1, 4): 0.7}, 5) == [0] * 5
    assert connect({**families, (2, 3): 0.85}, {}, 5) == [0] * 5


def test_weak_links_do_not_chain() -> None:
    assert connect({(0, 1): 0.75, (1, 2): 0.74, (2, 3): 0.73, (3, 4): 0.72}, {}, 5) == [0, 0, 2, 2, 2]
    assert connect({}, {}, 0) == []


def test_groups_do_not_depend_on_the_order_and_never_part_what_is_sure() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        values = {
            (a, b): float(rng.choice([0.2, 0.72, 0.75, 0.9], p=[0.7, 0.1, 0.1, 0.1]))
            for b in range(9)
            for a in range(b)
        }
        found = connect(values, values, 9)
        mixed = [list(values)[place] for place in rng.permutation(len(values))]
        assert connect({pair: values[pair] for pair in mixed}, values, 9) == found
        assert all(found[a] == found[b] for (a, b), value in values.items() if value == 0.9)


def keep(**columns: list[object]) -> tuple[int, str]:
    count = len(next(iter(columns.values()), [0, 0]))
    blank = {"width": [400] * count, "height": [300] * count, "bytes": [50_000] * count, "given_label": ["cat"] * count}
    kept = choose_keepers(pd.DataFrame({**blank, **columns}), np.zeros(count, np.int64))
    assert kept["keeper"].nunique() == kept["reason"].nunique() == 1
    return int(kept["keeper"][0]), str(kept["reason"][0])


def test_the_keeper_is_the_largest_then_the_finest_then_the_one_labelled_as_most() -> None:
    assert keep(width=[500, 1024], height=[375, 768], bytes=[90_000, 50_000]) == (1, "1,024 x 768 instead of 500 x 375")
    # 5 % more pixels are no better than a third of the compression.
    assert keep(width=[400, 420], bytes=[60_000, 20_000]) == (0, "less compressed: 4.00 instead of 1.27 bits a pixel")
    assert keep(given_label=["dog", "cat", "cat"]) == (1, "labelled cat as most of its copies")
    assert keep(given_label=["dog", "cat"]) == keep() == (0, "as large and as fine as the others")


def test_a_picture_alone_needs_no_reason() -> None:
    rows = pd.DataFrame({"width": [4], "height": [3], "bytes": [9], "given_label": [""]})
    assert choose_keepers(rows, np.zeros(1, np.int64)).to_numpy().tolist() == [[0, ""]]
    assert len(choose_keepers(rows.head(0), np.zeros(0, np.int64))) == 0


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
    groups = gather(images).groups.set_index("sample_id")
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


def test_the_evidence_tells_the_keeper_the_reason_and_labels_that_differ() -> None:
    first = draw_picture(1)
    images = {"a": first.crop((40, 30, 280, 210)), "b": first, "c": first.resize((200, 150)), "d": draw_picture(2)}
    found = find_near_duplicates(gather(images, given_label=["dog", "cat", "cat", "dog"])).set_index("path")["evidence"]
    assert "cropped copy of b.png (one shows 5" in found["a.png"]
    assert f"keep b.png ({'b' * 20}): 320 x 240 instead of 240 x 180" in found["a.png"]
    assert "the one to keep: 320 x 240" in found["b.png"]
    assert all(found[path].endswith("; labels differ: cat 2, dog 1") for path in ("a.png", "b.png", "c.png"))
    assert found["d.png"] == ""


def test_more_pictures_change_no_verdict() -> None:
    first = draw_picture(1)
    few = {"a": first, "b": first.resize((200, 150))}
    many = {**few, **{name: draw_picture(seed) for seed, name in enumerate("cdef", 5)}}
    before = gather(few).groups
    after = gather(many).groups.head(2)
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
