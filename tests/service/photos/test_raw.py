"""RAW photographs are decoded from the preview inside them or from the sensor's data, upright and in the right colours.

The RAW files are DNGs that the tests write: a mosaic of red, green and blue, and a JPEG preview where one is wanted.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from service.errors import PhotographError
from service.photos.decode import browser_jpeg, open_photograph
from service.types import UInt8Array

_LINEAR = np.where(np.arange(256) <= 10, np.arange(256) / 255 / 12.92, ((np.arange(256) / 255 + 0.055) / 1.055) ** 2.4)
"""Light of an sRGB level, 0 to 1."""


@dataclass(frozen=True)
class Directory:
    """Tags of a TIFF directory by number (type, values), and the strip that it describes."""

    tags: dict[int, tuple[str, Any]]
    strip: bytes


_TYPES = {"B": (1, "B"), "s": (2, "s"), "H": (3, "H"), "I": (4, "I"), "R": (5, "II"), "r": (10, "ii")}


def tiff_of(main: Directory, inner: Directory | None) -> bytes:
    """A TIFF with a directory, and one below it that its tag SubIFDs names."""
    content = bytearray(b"II*\0\0\0\0\0")

    def write(directory: Directory, more: dict[int, tuple[str, Any]]) -> int:
        tags = directory.tags | more | {273: ("I", [len(content)]), 279: ("I", [len(directory.strip)])}
        content.extend(directory.strip + b"\0" * (-len(directory.strip) % 4))
        entries = b""
        for tag, (kind, values) in sorted(tags.items()):
            number, code = _TYPES[kind]
            packed = values + b"\0" if kind == "s" else struct.pack(f"<{len(values)}{code[0]}", *values)
            count = len(packed) if kind == "s" else len(values) // len(code)
            if len(packed) > 4:
                where = len(content)
                content.extend(packed + b"\0" * (-len(packed) % 4))
                packed = struct.pack("<I", where)
            entries += struct.pack("<HHI", tag, number, count) + packed.ljust(4, b"\0")
        where = len(content)
        content.extend(struct.pack("<H", len(tags)) + entries + b"\0\0\0\0")
        return where

    below = {330: ("I", [write(inner, {})])} if inner else {}
    struct.pack_into("<I", content, 4, write(main, below))
    return bytes(content)


def dng(picture: Image.Image, preview: Image.Image | None = None, orientation: int = 1, scale: float = 1.0) -> bytes:
    """A DNG whose sensor saw `picture` (sides even) under a light that needs no white balance, at `scale` of white."""
    light = (_LINEAR[np.asarray(picture)] * 65535 * scale).astype(np.uint16)
    mosaic = light[..., 1].copy()
    mosaic[::2, ::2] = light[::2, ::2, 0]
    mosaic[1::2, 1::2] = light[1::2, 1::2, 2]
    height, width = mosaic.shape
    # sRGB's primaries: from XYZ to the camera's colours is from XYZ to linear sRGB.
    matrix = [3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.2040, 1.0570]
    sensor = {
        254: ("I", [0]), 256: ("I", [width]), 257: ("I", [height]), 258: ("H", [16]), 259: ("H", [1]),
        262: ("H", [32803]), 277: ("H", [1]), 278: ("I", [height]), 284: ("H", [1]), 33421: ("H", [2, 2]),
        33422: ("B", [0, 1, 1, 2]), 50714: ("H", [0]), 50717: ("I", [65535]),
    }  # fmt: skip
    camera = {
        271: ("s", b"Tests"), 272: ("s", b"Camera"), 274: ("H", [orientation]), 50706: ("B", [1, 4, 0, 0]),
        50721: ("r", [part for value in matrix for part in (round(value * 10000), 10000)]),
        50728: ("R", [1, 1, 1, 1, 1, 1]), 50778: ("H", [21]), 50708: ("s", b"Tests Camera"),
    }  # fmt: skip
    if preview is None:
        return tiff_of(Directory(sensor | camera, mosaic.tobytes()), None)
    out = io.BytesIO()
    preview.save(out, "JPEG", quality=95, subsampling=0)
    shown = {
        254: ("I", [1]), 256: ("I", [preview.width]), 257: ("I", [preview.height]), 258: ("H", [8, 8, 8]),
        259: ("H", [7]), 262: ("H", [6]), 277: ("H", [3]), 278: ("I", [preview.height]), 284: ("H", [1]),
    }  # fmt: skip
    return tiff_of(Directory(shown | camera, out.getvalue()), Directory(sensor, mosaic.tobytes()))


def squares(size: tuple[int, int]) -> Image.Image:
    """Dull red and green over blue and white."""
    width, height = size
    image = Image.new("RGB", size, (200, 60, 60))
    image.paste((60, 180, 60), (width // 2, 0, width, height // 2))
    image.paste((60, 60, 200), (0, height // 2, width // 2, height))
    image.paste("white", (width // 2, height // 2, width, height))
    return image


def corners(image: Image.Image) -> UInt8Array:
    """The colours (4, 3) in the middle of the quarters, in the order of reading."""
    pixels = np.asarray(image)
    height, width = pixels.shape[:2]
    return np.stack([pixels[height * y // 4, width * x // 4] for y in (1, 3) for x in (1, 3)])


def difference(image: Image.Image, expected: Image.Image) -> float:
    return float(np.abs(corners(image).astype(int) - corners(expected)).max())


@pytest.mark.parametrize("shorter_side", [None, 100, 300])
def test_the_sensors_data_are_developed_in_the_right_colours(shorter_side: int | None) -> None:
    picture = squares((640, 480))
    photograph = open_photograph(dng(picture), name="IMG_1.DNG", shorter_side=shorter_side)
    assert (photograph.width, photograph.height, photograph.format) == (640, 480, "DNG")
    assert min(photograph.image.size) >= (shorter_side or 480)
    assert difference(photograph.image, picture) < 12


def test_half_size_is_developed_where_it_is_enough() -> None:
    content = dng(squares((640, 480)))
    assert open_photograph(content, shorter_side=240).image.size == (320, 240)
    assert open_photograph(content, shorter_side=241).image.size == (640, 480)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("has_preview", [False, True])
def test_raw_photographs_are_upright(orientation: int, has_preview: bool) -> None:
    upright = squares((480, 640) if orientation in (6, 8) else (640, 480))
    stored = upright.transpose({1: 0, 3: 3, 6: 2, 8: 4}[orientation]) if orientation > 1 else upright
    preview = stored.resize((stored.width // 2, stored.height // 2)) if has_preview else None
    photograph = open_photograph(dng(stored, preview, orientation), name="a.dng", shorter_side=200)
    assert (photograph.width, photograph.height) == upright.size
    assert photograph.image.size == (upright.width // 2, upright.height // 2)
    assert difference(photograph.image, upright) < 12


def marked(picture: Image.Image) -> Image.Image:
    """The colours inverted, so that a preview can be told from the sensor's data."""
    return picture.point(lambda value: 255 - value)


