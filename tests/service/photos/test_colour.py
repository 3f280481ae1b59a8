"""Images of any mode are converted to sRGB, whole or reduced in strips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

import service.photos.colour
from service.photos.colour import _transform_of, in_srgb

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def picture(mode: str, size: tuple[int, int] = (97, 83)) -> Image.Image:
    random = np.random.default_rng(3)
    colours = Image.fromarray(random.integers(0, 255, (8, 8, 4), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    if mode == "F":
        return Image.fromarray(np.asarray(colours.convert("L"), np.float32) * 7.5)
    if mode == "I;16":
        return Image.fromarray(np.asarray(colours.convert("L"), np.uint16) * 257)
    return colours if mode == "RGBA" else colours.convert("RGB").convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "RGBA", "LA", "CMYK", "I;16", "F"])
@pytest.mark.parametrize("factor", [2, 3, 5])
def test_strips_are_converted_like_the_whole(mode: str, factor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    image = picture(mode) if mode != "LA" else picture("RGBA").convert("LA")
    whole = in_srgb(image.copy()).reduce(factor)
    monkeypatch.setattr(service.photos.colour, "_STRIP_PIXELS", 97 * 10)
    strips = in_srgb(image, factor)
    assert strips.mode == "RGB"
    assert strips.size == whole.size
    assert np.array_equal(np.asarray(strips), np.asarray(whole))


def test_transparency_of_one_colour_is_laid_on_white_in_strips() -> None:
    image = Image.new("P", (64, 64), 0)
    image.info["transparency"] = 0
    assert in_srgb(image, 4).getpixel((3, 3)) == (255, 255, 255)


def test_metadata_is_dropped() -> None:
    image = picture("RGB")
    image.info.update(comment=b"secret", icc_profile=SRGB, exif=b"where")
    assert in_srgb(image).info == {}


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_the_srgb_profile_and_broken_ones_need_no_conversion(mode: str) -> None:
    image = picture(mode)
    assert _transform_of(image) is None
    image.info["icc_profile"] = SRGB if mode == "RGB" else b"not a profile"
    assert _transform_of(image) is None
    assert np.array_equal(np.asarray(in_srgb(image.copy())), np.asarray(image.convert("RGB")))


def test_a_profile_for_other_channels_than_the_image_has_is_ignored() -> None:
    image = picture("RGB")
    image.info["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert _transform_of(image) is None


def test_only_profiles_that_change_colours_are_converted(shared_data: Path) -> None:
    with Image.open(shared_data / "formats" / "jpeg" / "display-p3.jpg") as image:
        image.load()
        assert _transform_of(image) is not None
    with Image.open(shared_data / "formats" / "photos" / "squirrel.jpg") as image:
        image.load()
        assert "icc_profile" in image.info
        assert _transform_of(image) is None
