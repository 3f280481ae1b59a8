"""TIFF of every depth and layout is read, of several pages the largest, in bounded memory where it is reduced."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

import numpy as np
import OpenImageIO
import pytest
from PIL import Image, ImageCms

from service.errors import PhotographError
from service.photos.decode import MAX_FILE_BYTES, open_photograph
from service.types import AnyArray, UInt8Array

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


def picture(height: int = 80, width: int = 120) -> UInt8Array:
    """Colours (height, width, 3) that change everywhere."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns * 255 // width, rows * 255 // height, (rows + columns) % 256], axis=-1).astype(np.uint8)


def written(folder: Path, *pages: AnyArray, **attributes: object) -> bytes:
    """A TIFF of pages (height, width, channels), written by OpenImageIO."""
    file = folder / "made.tif"
    specs = []
    for page in pages:
        kind = {"float32": "float", "float16": "half", "float64": "double"}.get(str(page.dtype), str(page.dtype))
        spec = OpenImageIO.ImageSpec(page.shape[1], page.shape[0], page.shape[2], kind)
        for name, value in attributes.items():
            spec.attribute(name.replace("__", ":"), value)
        specs.append(spec)
    out = OpenImageIO.ImageOutput.create(str(file))
    assert out.open(str(file), tuple(specs)), out.geterror()
    for number, page in enumerate(pages):
        if number:
            assert out.open(str(file), specs[number], "AppendSubimage"), out.geterror()
        assert out.write_image(page), out.geterror()
    out.close()
    return file.read_bytes()


