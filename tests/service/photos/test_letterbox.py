"""Borders are found to the pixel, and what only resembles one is not."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from eval.letterboxed import BORDERS, add_border, iou
from service.errors import UsageError
from service.photos.crop import Box
from service.photos.decode import open_photograph
from service.photos.letterbox import box_inside_borders
from tests.service.pictures import picture

SIZE = (480, 320)


def as_jpeg(image: Image.Image, quality: int = 75) -> Image.Image:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return Image.open(out).convert("RGB")


def pixel_box(box: Box | None, image: Image.Image) -> tuple[int, int, int, int]:
    """Left, top, width and height in pixels."""
    assert box is not None
    return (
        round(box.x * image.width),
        round(box.y * image.height),
        round(box.width * image.width),
        round(box.height * image.height),
    )


@pytest.mark.parametrize("colour", ["black", "white", (30, 90, 160)])
@pytest.mark.parametrize("sides", [(0, 60, 0, 60), (70, 0, 70, 0), (40, 40, 40, 40), (24, 20, 24, 90)])
def test_borders_of_any_colour_are_found_to_the_pixel(
    colour: str | tuple[int, int, int], sides: tuple[int, int, int, int]
) -> None:
    image = as_jpeg(ImageOps.expand(picture(1, SIZE), sides, colour))
    found = pixel_box(box_inside_borders(image), image)
    assert found == pytest.approx((sides[0], sides[1], *SIZE), abs=2)


def test_borders_of_a_large_photograph_are_found_to_the_pixel() -> None:
    image = as_jpeg(ImageOps.expand(picture(1, (3000, 1700)), (0, 295, 0, 295), "black"))
    assert pixel_box(box_inside_borders(image), image) == pytest.approx((0, 295, 3000, 1700), abs=2)


def test_frames_inside_frames_are_removed() -> None:
    mat = ImageOps.expand(picture(2, SIZE), 40, "white")
    image = as_jpeg(ImageOps.expand(mat, 15, (70, 40, 20)))
    assert pixel_box(box_inside_borders(image), image) == pytest.approx((55, 55, *SIZE), abs=2)


@pytest.mark.parametrize("kind", BORDERS)
def test_most_borders_around_photographs_are_found(kind: str, samples: Path) -> None:
    correct = 0
    files = sorted(samples.iterdir())[:10]
    for seed, file in enumerate(files):
        copy = add_border(open_photograph(file).image, kind, "two dogs play in the snow near a house", seed)
        found = box_inside_borders(copy.image)
        correct += found is not None and iou(found, copy.box) > 0.9
    assert correct >= 8


def test_sample_photographs_have_no_borders(samples: Path) -> None:
    for file in samples.iterdir():
        assert box_inside_borders(open_photograph(file).image) is None, file.name


def test_real_photographs_have_no_borders(shared_data: Path) -> None:
    for file in sorted((shared_data / "formats" / "photos").glob("*.jpg")):
        assert box_inside_borders(open_photograph(file, shorter_side=1024).image) is None, file.name


def night_sky(image: Image.Image) -> None:
    draw = ImageDraw.Draw(image)
    draw.ellipse((200, 60, 260, 120), "white")
    draw.polygon([(0, 320), (0, 260), (200, 200), (480, 250), (480, 320)], (40, 40, 30))


def beach_and_sky(image: Image.Image) -> None:
    image.paste((235, 245, 255), (0, 0, 480, 130))
    image.paste(picture(3, (480, 190)), (0, 130))


def studio(image: Image.Image) -> None:
    image.paste("white", (0, 0, *image.size))
    ImageDraw.Draw(image).ellipse((120, 60, 360, 260), (90, 60, 40))


def snow_under_a_white_sky(image: Image.Image) -> None:
    image.paste("white", (0, 0, *image.size))
    trees = [(0, 190), (60, 120), (130, 150), (220, 90), (300, 160), (400, 110), (480, 180), (480, 210), (0, 220)]
    ImageDraw.Draw(image).polygon(trees, (50, 60, 50))


@pytest.mark.parametrize("paint", [night_sky, beach_and_sky, studio, snow_under_a_white_sky])
def test_a_sky_or_background_is_not_a_border(paint: object) -> None:
    image = Image.new("RGB", SIZE, "black")
    paint(image)  # type: ignore[operator]
    assert box_inside_borders(as_jpeg(image)) is None


def test_a_border_on_only_one_side_is_kept() -> None:
    image = as_jpeg(ImageOps.expand(picture(1, SIZE), (0, 80, 0, 0), "black"))
    assert box_inside_borders(image) is None


def test_a_starry_night_is_not_all_border() -> None:
    pixels = np.zeros((320, 480, 3), np.uint8)
    generator = np.random.default_rng(0)
    pixels[generator.integers(0, 320, 200), generator.integers(0, 480, 200)] = 230
    assert box_inside_borders(Image.fromarray(pixels)) is None


@pytest.mark.parametrize("inner", ["black", "grey"])
def test_a_photograph_that_is_all_border_is_refused(inner: str) -> None:
    image = as_jpeg(ImageOps.expand(Image.new("RGB", SIZE, inner), 50, "black"))
    with pytest.raises(UsageError, match="all border: only one colour would be left"):
        box_inside_borders(image)
