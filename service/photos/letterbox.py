"""Find the picture inside borders: letterboxes, pillarboxes, frames, the screen around a screenshot.

A border has one colour up to the noise of JPEG, ends at a straight edge where the picture begins, and has a border of
the same colour on the opposite side. Skies, snow and studio backgrounds have one colour too, but what is in front of
them rarely fills a straight line on two opposite sides. In doubt there is no border: one that stays costs a search
little, whereas a sky that is cut off is lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from service.errors import UsageError
from service.photos.crop import Box
from service.photos.decoded import MIN_SIDE
from service.types import BoolArray, Float64Array, Int16Array

if TYPE_CHECKING:
    from PIL import Image

Span = tuple[int, int]
"""First line, and the line after the last."""

_SEARCH_SIDE = 384
"""Most pixels on the longer side of the reduced copy in which borders are looked for."""
_JPEG_BLOCK = 8
"""Pixels beside an edge that JPEG disturbs: one block."""
_COLOUR_TOLERANCE, _EVEN_TOLERANCE, _FLAT_RANGE = 16, 5, 12
"""Levels (of 255): most between a border's colour and its pixels; most for pixels that count as even; and most between
any two pixels of an image that is one colour."""
_MAX_OTHER = 0.01
"""Largest share of another colour in a line of a border."""
_MIN_EVEN = 0.9
"""Least share of a border's pixels that have its colour within `_EVEN_TOLERANCE`."""
_MIN_EDGE, _MIN_EDGE_EQUAL = 0.6, 0.3
"""Least share of another colour in the picture's first line, in general and if the borders on both sides are equally
wide, which a sky and a beach rarely are."""
_MIN_WIDTH, _MIN_WIDTH_UNEQUAL = 0.008, 0.03
"""Least width of a border as a share of the image's side, in general and with text on it or unequal borders."""
_MIN_TOTAL_UNEQUAL = 0.15
"""Least width of two opposite borders together, with text on them or unequal."""
_EQUAL_TOLERANCE = 0.03
"""Largest difference of two equal borders as a share of the wider; one line is always allowed."""
_MIN_BLANK, _MAX_TEXT = 0.4, 0.12
"""Least share of blank lines in a border with text, and largest share of the image's side that one text takes."""
_MIN_PICTURE = 0.15
"""Least share of the image's side that the picture takes."""
_MAX_FRAMES = 3
"""Frames inside each other that are removed."""


def box_inside_borders(image: Image.Image) -> Box | None:
    """The box of the picture inside the borders of an upright RGB image; None if it has no borders.

    Removes up to three frames inside each other. Raises `UsageError` if only one colour would be left.
    """
    found = whole = (0, 0, *image.size)
    for _ in range(_MAX_FRAMES):
        inner = _inside_outermost(image if found == whole else image.crop(found))
        if inner is None:
            break
        found = (found[0] + inner[0], found[1] + inner[1], found[0] + inner[2], found[1] + inner[3])
    if _is_one_colour(image if found == whole else image.crop(found)):
        raise UsageError(
            "The photograph is all border: only one colour would be left of it. Choose another, or keep the borders "
            "(--keep-borders, keep_borders) to search with it as it is."
        )
    if found == whole:
        return None
    (left, top, right, bottom), (width, height) = found, image.size
    return Box(left / width, top / height, (right - left) / width, (bottom - top) / height)


def _is_one_colour(image: Image.Image) -> bool:
    return bool(np.ptp(np.asarray(_reduced(image)[0]), axis=(0, 1)).max() <= _FLAT_RANGE)


