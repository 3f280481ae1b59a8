"""A part of a photograph: a box in fractions of the upright picture, and its pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.errors import UsageError
from service.photos.decode import MAX_ASPECT_RATIO, MIN_SIDE

if TYPE_CHECKING:
    from PIL import Image

QUERY_SIDE = 1024
"""Pixels on the shorter side of what is searched with that a JPEG is decoded to; more than twice any tower's input."""

_ROUNDING = 1e-4
"""How far a box may reach over the photograph: what two rounded numbers may sum to too much."""


@dataclass(frozen=True, slots=True)
class Box:
    """A part of a photograph in fractions (0 to 1) of its upright width and height; `x` and `y` from the top left.

    Raises `UsageError` for numbers that are none, a box without area, and one that is not all inside the photograph.
    """

    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(number) for number in (self.x, self.y, self.width, self.height)):
            raise UsageError(f"The box {self} has a number that is none; {_HOW}.")
        if self.width <= 0 or self.height <= 0:
            raise UsageError(f"The box {self} has no area: its width and height must be more than 0; {_HOW}.")
        right, bottom = self.x + self.width, self.y + self.height
        if min(self.x, self.y) < -_ROUNDING or max(right, bottom) > 1 + _ROUNDING:
            raise UsageError(f"The box {self} reaches out of the photograph, which goes from 0 to 1; {_HOW}.")

    def __str__(self) -> str:
        return ",".join(f"{round(number, 4):g}" for number in (self.x, self.y, self.width, self.height))

    @classmethod
    def parse(cls, text: str) -> Box:
        """The box that `x,y,width,height` names, such as `0.25,0.1,0.5,0.5`; raises `UsageError`."""
        try:
            numbers = [float(number) for number in text.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) != 4:
            raise UsageError(f"The box “{text[:100]}” cannot be read; {_HOW}.")
        return cls(*numbers)

    def inside(self, outer: Box) -> Box:
        """This box of the part `outer`, as a box of the whole photograph."""
        return Box(
            outer.x + self.x * outer.width,
            outer.y + self.y * outer.height,
            self.width * outer.width,
            self.height * outer.height,
        )

    def side_for(self, side: int) -> int:
        """Pixels that the photograph's shorter side needs so that the box's shorter side has `side`."""
        return math.ceil(side / min(1.0, self.width, self.height))


def side_to_decode(box: Box | None) -> int:
    """Pixels that a photograph's shorter side needs for a search with `box` of it, or with all of it."""
    return QUERY_SIDE if box is None else box.side_for(QUERY_SIDE)


_HOW = "give x,y,width,height in fractions of the photograph, such as 0.25,0.1,0.5,0.5"


def crop(image: Image.Image, box: Box) -> Image.Image:
    """The pixels of `box`; raises `UsageError` where they are too few or too long a strip to be a photograph."""
    left, top = (round(max(0.0, start) * side) for start, side in zip((box.x, box.y), image.size, strict=True))
    right = min(image.width, round((box.x + box.width) * image.width))
    bottom = min(image.height, round((box.y + box.height) * image.height))
    width, height = right - left, bottom - top
    if min(width, height) < MIN_SIDE:
        raise UsageError(
            f"The box {box} is too small: {width} x {height} pixels of this photograph, and at least {MIN_SIDE} x "
            f"{MIN_SIDE} are needed. Draw a larger one."
        )
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise UsageError(
            f"The box {box} is too long a strip: one side is more than a hundred times the other ({width} x {height} "
            "pixels). Draw one that is nearer to a square."
        )
    return image.crop((left, top, right, bottom))