@pytest.mark.parametrize(
    ("preview_side", "shorter_side", "is_preview"), [(480, 448, True), (300, 448, False), (300, 224, True)]
)
def test_the_preview_is_taken_where_it_is_large_enough(preview_side: int, shorter_side: int, is_preview: bool) -> None:
    picture = squares((1600, 1200))
    preview = marked(picture).resize((preview_side * 4 // 3, preview_side))
    photograph = open_photograph(dng(picture, preview), name="a.dng", shorter_side=shorter_side)
    assert (photograph.width, photograph.height) == (1600, 1200)
    assert (difference(photograph.image, marked(picture)) < 12) is is_preview
    assert min(photograph.image.size) >= shorter_side


def without_sensors_data(content: bytes) -> bytes:
    """A DNG with a preview, whose first directory, of the sensor's data, has them begin shortly before its end."""
    changed = bytearray(content)
    struct.pack_into("<I", changed, changed.index(struct.pack("<HHI", 273, 4, 1)) + 8, len(changed) - 100)
    return bytes(changed)


def cut_preview(content: bytes, share: float) -> bytes:
    """A DNG whose preview ends after this share of its pixels."""
    start, end = content.index(b"\xff\xda") + 14, content.index(b"\xff\xd9")
    middle = start + int(share * (end - start))
    return content[:middle] + b"\xff\xd9" * ((end - middle) // 2) + content[middle + (end - middle) // 2 * 2 :]


@pytest.mark.parametrize(("preview_side", "is_preview"), [(1000, True), (900, False)])
def test_a_browser_gets_a_large_preview_or_the_developed_picture(preview_side: int, is_preview: bool) -> None:
    picture = squares((1600, 1200))
    content = dng(picture, marked(picture).resize((preview_side * 4 // 3, preview_side)))
    with Image.open(io.BytesIO(browser_jpeg(content))) as shown:
        assert (difference(shown, marked(picture)) < 12) is is_preview


def test_a_damaged_preview_is_replaced_by_the_sensors_data() -> None:
    picture = squares((640, 480))
    content = bytearray(dng(picture, marked(picture)))
    start = content.index(b"\xff\xd8\xff")
    content[start : start + 300] = bytes(300)
    photograph = open_photograph(bytes(content), name="a.dng", shorter_side=200)
    assert difference(photograph.image, picture) < 12


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_preview_that_ends_early_is_replaced_by_the_sensors_data(share: float) -> None:
    picture = squares((640, 480))
    photograph = open_photograph(cut_preview(dng(picture, marked(picture)), share), name="a.dng", shorter_side=200)
    assert photograph.warning is None
    assert difference(photograph.image, picture) < 12


def test_a_part_of_the_preview_is_taken_where_the_sensors_data_are_damaged() -> None:
    picture = squares((640, 480))
    content = without_sensors_data(cut_preview(dng(picture, marked(picture)), 0.5))
    photograph = open_photograph(content, name="a.dng", shorter_side=200)
    assert photograph.image.width == 320
    assert 0 < photograph.image.height < 240
    assert photograph.warning is not None
    assert photograph.warning.endswith("only a part of the preview in it can be shown")


def test_a_small_preview_is_taken_where_the_sensors_data_are_damaged() -> None:
    picture = squares((1600, 1200))
    content = without_sensors_data(dng(picture, marked(picture).resize((160, 120))))
    photograph = open_photograph(content, name="a.dng", shorter_side=400)
    assert photograph.image.size == (160, 120)
    assert (photograph.width, photograph.height) == (1600, 1200)
    assert difference(photograph.image, marked(picture)) < 12
    assert photograph.warning is not None
    assert photograph.warning.endswith("only the small preview in it can be shown")


def test_a_dark_picture_is_brightened_by_two_stops_at_most() -> None:
    picture = squares((640, 480))
    quarter = open_photograph(dng(picture, scale=0.21), name="a.dng").image
    assert abs(int(corners(quarter).max()) - 230) <= 2
    night = open_photograph(dng(picture, scale=0.01), name="a.dng").image
    assert np.asarray(night).max() < 70


def test_a_black_picture_is_refused() -> None:
    with pytest.raises(PhotographError, match="every pixel is black"):
        open_photograph(dng(Image.new("RGB", (64, 48))), name="a.dng")


@pytest.mark.parametrize(("name", "form"), [("x.NEF", "NEF"), ("x.dng", "DNG"), ("x.tif", "RAW"), ("", "RAW")])
def test_raw_is_recognised_by_its_tags_and_named_after_its_extension(name: str, form: str) -> None:
    picture = squares((640, 480))
    photograph = open_photograph(dng(picture, marked(picture).resize((64, 48))), name=name, shorter_side=200)
    assert photograph.format == form
    assert difference(photograph.image, picture) < 12, "not the small preview"


def test_a_jpeg_with_a_raw_extension_is_a_jpeg() -> None:
    out = io.BytesIO()
    squares((64, 48)).save(out, "JPEG")
    assert open_photograph(out.getvalue(), name="a.nef").format == "JPEG"


@pytest.mark.parametrize("content", [b"II*\0\x08\0\0\0\0\0", b"FUJIFILMCCD-RAW 0201", b"\0" * 1000, b"Dear diary"])
def test_what_libraw_refuses_gets_a_sentence(content: bytes) -> None:
    with pytest.raises(PhotographError, match="RAW"):
        open_photograph(content, name="a.raf")


def test_damaged_raw_raises_nothing_but_photograph_errors() -> None:
    random = np.random.default_rng(2)
    picture = squares((128, 96))
    original = dng(picture, marked(picture).resize((64, 48)))
    for number in range(60):
        content = bytearray(original if number % 3 else original[: int(random.integers(10, len(original)))])
        # The directories are at the end.
        for position in random.integers(max(8, len(content) - 700) if number % 2 else 8, len(content), 6):
            content[position] = int(random.integers(0, 256))
        try:
            assert open_photograph(bytes(content), name="a.dng", shorter_side=40).image.mode == "RGB"
        except PhotographError as error:
            assert error.message


def test_the_memory_for_developing_is_announced_once() -> None:
    announced: list[int] = []
    open_photograph(dng(squares((640, 480))), name="a.dng", before_decoding=announced.append)
    assert len(announced) == 1
    assert 640 * 480 * 8 <= announced[0] <= 640 * 480 * 30


def test_more_pixels_than_allowed_are_refused() -> None:
    with pytest.raises(PhotographError, match=r"too many pixels \(640 x 480"):
        open_photograph(dng(squares((640, 480))), name="a.dng", max_pixels=300_000)


def test_a_raw_photograph_looks_like_the_jpeg_of_the_same_shot(shared_data: Path) -> None:
    raw = shared_data / "formats" / "raw"
    images = [open_photograph(raw / f"colorchart.{suffix}", shorter_side=500).image for suffix in ("dng", "jpg")]
    assert [image.size for image in images] == [(867, 578)] * 2
    # Without the noise, which differs with the demosaicing.
    developed, jpeg = (np.asarray(image.reduce(12)).astype(float) for image in images)
    assert np.abs(developed - jpeg).mean() < 8
    assert np.corrcoef(developed.ravel(), jpeg.ravel())[0, 1] > 0.995