def _inside_outermost(image: Image.Image) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom, in pixels, of what is inside the outermost borders; None if there are none."""
    small, factor = _reduced(image)
    # Channels first: NumPy is several times faster if the longest axes are last.
    pixels = np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1)).astype(np.int16)
    for colour in _candidate_colours(pixels):
        difference = _difference(pixels, colour)
        for first in (0, 1):
            found = _find_picture(difference, first, disturbed=-(-_JPEG_BLOCK // factor))
            if found is None:
                continue
            left, top, right, bottom = _refine(image, colour, found, factor)
            if min(right - left, bottom - top) >= MIN_SIDE:
                return left, top, right, bottom
    return None


def _reduced(image: Image.Image) -> tuple[Image.Image, int]:
    """A reduced copy, and its factor: the side of the squares whose means its pixels are."""
    factor = -(-max(image.size) // _SEARCH_SIDE)
    return (image.reduce(factor) if factor > 1 else image), factor


def _difference(pixels: Int16Array, colour: Int16Array) -> Int16Array:
    """The largest difference (...) over the channels of `pixels` (3, ...) from `colour` (3,), in levels."""
    red, green, blue = (np.abs(channel - level) for channel, level in zip(pixels, colour, strict=True))
    largest: Int16Array = np.maximum(np.maximum(red, green), blue)
    return largest


def _candidate_colours(pixels: Int16Array) -> Iterator[Int16Array]:
    """Colours (3,) that a border may have: those of the outermost lines, and the commonest of lines of one colour."""
    yielded: list[Int16Array] = []
    for lines in (pixels, pixels.swapaxes(1, 2)):
        candidates = [colour for line in (0, -1) if (colour := _single_colour(lines[:, line])) is not None]
        single = lines[:, ((lines.max(axis=2) - lines.min(axis=2)) <= _COLOUR_TOLERANCE).all(axis=0)]
        if single.size:
            # In a screenshot, the page may begin below a status bar of another colour.
            colours, counts = np.unique(single.mean(axis=2).astype(np.int16), axis=1, return_counts=True)
            candidates.append(colours[:, counts.argmax()])
        for colour in candidates:
            if all(np.abs(colour - other).max() > 1 for other in yielded):
                yielded.append(colour)
                yield colour


def _single_colour(line: Int16Array) -> Int16Array | None:
    """The colour (3,) of a line (3, n); None if it has more than one."""
    colour: Int16Array = np.median(line, axis=1).astype(np.int16)
    return colour if (_difference(line, colour) > _COLOUR_TOLERANCE).mean() <= _MAX_OTHER else None


@dataclass(frozen=True, slots=True)
class _Axis:
    """Rows or columns of the reduced copy: the picture at `span`, and borders before and after it.

    `edge` is the smaller of the shares of another colour in the picture's first and last lines, `blank` the share of
    the borders' lines without text, `text` the most lines that one text takes, `even` the share of the blank lines'
    pixels that have the border's colour.
    """

    span: Span
    length: int
    edge: float
    blank: float
    text: int
    even: float

    @property
    def borders(self) -> Span:
        """Lines before and after the picture."""
        return self.span[0], self.length - self.span[1]

    def has_borders(self) -> bool:
        """Whether there is a border on both sides."""
        return min(self.borders) > 0

    def is_certain(self, *, framed: bool) -> bool:
        """Whether the picture certainly has borders here; `framed` if the other axis has borders too."""
        narrow, wide = sorted(self.borders)
        equal = not self.text and wide - narrow <= max(1, _EQUAL_TOLERANCE * wide)
        if self.even < _MIN_EVEN or self.edge < (_MIN_EDGE_EQUAL if equal else _MIN_EDGE):
            return False
        if equal or (framed and not self.text):
            return True
        return (
            self.blank >= _MIN_BLANK
            and self.text <= _MAX_TEXT * self.length
            and narrow >= _MIN_WIDTH_UNEQUAL * self.length
            and narrow + wide >= _MIN_TOTAL_UNEQUAL * self.length
        )


def _find_picture(difference: Int16Array, first: int, disturbed: int) -> tuple[Span, Span] | None:
    """Rows and columns of the picture in `difference` (height, width), levels from the border's colour; None if unsure.

    `first` is the axis (0 for rows) whose borders have the image's full width, so that they are looked for first; up to
    `disturbed` lines beside an edge may have the noise of JPEG.
    """
    turned = difference if first == 0 else difference.T
    outer = _find_axis(turned, disturbed)
    inner = outer and _find_axis(turned[slice(*outer.span)].T, disturbed)
    if outer is None or inner is None or not (outer.has_borders() or inner.has_borders()):
        return None
    if inner.has_borders():
        # The picture's first line is only as wide as the picture, with borders beside it.
        edge = min(_edge(turned[line : line + 2, slice(*inner.span)]) for line in (outer.span[0], outer.span[1] - 2))
        outer = replace(outer, edge=edge) if outer.has_borders() else outer
    framed = outer.has_borders() and inner.has_borders()
    if any(axis.has_borders() and not axis.is_certain(framed=framed) for axis in (outer, inner)):
        return None
    return (outer.span, inner.span) if first == 0 else (inner.span, outer.span)


def _find_axis(difference: Int16Array, disturbed: int) -> _Axis | None:
    """Picture and borders along the lines of `difference` (lines, width); None if there cannot be borders."""
    length = len(difference)
    shares: Float64Array = (difference > _COLOUR_TOLERANCE).mean(axis=1)
    runs = _runs(shares > _MAX_OTHER)
    if not runs:
        return None
    start, stop = max(runs, key=lambda run: run[1] - run[0])
    if stop - start < _MIN_PICTURE * length:
        return None
    wide_enough = [border >= _MIN_WIDTH * length for border in (start, length - stop)]
    if not any(wide_enough):
        return _Axis((0, length), length, edge=1.0, blank=1.0, text=0, even=1.0)
    if not all(wide_enough):
        return None
    blank = shares <= _MAX_OTHER
    outside = np.r_[blank[:start], blank[stop:]]
    text = max((run[1] - run[0] for run in runs if run != (start, stop)), default=0)
    quiet = blank.copy()
    quiet[max(0, start - disturbed) : stop + disturbed] = False
    even = float((difference[quiet] <= _EVEN_TOLERANCE).mean()) if quiet.any() else 1.0
    start += _noisy(shares[start : start + disturbed + 1])
    stop -= _noisy(shares[max(start, stop - disturbed - 1) : stop][::-1])
    edge = min(_edge(difference[start : start + 2]), _edge(difference[stop - 2 : stop]))
    return _Axis((start, stop), length, edge, float(outside.mean()), text, even)


def _runs(holds: BoolArray) -> list[Span]:
    """The spans in which `holds` (n,) is true without a gap."""
    changes = np.flatnonzero(np.diff(np.r_[False, holds, False]))
    return [(int(start), int(stop)) for start, stop in changes.reshape(-1, 2)]


def _noisy(shares: Float64Array) -> int:
    """How many lines, from the border inwards, are only noise: less than half the largest share of another colour."""
    return int((shares >= shares.max() / 2).argmax())


def _edge(difference: Int16Array) -> float:
    """The largest share of another colour in one of the picture's first lines (n, width)."""
    return float((difference > _COLOUR_TOLERANCE).mean(axis=1).max())


