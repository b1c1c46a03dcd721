import io

import numpy as np
import pytest
from PIL import Image

from curate.images.decoder import Unreadable, open_image, open_picture, square_pixels
from curate.spec.model import Images

POLICY = Images()


def encode(image: Image.Image, form: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def mean_of(image: Image.Image) -> list[int]:
    return [round(value) for value in np.asarray(image).reshape(-1, 3).mean(axis=0)]


def test_exif_orientation_is_applied():
    marked = Image.new("RGB", (40, 20), "black")
    marked.paste("white", (0, 0, 20, 20))  # the left half is white
    for orientation, white in {1: "left", 3: "right", 6: "top", 8: "bottom"}.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        picture = open_picture(encode(marked, "JPEG", exif=exif, quality=95), POLICY)
        assert picture.orientation == orientation
        assert (picture.width, picture.height) == picture.image.size == ((40, 20) if orientation < 5 else (20, 40))
        pixels = np.asarray(picture.image.convert("L")).astype(int)
        halves = {"left": pixels[:, :10], "right": pixels[:, -10:], "top": pixels[:10], "bottom": pixels[-10:]}
        assert halves[white].mean() > 200


def test_alpha_is_laid_over_the_policys_colour():
    clear = encode(Image.new("RGBA", (8, 8), (255, 0, 0, 0)))
    assert mean_of(open_image(clear, POLICY)) == [255, 255, 255]
    assert mean_of(open_image(clear, Images(alpha="black"))) == [0, 0, 0]
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([10, 20, 30] + [0] * 765)
    assert mean_of(open_image(encode(palette, transparency=0), POLICY)) == [255, 255, 255]
    assert mean_of(open_image(encode(palette), POLICY)) == [10, 20, 30]


def test_sixteen_bit_is_scaled_not_clipped():
    ramp = Image.fromarray(np.full((8, 8), 32768, np.uint16))
    assert mean_of(open_image(encode(ramp), POLICY)) == [127, 127, 127]
    assert mean_of(open_image(encode(ramp, "TIFF"), POLICY)) == [127, 127, 127]


def test_cmyk_and_grey_become_rgb():
    red = Image.new("RGB", (16, 16), (200, 30, 30))
    cmyk = open_picture(encode(red.convert("CMYK"), "JPEG", quality=95), POLICY)
    assert cmyk.mode == "CMYK" and abs(mean_of(cmyk.image)[0] - 200) < 6
    assert open_image(encode(red.convert("L")), POLICY).mode == "RGB"


def test_animation_follows_the_policy():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    moving = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    picture = open_picture(moving, POLICY)
    assert picture.frames == 2 and mean_of(picture.image) == [255, 0, 0]
    with pytest.raises(Unreadable, match="animated: 2 frames"):
        open_picture(moving, Images(animation="refuse"))


PHOTO = encode(Image.effect_noise((300, 200), 60).convert("RGB"), "JPEG")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"hello, this is text", "not an image"),
        (PHOTO[: len(PHOTO) // 2], "truncated"),
        (PHOTO[:30], "."),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "."),
        (encode(Image.new("1", (20_000, 20_000))), "decompression bomb"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    ],
)
def test_what_cannot_be_decoded_says_why(content, reason):
    with pytest.raises(Unreadable, match=reason):
        open_picture(content, POLICY)


def test_random_damage_never_escapes_as_another_error():
    rng = np.random.default_rng(0)
    for source in (PHOTO, encode(Image.new("P", (30, 30))), encode(Image.new("RGB", (30, 30)), "WEBP")):
        for _ in range(60):
            damaged = bytearray(source)
            for place in rng.integers(0, len(damaged), 4):
                damaged[place] = int(rng.integers(0, 256))
            try:
                assert open_image(bytes(damaged), POLICY).mode == "RGB"
            except Unreadable as error:
                assert str(error)


def test_a_scaled_decode_keeps_the_header_sizes():
    large = encode(Image.effect_noise((1200, 900), 60).convert("RGB"), "JPEG")
    picture = open_picture(large, POLICY, min_side=256)
    assert (picture.width, picture.height) == (1200, 900)
    assert 256 <= min(picture.image.size) < 900


def test_square_pixels_keeps_the_centre():
    striped = Image.new("RGB", (400, 100), "black")
    striped.paste("white", (150, 0, 250, 100))
    square = square_pixels(striped, 64)
    assert square.shape == (64, 64, 3) and square.dtype == np.uint8
    assert square[:, 4:-4].min() > 250
    assert square_pixels(Image.new("RGB", (1, 1)), 8).shape == (8, 8, 3)
