"""Thumbnails and previews keep the aspect ratio, the colours and no metadata, and are never enlarged."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from service.photos.thumbnails import PREVIEW_SIDE, THUMBNAIL_SIDE, thumbnail, thumbnails
from tests.service.photos.test_decode import quarters


def opened(jpeg: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(jpeg))
    assert image.format == "JPEG"
    return image


def test_a_thumbnail_keeps_the_aspect_ratio() -> None:
    with Image.open(io.BytesIO(thumbnail(quarters((1200, 800))))) as small:
        assert small.format == "JPEG"
        assert small.size == (THUMBNAIL_SIDE, THUMBNAIL_SIDE * 2 // 3)


def test_a_thumbnail_is_never_enlarged() -> None:
    with Image.open(io.BytesIO(thumbnail(quarters((60, 40))))) as small:
        assert small.size == (60, 40)


@pytest.mark.parametrize(
    ("size", "small", "large"),
    [
        ((3000, 2000), (384, 256), (768, 512)), ((600, 900), (256, 384), (600, 900)),
        ((1001, 700), (384, 268), (768, 537)),
        ((700, 500), (384, 274), (700, 500)), ((385, 200), (384, 199), (385, 200)), ((20000, 300), (384, 6), (768, 12)),
    ],
)  # fmt: skip
def test_a_preview_is_scaled_only_where_that_is_worth_while(
    size: tuple[int, int], small: tuple[int, int], large: tuple[int, int]
) -> None:
    thumbnail, preview = thumbnails(quarters(size))
    assert preview is not None
    assert (opened(thumbnail).size, opened(preview).size) == (small, large)


@pytest.mark.parametrize("size", [(384, 384), (384, 100), (60, 40)])
def test_a_photograph_no_larger_than_its_thumbnail_has_no_preview(size: tuple[int, int]) -> None:
    thumbnail, preview = thumbnails(quarters(size))
    assert preview is None
    assert opened(thumbnail).size == size


def test_both_show_the_picture_in_its_colours() -> None:
    image = quarters((1800, 1200))
    for jpeg in thumbnails(image):
        assert jpeg is not None
        shown = opened(jpeg)
        for x, y in ((1, 1), (3, 1), (1, 3), (3, 3)):
            found = shown.getpixel((shown.width * x // 4, shown.height * y // 4))
            expected = image.getpixel((1800 * x // 4, 1200 * y // 4))
            assert np.abs(np.subtract(found, expected)).max() < 6


def test_neither_has_metadata() -> None:
    image = quarters((900, 600))
    image.info.update(comment=b"secret", exif=b"Exif\0\0secret", icc_profile=b"secret")
    for jpeg in thumbnails(image):
        assert jpeg is not None
        assert b"secret" not in jpeg


def test_the_sides_are_those_that_the_web_page_asks_for() -> None:
    assert (THUMBNAIL_SIDE, PREVIEW_SIDE) == (384, 768)
