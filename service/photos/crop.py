"""Crop a photograph to a box that is given in fractions of its upright width and height."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.errors import UsageError
from service.photos.decoded import MAX_ASPECT_RATIO, MIN_SIDE

if TYPE_CHECKING:
    from PIL import Image

QUERY_SIDE = 1024
"""Pixels that a photograph in a query is decoded to on its shorter side; more than twice any model's input."""

_ROUNDING = 1e-4
"""How far a box may extend beyond the photograph, because its numbers are rounded."""


@dataclass(frozen=True, slots=True)
class Box:
    """A crop in fractions (0 to 1) of a photograph's upright width and height; `x` and `y` are its top left corner.

    Raises `UsageError` for a value that is not finite, a box without area, and one not entirely inside the photograph.
    """

    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(number) for number in (self.x, self.y, self.width, self.height)):
            raise _wrong_box(f"The box {self} has a value that is not a finite number; {_EXAMPLE}.")
        if self.width <= 0 or self.height <= 0:
            raise _wrong_box(f"The box {self} has no area: its width and height must be more than 0; {_EXAMPLE}.")
        right, bottom = self.x + self.width, self.y + self.height
        if min(self.x, self.y) < -_ROUNDING or max(right, bottom) > 1 + _ROUNDING:
            raise _wrong_box(f"The box {self} extends beyond the photograph, which goes from 0 to 1; {_EXAMPLE}.")

    def __str__(self) -> str:
        return ",".join(f"{round(number, 4):g}" for number in (self.x, self.y, self.width, self.height))

    @classmethod
    def parse(cls, text: str) -> Box:
        """Read `x,y,width,height`, such as `0.25,0.1,0.5,0.5`; raises `UsageError`."""
        try:
            numbers = [float(number) for number in text.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) != 4:
            raise _wrong_box(f"The box “{text[:100]}” cannot be read; {_EXAMPLE}.")
        return cls(*numbers)

    def inside(self, outer: Box) -> Box:
        """This box, given in fractions of `outer`, in fractions of the whole photograph."""
        return Box(
            outer.x + self.x * outer.width,
            outer.y + self.y * outer.height,
            self.width * outer.width,
            self.height * outer.height,
        )

    def side_for(self, side: int) -> int:
        """Pixels on the photograph's shorter side with which the box has `side` on its own."""
        return math.ceil(side / min(1.0, self.width, self.height))


def side_to_decode(box: Box | None) -> int:
    """Pixels on a photograph's shorter side for a search with its part `box`, or with all of it for None."""
    return QUERY_SIDE if box is None else box.side_for(QUERY_SIDE)


def _wrong_box(message: str) -> UsageError:
    return UsageError(message, {"The box": "box"})


_EXAMPLE = "give x,y,width,height in fractions of the photograph, such as 0.25,0.1,0.5,0.5"


def crop(image: Image.Image, box: Box) -> Image.Image:
    """The pixels of `box`; raises `UsageError` if they are too few or too long a strip for a photograph."""
    left, top = (round(max(0.0, start) * side) for start, side in zip((box.x, box.y), image.size, strict=True))
    right = min(image.width, round((box.x + box.width) * image.width))
    bottom = min(image.height, round((box.y + box.height) * image.height))
    width, height = right - left, bottom - top
    if min(width, height) < MIN_SIDE:
        raise _wrong_box(
            f"The box {box} is too small: {width} x {height} pixels of this photograph, and at least {MIN_SIDE} x "
            f"{MIN_SIDE} are needed. Draw a larger one."
        )
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise _wrong_box(
            f"The box {box} is too long a strip: one side is more than a hundred times the other ({width} x {height} "
            "pixels). Draw one closer to a square."
        )
    return image.crop((left, top, right, bottom))
