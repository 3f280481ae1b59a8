"""Boxes: how they are written, which are refused, and which pixels they crop."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from service.errors import UsageError
from service.photos.crop import Box, crop


def test_a_box_is_read_from_four_fractions() -> None:
    assert Box.parse("0.25, 0.1,0.5,.4") == Box(0.25, 0.1, 0.5, 0.4)
    assert str(Box(0.25, 0.1, 0.5, 1 / 3)) == "0.25,0.1,0.5,0.3333"
    assert Box.parse(str(Box(0, 0, 1, 1))) == Box(0, 0, 1, 1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "The box “” cannot be read"),
        ("0.1,0.2,0.3", "The box “0.1,0.2,0.3” cannot be read"),
        ("0.1,0.2,0.3,0.4,0.5", "cannot be read"),
        ("left,0,1,1", "cannot be read"),
        ("nan,0,1,1", "not a finite number"),
        ("0,0,inf,1", "not a finite number"),
        ("0.5,0.5,0,0.2", "has no area"),
        ("0.5,0.5,0.2,-0.2", "has no area"),
        ("0.5,0.5,0.6,0.2", "extends beyond the photograph"),
        ("-0.1,0,0.5,0.5", "extends beyond the photograph"),
        ("10,20,300,200", "extends beyond the photograph"),
    ],
)
def test_an_invalid_box_is_refused_with_an_example(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match="such as 0") as refusal:
        Box.parse(text)
    assert reason in refusal.value.message


def test_rounded_fractions_may_extend_slightly_beyond_the_edge() -> None:
    image = Image.new("RGB", (300, 300))
    assert crop(image, Box(0.33334, 0, 0.66667, 1)).size == (200, 300)


def test_a_crop_has_the_pixels_of_its_box() -> None:
    pixels = np.arange(60 * 80, dtype=np.uint16).reshape(60, 80)
    image = Image.fromarray(np.dstack([pixels % 256, pixels // 256, 0 * pixels]).astype(np.uint8))
    part = np.asarray(crop(image, Box(0.25, 0.5, 0.5, 0.5)))
    assert np.array_equal(part, np.asarray(image)[30:60, 20:60])


def test_a_box_of_too_few_pixels_is_refused() -> None:
    with pytest.raises(UsageError, match="10 x 50 pixels of this photograph, and at least 16 x 16"):
        crop(Image.new("RGB", (100, 100)), Box(0.2, 0.2, 0.1, 0.5))


def test_a_box_that_is_too_long_a_strip_is_refused() -> None:
    with pytest.raises(UsageError, match="more than a hundred times the other"):
        crop(Image.new("RGB", (2000, 100)), Box(0, 0, 1, 0.18))


def test_a_small_box_needs_a_larger_photograph() -> None:
    assert Box(0, 0, 1, 1).side_for(520) == 520
    assert Box(0.1, 0.1, 0.5, 0.25).side_for(520) == 2080


def test_a_box_inside_a_box_is_converted_to_a_box_of_the_whole() -> None:
    assert Box(0.5, 0, 0.5, 1).inside(Box(0.2, 0.4, 0.4, 0.2)) == Box(0.4, 0.4, 0.2, 0.2)