def _refine(image: Image.Image, colour: Int16Array, found: tuple[Span, Span], factor: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the picture in pixels of `image`, from rows and columns of the reduced copy."""
    (top, bottom), (left, right) = ((start * factor, stop * factor) for start, stop in found)
    right, bottom = min(right, image.width), min(bottom, image.height)
    if factor == 1:
        return left, top, right, bottom

    def shares_in(box: tuple[int, int, int, int], axis: int) -> Float64Array:
        pixels = np.asarray(image.crop(box)).astype(np.int16).transpose(2, 0, 1)
        shares: Float64Array = (_difference(pixels, colour) > _COLOUR_TOLERANCE).mean(axis=1 - axis)
        return shares

    reach = 2 * factor
    up, down = max(0, top - reach), min(image.height, bottom + reach)
    before, after = max(0, left - reach), min(image.width, right + reach)
    return (
        before + _noisy(shares_in((before, top, left + reach, bottom), 1)) if left else 0,
        up + _noisy(shares_in((left, up, right, top + reach), 0)) if top else 0,
        after - _noisy(shares_in((right - reach, top, after, bottom), 1)[::-1]) if right < image.width else right,
        down - _noisy(shares_in((left, bottom - reach, right, down), 0)[::-1]) if bottom < image.height else bottom,
    )
