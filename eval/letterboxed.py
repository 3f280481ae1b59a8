"""Copies of photographs with borders around them and known positions of the picture in them.

The borders are those of what people upload: frames of films, framed prints, and phone screenshots.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from service.photos.crop import Box

if TYPE_CHECKING:
    from PIL import Image

Colour = tuple[int, int, int]
Maker = Callable[["Image.Image", str, np.random.Generator], "LetterboxedCopy"]

BLACK: Colour = (0, 0, 0)
WHITE: Colour = (255, 255, 255)
_WIDTH = 480
"""Width of the picture in a copy, in pixels."""
_SCREEN = (540, 1170)
"""Width and height of a phone's screen in pixels, half of a common one's."""


@dataclass(frozen=True)
class LetterboxedCopy:
    """A copy, RGB, and where the photograph is in it: (left, top, width, height) in pixels."""

    image: Image.Image
    position: tuple[int, int, int, int]

    @property
    def box(self) -> Box:
        """The position as fractions of the copy's size."""
        (left, top, width, height), (across, down) = self.position, self.image.size
        return Box(left / across, top / down, width / across, height / down)


def add_border(image: Image.Image, kind: str, text: str, seed: int) -> LetterboxedCopy:
    """A copy of an RGB photograph with the border `kind`, one of `BORDERS`, compressed as a JPEG of quality 75 to 92.

    `text` is the caption that a screenshot shows. Equal arguments give equal copies.
    """
    from PIL import Image

    generator = np.random.default_rng(seed)
    # The data set's photographs are squares; cameras use these aspect ratios.
    height = round(_WIDTH / generator.choice([4 / 3, 3 / 2, 1.0, 3 / 4]))
    made = BORDERS[kind](image.resize((_WIDTH, height), Image.Resampling.BICUBIC), text, generator)
    out = io.BytesIO()
    made.image.save(out, "JPEG", quality=int(generator.integers(75, 93)))
    return LetterboxedCopy(Image.open(out).convert("RGB"), made.position)


def iou(one: Box, other: Box) -> float:
    """Intersection over union of two boxes of one photograph, 0 to 1."""
    across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    common = max(0.0, across) * max(0.0, down)
    return common / (one.width * one.height + other.width * other.height - common)


def _expanded(image: Image.Image, sides: tuple[int, int, int, int], colour: Colour) -> LetterboxedCopy:
    """`image` with borders of `colour`; `sides` are their pixels left, top, right and bottom."""
    from PIL import ImageOps

    return LetterboxedCopy(ImageOps.expand(image, sides, colour), (sides[0], sides[1], *image.size))


def _any_colour(generator: np.random.Generator) -> Colour:
    red, green, blue = (int(level) for level in generator.integers(0, 256, 3))
    return red, green, blue


def _letterbox(colour: Colour) -> Maker:
    def make(image: Image.Image, text: str, generator: np.random.Generator) -> LetterboxedCopy:
        width = round(image.height * generator.uniform(0.1, 0.5))
        return _expanded(image, (0, width, 0, width), colour)

    return make


def _pillarbox(image: Image.Image, text: str, generator: np.random.Generator) -> LetterboxedCopy:
    width = round(image.width * generator.uniform(0.1, 0.6))
    return _expanded(image, (width, 0, width, 0), BLACK)


def _bars_of_any_colour(image: Image.Image, text: str, generator: np.random.Generator) -> LetterboxedCopy:
    width = round(image.height * generator.uniform(0.1, 0.5))
    sides = (0, width, 0, width) if generator.random() < 0.5 else (width, 0, width, 0)
    return _expanded(image, sides, _any_colour(generator))


def _frame(image: Image.Image, text: str, generator: np.random.Generator) -> LetterboxedCopy:
    width = round(image.width * generator.uniform(0.03, 0.2))
    return _expanded(image, (width, width, width, width), _any_colour(generator))


def _instant_print(image: Image.Image, text: str, generator: np.random.Generator) -> LetterboxedCopy:
    width = round(image.width * generator.uniform(0.04, 0.08))
    return _expanded(image, (width, width, width, 4 * width), (250, 248, 244))


def _mat_and_frame(image: Image.Image, text: str, generator: np.random.Generator) -> LetterboxedCopy:
    mat, wood = (round(image.width * generator.uniform(*range_)) for range_ in ((0.05, 0.15), (0.02, 0.05)))
    inner = _expanded(image, (mat, mat, mat, mat), WHITE)
    outer = _expanded(inner.image, (wood, wood, wood, wood), (60, 38, 24))
    return LetterboxedCopy(outer.image, (mat + wood, mat + wood, *image.size))


def _screenshot(paper: Colour, ink: Colour) -> Maker:
    def make(image: Image.Image, text: str, generator: np.random.Generator) -> LetterboxedCopy:
        from PIL import Image

        margin = int(generator.choice([0, 0, 16, 32]))
        width = _SCREEN[0] - 2 * margin
        height = round(image.height * width / image.width)
        top = int(generator.integers(130, max(131, min(400, _SCREEN[1] - height - 300))))
        screen = Image.new("RGB", _SCREEN, paper)
        _write(screen, text, ink, margin=max(16, margin), above=top, below=top + height)
        screen.paste(image.resize((width, height), Image.Resampling.BICUBIC), (margin, top))
        return LetterboxedCopy(screen, (margin, top, width, height))

    return make


def _write(screen: Image.Image, text: str, ink: Colour, *, margin: int, above: int, below: int) -> None:
    """Draw clock and battery, an icon and a title above the picture, buttons and a few lines of text below it."""
    from PIL import ImageDraw, ImageFont

    draw = ImageDraw.Draw(screen)
    small, large = ImageFont.load_default(17), ImageFont.load_default(24)
    right = screen.width - margin
    draw.text((margin + 4, 12), "11:24", ink, small)
    draw.rounded_rectangle((right - 34, 14, right - 6, 28), 4, outline=ink, width=2)
    draw.ellipse((margin, 66, margin + 40, 106), fill=(90, 140, 200))
    draw.text((margin + 54, 72), " ".join(text.split()[:3]), ink, large)
    for button in range(3):
        draw.ellipse(
            (margin + 4 + 50 * button, below + 20, margin + 34 + 50 * button, below + 50), outline=ink, width=3
        )
    words = text.split()
    for line in range(0, len(words), 7):
        draw.text((margin, below + 76 + 4 * line), " ".join(words[line : line + 7]), ink, small)
    draw.rounded_rectangle(
        (screen.width // 2 - 70, screen.height - 18, screen.width // 2 + 70, screen.height - 12), 3, ink
    )


BORDERS: dict[str, Maker] = {
    "black letterbox": _letterbox(BLACK),
    "white letterbox": _letterbox(WHITE),
    "black pillarbox": _pillarbox,
    "bars of any colour": _bars_of_any_colour,
    "frame of any colour": _frame,
    "instant print": _instant_print,
    "mat and frame": _mat_and_frame,
    "light screenshot": _screenshot(WHITE, (20, 20, 20)),
    "dark screenshot": _screenshot((18, 18, 18), (235, 235, 235)),
}
"""Functions that add a border, by its name."""
