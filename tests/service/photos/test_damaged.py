"""What can be decoded of a damaged JPEG or PNG is kept, without the grey rest, with a warning."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from service.errors import PhotographError
from service.photos.decode import DecodedPhotograph, browser_jpeg, open_photograph
from service.types import UInt8Array


def picture(size: tuple[int, int] = (640, 480)) -> Image.Image:
    """Blurred noise, as compressible as a photograph and grey nowhere."""
    random = np.random.default_rng(5).integers(0, 256, (12, 16, 3), np.uint8)
    detail = np.random.default_rng(6).integers(0, 24, (size[1], size[0], 3), np.uint8)
    image = np.asarray(Image.fromarray(random).resize(size, Image.Resampling.BICUBIC)) // 2 + detail
    return Image.fromarray((image + np.array([90, 20, 0])).clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, form: str, **settings: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **settings)
    return out.getvalue()


def same_rows(photograph: DecodedPhotograph, whole: Image.Image) -> float:
    """The mean difference from the upper part of the whole picture, in levels."""
    upper = np.asarray(whole)[: photograph.image.height].astype(int)
    return float(np.abs(np.asarray(photograph.image) - upper).mean())


JPEGS = {
    "plain": {"quality": 90},
    "full chroma": {"quality": 90, "subsampling": 0},
    "restarts": {"quality": 90, "restart_marker_blocks": 50},
}


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_the_upper_part_of_a_truncated_jpeg_is_kept(kind: str, share: float) -> None:
    content = encoded(picture(), "JPEG", **JPEGS[kind])
    whole = open_photograph(content).image
    photograph = open_photograph(content[: int(len(content) * share)])
    assert (photograph.width, photograph.height) == (640, 480)
    assert photograph.image.width == 640
    assert photograph.image.height == pytest.approx(480 * share, abs=40)
    missing = round(100 * (1 - photograph.image.height / 480))
    assert photograph.warning == f"the file is truncated: {missing} % of the picture is missing"
    assert same_rows(photograph, whole) < 1


def test_a_truncated_jpeg_is_cropped_at_reduced_scale_too() -> None:
    content = encoded(picture((1600, 1200)), "JPEG", quality=90)
    half = content[: len(content) // 2]
    photograph = open_photograph(half, shorter_side=300)
    assert photograph.image.width == 400
    assert photograph.image.height == pytest.approx(150, abs=8)
    assert same_rows(photograph, open_photograph(content, shorter_side=300).image) < 1


def test_a_truncated_jpeg_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(picture(), "JPEG", quality=90, exif=exif)
    photograph = open_photograph(content[: len(content) // 2])
    assert (photograph.width, photograph.height) == (480, 640)
    assert photograph.image.height == 640
    assert photograph.image.width == pytest.approx(240, abs=20)


def test_a_progressive_jpeg_loses_detail_first() -> None:
    content = encoded(picture(), "JPEG", quality=90, progressive=True)
    photograph = open_photograph(content[: int(len(content) * 0.7)])
    assert photograph.image.size == (640, 480)
    assert photograph.warning == "the file is truncated: fine detail is missing"
    assert same_rows(photograph, open_photograph(content).image) < 20


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_truncated_jpegs_of_other_modes_are_kept(mode: str) -> None:
    content = encoded(picture().convert(mode), "JPEG", quality=90)
    photograph = open_photograph(content[: len(content) // 2])
    assert photograph.image.height == pytest.approx(240, abs=40)
    assert photograph.warning is not None


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "I;16"])
def test_the_upper_part_of_a_truncated_png_is_kept(mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.asarray(picture().convert("L")).astype(np.uint16) * 256)
    else:
        image = picture().convert(mode)
    content = encoded(image, "PNG")
    photograph = open_photograph(content[: len(content) // 2])
    assert photograph.image.height == pytest.approx(240, abs=60)
    assert photograph.warning is not None
    assert "of the picture is missing" in photograph.warning
    assert same_rows(photograph, open_photograph(content).image) < 1


def test_a_few_missing_rows_are_less_than_a_percent() -> None:
    content = encoded(picture((640, 1000)), "PNG")
    photograph = open_photograph(content[:-5000])
    assert 990 < photograph.image.height < 1000
    assert photograph.warning == "the file is truncated: less than 1 % of the picture is missing"


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_less_than_a_tenth_is_refused(form: str) -> None:
    content = encoded(picture(), form)
    with pytest.raises(PhotographError, match=r"truncated: only \d+ % of the picture can be decoded"):
        open_photograph(content[: 1500 + len(content) // 50])


@pytest.mark.parametrize("stray", [b"\xff\xff\xff\0\x13\x37", b"\0" * 300])
def test_stray_bytes_are_passed_over(stray: bytes) -> None:
    content = encoded(picture(), "JPEG", quality=90)
    middle = len(content) // 2
    photograph = open_photograph(content[:middle] + stray + content[middle:])
    assert photograph.image.size == (640, 480)


@pytest.mark.parametrize("stray", [b"\xff\xd9", b"\xff\xe5", b"\xff\xd3", b"\xff\xc0", b"\xff\x13", b"\xff\xda"])
def test_a_stray_marker_ends_the_picture_with_a_warning(stray: bytes) -> None:
    content = encoded(picture(), "JPEG", quality=90)
    middle = len(content) // 2
    photograph = open_photograph(content[:middle] + stray + content[middle:])
    assert photograph.image.height == pytest.approx(240, abs=40)
    assert photograph.warning is not None
    assert photograph.warning.endswith("% of the picture is missing")
    assert same_rows(photograph, open_photograph(content).image) < 1


def test_a_picture_that_is_grey_at_the_bottom_is_whole() -> None:
    image = picture()
    image.paste((128, 128, 128), (0, 240, 640, 480))
    plain = encoded(image, "JPEG", quality=95)
    other = encoded(picture((64, 48)), "JPEG")
    trailing = (b"", b"\0" * 500, other, b"MotionPhoto_Data" + bytes(2000))
    # A marker may be filled up with 0xFF.
    with_restarts = encoded(image, "JPEG", quality=95, restart_marker_blocks=50)
    filled = with_restarts[:2] + b"\xff" * 3 + with_restarts[2:]
    for content in (*(plain + rest for rest in trailing), with_restarts, filled):
        photograph = open_photograph(content)
        assert photograph.image.size == (640, 480)
        assert photograph.warning is None


def test_whole_files_have_no_warning() -> None:
    for form in ("JPEG", "PNG", "WEBP"):
        assert open_photograph(encoded(picture(), form)).warning is None
    content = encoded(picture(), "JPEG")
    assert open_photograph(content[:-2]).warning is None, "only the mark of the end is missing"


def test_a_truncated_photograph_can_be_shown() -> None:
    content = encoded(picture(), "JPEG", quality=90)
    with Image.open(io.BytesIO(browser_jpeg(content[: len(content) // 2]))) as shown:
        assert shown.height == pytest.approx(240, abs=40)


def test_pillows_switch_for_truncated_files_is_left_alone() -> None:
    content = encoded(picture(), "JPEG", quality=90)
    open_photograph(content[: len(content) // 2])
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_random_damage_is_survived_and_never_grows() -> None:
    random = np.random.default_rng(7)
    originals = [
        encoded(picture((128, 96)), "JPEG"), encoded(picture((128, 96)), "JPEG", progressive=True),
        encoded(picture((128, 96)), "PNG"), encoded(picture((128, 96)), "PNG", interlace=1),
    ]  # fmt: skip
    for number in range(200):
        original = originals[number % len(originals)]
        content = bytearray(original[: int(random.integers(len(original) // 2, len(original)))])
        for position in random.integers(0, len(content), 3):
            content[position] = int(random.integers(0, 256))
        try:
            photograph = open_photograph(bytes(content))
        except PhotographError as error:
            assert error.message
            continue
        width, height = photograph.image.size
        assert width <= photograph.width
        assert height <= photograph.height


def rows_of(image: Image.Image) -> UInt8Array:
    return np.asarray(image.convert("L")).mean(axis=1).astype(np.uint8)


def test_a_png_with_a_broken_checksum_keeps_what_comes_before() -> None:
    content = bytearray(encoded(picture(), "PNG"))
    start = content.rindex(b"IDAT")
    content[start + 100] ^= 0xFF
    struct.pack_into(">I", content, len(content) - 16, 12345)
    photograph = open_photograph(bytes(content))
    whole = rows_of(picture())
    assert np.array_equal(rows_of(photograph.image), whole[: photograph.image.height])


def test_the_truncated_file_of_the_collection_is_refused_as_a_strip(shared_data: Path) -> None:
    with pytest.raises(PhotographError, match="only 5 %"):
        open_photograph(shared_data / "formats" / "broken" / "truncated.jpg")