def decoded(content: bytes, **needs: int) -> AnyArray:
    return np.asarray(open_photograph(content, **needs).image).astype(int)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["uint8", "uint16", "uint32", "float16", "float32", "float64"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_depth_is_read(tmp_path: Path, kind: str, channels: int) -> None:
    expected = picture()[..., :channels]
    expected[0, 0], expected[0, 1] = 0, 255
    full = {"uint8": 255, "uint16": 65535, "uint32": 2**32 - 1}.get(kind, 1)
    content = written(tmp_path, (expected / 255 * full).astype(kind))
    assert np.abs(decoded(content) - expected).max() <= 1


@pytest.mark.parametrize("compression", ["none", "lzw", "zip", "packbits"])
def test_floating_point_colours_are_read_in_every_compression(tmp_path: Path, compression: str) -> None:
    content = written(tmp_path, (picture() / 255).astype(np.float32), compression=compression)
    assert np.abs(decoded(content) - picture()).max() <= 1


def test_values_over_one_are_scaled_by_their_quantile(tmp_path: Path) -> None:
    bright = picture().astype(np.float32)
    bright[0, 0] = 1e9
    bright[0, 1] = (np.nan, np.inf, -5)
    found = decoded(written(tmp_path, bright))
    assert np.abs(found[10:] - picture()[10:] * (255 / 252)).max() < 4
    assert found[0, 0].tolist() == [255, 255, 255]


def test_channels_one_after_another_are_read(tmp_path: Path) -> None:
    content = written(tmp_path, (picture() / 255).astype(np.float32), planarconfig="separate", compression="zip")
    assert np.abs(decoded(content) - picture()).max() <= 1


def test_tiles_are_read(tmp_path: Path) -> None:
    pixels = picture(300, 500)
    file = tmp_path / "tiled.tif"
    spec = OpenImageIO.ImageSpec(500, 300, 3, "float")
    spec.tile_width = spec.tile_height = 64
    out = OpenImageIO.ImageOutput.create(str(file))
    assert out.open(str(file), spec)
    assert out.write_image((pixels / 255).astype(np.float32))
    out.close()
    assert np.abs(decoded(file.read_bytes()) - pixels).max() <= 1
    small = decoded(file.read_bytes(), shorter_side=60)
    assert small.shape == (60, 100, 3)
    assert np.abs(small - np.asarray(Image.fromarray(pixels).reduce(5))).max() <= 1


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    opacity = np.ones((80, 120, 1), np.float32)
    opacity[40:] = 0.5
    colours = np.full((80, 120, 3), (1.0, 0.0, 0.0), np.float32)
    content = written(tmp_path, np.concatenate([colours * opacity, opacity], axis=2))
    found = decoded(content)
    assert found[10, 10].tolist() == [255, 0, 0]
    assert np.abs(found[60, 10] - [255, 128, 128]).max() <= 1


def test_the_profile_of_floating_point_colours_is_applied(tmp_path: Path, shared_data: Path) -> None:
    with Image.open(shared_data / "formats" / "photos" / "blue-dress-adobergb.jpg") as stored:
        profile, pixels = stored.info["icc_profile"], np.asarray(stored.convert("RGB"))
    file = tmp_path / "made.tif"
    spec = OpenImageIO.ImageSpec(pixels.shape[1], pixels.shape[0], 3, "float")
    spec.attribute("ICCProfile", f"uint8[{len(profile)}]", np.frombuffer(profile, np.uint8))
    out = OpenImageIO.ImageOutput.create(str(file))
    assert out.open(str(file), spec)
    assert out.write_image((pixels / 255).astype(np.float32))
    out.close()
    expected = open_photograph(shared_data / "formats" / "photos" / "blue-dress-adobergb.jpg").image
    assert np.abs(decoded(file.read_bytes()) - np.asarray(expected)).mean() < 1


def test_cmyk_with_a_profile_is_converted(shared_data: Path) -> None:
    photograph = open_photograph(shared_data / "formats" / "other" / "cmyk.tif")
    pixels = np.asarray(photograph.image).reshape(-1, 3).astype(int)
    bright = pixels[pixels.max(axis=1) > 150].mean(axis=0)
    assert bright[0] > bright[1] + 60


@pytest.mark.parametrize("kind", ["uint8", "float32"])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_of_several_pages_the_largest_is_read(tmp_path: Path, kind: str, order: tuple[int, ...]) -> None:
    pages = [picture(20, 30), picture(80, 120), np.full((40, 60, 3), 77, np.uint8)]
    scale = 255 if kind == "float32" else 1
    content = written(tmp_path, *((pages[number] / scale).astype(kind) for number in order))
    photograph = open_photograph(content)
    assert (photograph.width, photograph.height) == (120, 80)
    assert np.abs(np.asarray(photograph.image).astype(int) - picture(80, 120)).max() <= 1


def test_a_page_that_pillow_cannot_read_is_found(tmp_path: Path) -> None:
    content = written(tmp_path, np.full((20, 30, 3), 77, np.uint8), (picture() / 255).astype(np.float32))
    assert np.abs(decoded(content) - picture()).max() <= 1


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_orientation_is_applied(tmp_path: Path, orientation: int, kind: str) -> None:
    upright = Image.fromarray(picture())
    stored = upright.transpose(Image.Transpose({3: 3, 6: 2, 8: 4}[orientation])) if orientation > 1 else upright
    pixels = (np.asarray(stored) / (255 if kind == "float32" else 1)).astype(kind)
    photograph = open_photograph(written(tmp_path, pixels, Orientation=orientation))
    assert (photograph.width, photograph.height) == (120, 80)
    assert np.abs(np.asarray(photograph.image).astype(int) - picture()).max() <= 1


def test_a_tiff_over_the_limit_is_reduced_while_it_is_read(tmp_path: Path) -> None:
    pixels = picture(600, 900)
    content = written(tmp_path, pixels, compression="zip")
    announced: list[int] = []
    photograph = open_photograph(content, shorter_side=100, max_pixels=500_000, before_decoding=announced.append)
    assert photograph.image.size == (150, 100)
    assert len(announced) == 1
    assert open_photograph(content, max_pixels=500_000).image.size == (450, 300), "as large as is allowed"


def test_a_tiff_over_the_limit_that_cannot_be_read_in_bands_is_refused(tmp_path: Path) -> None:
    content = written(tmp_path, picture(600, 900), planarconfig="separate")
    with pytest.raises(PhotographError, match=r"too many pixels \(900 x 600; at most 0 million are decoded"):
        open_photograph(content, shorter_side=100, max_pixels=500_000)


def test_a_large_tiff_is_read_in_bands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.photos.openimageio._BAND_PIXELS", 900 * 20)
    pixels = picture(600, 900)
    content = written(tmp_path, pixels, compression="zip")
    photograph = open_photograph(content, shorter_side=100, max_pixels=100_000)
    assert (photograph.width, photograph.height) == (900, 600)
    assert np.abs(np.asarray(photograph.image).astype(int) - np.asarray(Image.fromarray(pixels).reduce(6))).max() <= 1


def test_memory_is_announced_once_where_two_decoders_try(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (80, 120, 3), np.uint8)
    content = bytearray(written(tmp_path, noise, compression="lzw"))
    content[3000:4000] = bytes(1000)
    announced: list[int] = []
    with contextlib.suppress(PhotographError):
        open_photograph(bytes(content), before_decoding=announced.append)
    assert len(announced) == 1


def test_a_file_of_three_gigabytes_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "huge.tif"
    file.write_bytes(b"II*\0")
    os.truncate(file, 3 * MAX_FILE_BYTES)
    with pytest.raises(PhotographError, match="larger than 1 GB"):
        open_photograph(file)


def test_pages_in_a_circle_end(tmp_path: Path) -> None:
    out = io.BytesIO()
    image = Image.fromarray(picture())
    image.save(out, "TIFF", save_all=True, append_images=[image])
    content = bytearray(out.getvalue())
    first = int.from_bytes(content[4:8], "little")
    entries = int.from_bytes(content[first : first + 2], "little")
    content[first + 2 + 12 * entries : first + 6 + 12 * entries] = first.to_bytes(4, "little")
    assert open_photograph(bytes(content)).width == 120


def test_random_damage_raises_nothing_but_photograph_errors(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    originals = [
        written(tmp_path, (picture() / 255).astype(np.float32)),
        written(tmp_path, picture(), picture(20, 30), compression="lzw"),
        written(tmp_path, picture().astype(np.uint16), planarconfig="separate"),
    ]
    for number in range(90):
        content = bytearray(originals[number % len(originals)])
        start = len(content) - 600 if number % 2 else 0
        for position in random.integers(start, len(content), 6):
            content[position] = int(random.integers(0, 256))
        try:
            assert open_photograph(bytes(content)).image.mode == "RGB"
        except PhotographError as error:
            assert error.message
            assert "smysl-" not in error.message, "no temporary file is named"


@pytest.mark.parametrize("content", [b"II*\0\x08\0\0\0" + bytes(300), b"MM\0*" + bytes(100), b"II*\0"])
def test_an_empty_tiff_is_refused(content: bytes) -> None:
    with pytest.raises(PhotographError, match="the file is damaged") as refusal:
        open_photograph(content)
    assert "/" not in refusal.value.message


def test_a_profile_that_says_srgb_changes_nothing(tmp_path: Path) -> None:
    out = io.BytesIO()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(picture()).save(out, "TIFF", icc_profile=profile)
    assert np.array_equal(decoded(out.getvalue()), picture())
