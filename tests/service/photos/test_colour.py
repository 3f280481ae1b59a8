"""Pixels of any mode in sRGB, whole or reduced in strips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

import service.photos.colour
from service.photos.colour import in_srgb, is_srgb

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
def test_strips_come_to_what_the_whole_comes_to(mode: str, factor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    image = picture(mode) if mode != "LA" else picture("RGBA").convert("LA")
    whole = in_srgb(image.copy()).reduce(factor)
    monkeypatch.setattr(service.photos.colour, "_STRIP", 97 * 10)
    strips = in_srgb(image, factor)
    assert strips.mode == "RGB"
    assert strips.size == whole.size
    assert np.array_equal(np.asarray(strips), np.asarray(whole))


def test_transparency_of_one_colour_is_laid_on_white_in_strips() -> None:
    image = Image.new("P", (64, 64), 0)
    image.info["transparency"] = 0
    assert in_srgb(image, 4).getpixel((3, 3)) == (255, 255, 255)


def test_nothing_that_was_said_of_the_picture_stays() -> None:
    image = picture("RGB")
    image.info.update(comment=b"secret", icc_profile=SRGB, exif=b"where")
    assert in_srgb(image).info == {}


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_profile_that_changes_nothing_costs_nothing(mode: str) -> None:
    image = picture(mode)
    assert is_srgb(image)
    image.info["icc_profile"] = SRGB if mode == "RGB" else b"not a profile"
    assert is_srgb(image)
    assert np.array_equal(np.asarray(in_srgb(image.copy())), np.asarray(image.convert("RGB")))


def test_a_profile_of_other_channels_than_the_pixels_is_ignored() -> None:
    image = picture("RGB")
    image.info["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert is_srgb(image)


def test_a_profile_that_changes_colours_is_not_srgb(shared_data: Path) -> None:
    with Image.open(shared_data / "formats" / "jpeg" / "display-p3.jpg") as image:
        image.load()
        assert not is_srgb(image)
    with Image.open(shared_data / "formats" / "photos" / "squirrel.jpg") as image:
        image.load()
        assert "icc_profile" in image.info
        assert is_srgb(image)


@pytest.mark.parametrize("mode", ["CMYK", "P", "RGBA", "F"])
def test_only_grey_and_rgb_may_be_srgb_as_they_are(mode: str) -> None:
    assert not is_srgb(picture(mode))
