"""JPEG XL is decoded upright and in sRGB, and refused by its size before anything is decoded."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO
import pytest
from PIL import Image, ImageCms

from service.errors import PhotographError
from service.photos.decode import browser_jpeg, open_photograph
from service.photos.jpeg_xl import jpeg_xl_size
from service.photos.openimageio import _openimageio
from service.types import AnyArray

TURNED = base64.b64decode(
    "/woLhgViAuBbAhAAvAOIeAh4iHj+/w6AqAQAhcbGbgAAAAUAAPADAAAAAAAAABCwJHGKzJu8gOcywxcoFGakoDAdiVBPsXcXo2KMF2NUL8ZIBpCp"
    "C6DhThhg2lELLfzJQLjK5SeECUn+t35yFebjzWwAKfwjfwdjGKkArsUJIEZRgtFV1W/GPYOWZg9MUVzXakEIq3BIAASmvsjczgY3kj6I1GrWFYnW"
    "S++uGXoStnWE2EVYvgqyNJOoW4qMujCqYCIKTPC6h6Wsvt+MWxbjlp5sojhiwoKw+gAAAAAAAEoSSYl2XvUgzAAzACDvYAEGAJr8ggMwAJC+QAEA"
    "AA=="
)
"""A bare codestream, repacked from a JPEG of 32 x 48 pixels with orientation 6: red and green over blue and yellow."""


def quarters(width: int = 300, height: int = 200) -> AnyArray:
    """Red and green over blue and yellow."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = (255, 0, 0)
    pixels[: height // 2, width // 2 :] = (0, 128, 0)
    pixels[height // 2 :, : width // 2] = (0, 0, 255)
    pixels[height // 2 :, width // 2 :] = (255, 255, 0)
    return pixels


def jpeg_xl(folder: Path, pixels: AnyArray, **attributes: tuple[str, Any]) -> bytes:
    """A lossless JPEG XL; attributes are OpenImageIO's, with their types."""
    file = folder / "made.jxl"
    spec = OpenImageIO.ImageSpec(pixels.shape[1], pixels.shape[0], pixels.shape[2], str(pixels.dtype))
    for name, (kind, value) in attributes.items():
        spec.attribute(name, kind, value)
    out = OpenImageIO.ImageOutput.create(str(file))
    assert out.open(str(file), spec), out.geterror()
    assert out.write_image(pixels), out.geterror()
    out.close()
    return file.read_bytes()


def corners(image: Image.Image) -> list[tuple[int, ...]]:
    width, height = image.size
    return [image.getpixel((width * x // 4, height * y // 4)) for y in (1, 3) for x in (1, 3)]  # type: ignore[misc]


def test_pixels_are_decoded(tmp_path: Path) -> None:
    photograph = open_photograph(jpeg_xl(tmp_path, quarters()))
    assert (photograph.format, photograph.width, photograph.height) == ("JXL", 300, 200)
    assert np.array_equal(np.asarray(photograph.image), quarters())


def test_an_image_is_reduced_by_a_whole_number(tmp_path: Path) -> None:
    photograph = open_photograph(jpeg_xl(tmp_path, quarters(1200, 800)), shorter_side=200)
    assert photograph.image.size == (300, 200)
    assert (photograph.width, photograph.height) == (1200, 800)


def test_sixteen_bits_and_grey_are_read(tmp_path: Path) -> None:
    deep = jpeg_xl(tmp_path, quarters().astype(np.uint16) * 257)
    assert np.array_equal(np.asarray(open_photograph(deep).image), quarters())
    grey = jpeg_xl(tmp_path, quarters()[..., :1].copy())
    assert corners(open_photograph(grey).image) == [(255, 255, 255), (0, 0, 0), (0, 0, 0), (255, 255, 255)]


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    opacity = np.full((200, 300, 1), 255, np.uint8)
    opacity[100:] = 0
    # The writer takes colours that are multiplied by the opacity.
    layered = np.concatenate([quarters() * (opacity > 0), opacity], axis=2)
    white = (255, 255, 255)
    assert corners(open_photograph(jpeg_xl(tmp_path, layered)).image) == [(255, 0, 0), (0, 128, 0), white, white]


def test_orientation_is_applied_and_a_bare_codestream_read() -> None:
    photograph = open_photograph(TURNED)
    assert (photograph.width, photograph.height) == photograph.image.size == (48, 32)
    for found, expected in zip(corners(photograph.image), corners(Image.fromarray(quarters())), strict=True):
        assert np.abs(np.subtract(found, expected)).max() <= 2


def test_colour_profiles_are_converted(tmp_path: Path, shared_data: Path) -> None:
    with Image.open(shared_data / "formats" / "photos" / "blue-dress-adobergb.jpg") as stored:
        profile, pixels = stored.info["icc_profile"], np.asarray(stored.convert("RGB"))
    content = jpeg_xl(tmp_path, pixels, ICCProfile=(f"uint8[{len(profile)}]", np.frombuffer(profile, np.uint8)))
    expected = open_photograph(shared_data / "formats" / "photos" / "blue-dress-adobergb.jpg").image
    assert np.abs(np.asarray(open_photograph(content).image).astype(int) - np.asarray(expected)).max() <= 1


def test_a_profile_of_srgb_changes_nothing(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    content = jpeg_xl(tmp_path, quarters(), ICCProfile=(f"uint8[{len(profile)}]", np.frombuffer(profile, np.uint8)))
    assert np.array_equal(np.asarray(open_photograph(content).image), quarters())


def test_hdr_is_tone_mapped(tmp_path: Path) -> None:
    # 58 % of PQ is 203 candelas a square metre, white in SDR, which is compressed a little.
    pixels = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    pixels[:, :48] = round(0.5807 * 255)
    image = open_photograph(jpeg_xl(tmp_path, pixels, CICP=("int[4]", (9, 16, 0, 1)))).image
    low, high = np.asarray(image)[:, :48].min(), np.asarray(image)[:, :48].max()
    assert 200 < low <= high < 240


@pytest.mark.parametrize(
    ("bits", "size"),
    [
        ("1 00100 000 01001", (80, 40)),  # both sides multiples of eight
        ("1 00100 111", (80, 40)),  # width by ratio
        ("0 01 0001111100111 001", (1000, 1000)),
        ("0 11 000000000000111010100101111111 000 11 000000000000111010100101111111", (240000, 240000)),
    ],
)  # fmt: skip
def test_the_size_is_read_from_the_first_bytes(bits: str, size: tuple[int, int]) -> None:
    number = 0
    for field in reversed(bits.split()):
        number = number << len(field) | int(field, 2)
    codestream = b"\xff\x0a" + number.to_bytes(10, "little")
    assert jpeg_xl_size(codestream) == size
    boxed = b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0\0\0\x10Exif12345678" + b"\0\0\0\x18jxlp\0\0\0\0" + codestream
    assert jpeg_xl_size(boxed) == size


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n", b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0\0\0\0free" + bytes(100),
        b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0\0\0\x10jxlcnothing!", TURNED[:150], TURNED[:12] + bytes(len(TURNED)),
        b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0\0\0\x08free" * 5000,
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused(content: bytes) -> None:
    with pytest.raises(PhotographError, match=r"damaged|too small"):
        open_photograph(content)


def test_a_bomb_is_refused_by_its_size() -> None:
    number = (0b11 << 1) | (30_000 - 1) << 3 | 0b001 << 33
    with pytest.raises(PhotographError, match="too many pixels"):
        open_photograph(b"\xff\x0a" + number.to_bytes(10, "little"))


def test_the_memory_that_decoding_takes_is_announced_before(tmp_path: Path) -> None:
    announced: list[int] = []
    open_photograph(jpeg_xl(tmp_path, quarters()), before_decoding=announced.append)
    assert announced == [300 * 200 * 16]


def test_a_browser_gets_a_jpeg(tmp_path: Path) -> None:
    assert browser_jpeg(jpeg_xl(tmp_path, quarters())).startswith(b"\xff\xd8\xff")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _openimageio.cache_clear()
    monkeypatch.setitem(sys.modules, "OpenImageIO", None)
    with pytest.raises(PhotographError, match="the package OpenImageIO, which is not installed"):
        open_photograph(TURNED)
    _openimageio.cache_clear()


def test_lossy_and_lossless_files_show_their_pictures(shared_data: Path) -> None:
    folder = shared_data / "formats" / "jxl"
    lossy = open_photograph(folder / "lossy.jxl").image.resize((60, 40), Image.Resampling.BOX)
    lossless = open_photograph(folder / "lossless.jxl").image.resize((60, 40), Image.Resampling.BOX)
    assert np.abs(np.asarray(lossy).astype(int) - np.asarray(lossless)).mean() < 3
