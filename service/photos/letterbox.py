"""Where the picture is in an image with borders: letterboxes, pillarboxes, frames, the screen around a screenshot.

A border is one colour up to the noise of JPEG, ends at a straight edge where the picture begins, and has a border of
the same colour opposite. Skies, snow and studio backgrounds are one colour too, but what stands before them rarely
fills a straight line on two opposite sides. In doubt nothing is found: a border that stays costs a search little, a
sky that is cut off is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from service.errors import UsageError
from service.photos.crop import Box
from service.photos.decode import MIN_SIDE
from service.types import BoolArray, Float64Array, Int16Array

if TYPE_CHECKING:
    from PIL import Image

Span = tuple[int, int]
"""A first line and the line after a last."""

_SIDE = 384
"""Pixels of the longer side, at most, of the copy that borders are looked for in."""
_BLOCK = 8
"""Pixels beside an edge that JPEG disturbs: one of its blocks."""
_NEAR, _SAME, _FLAT = 16, 5, 12
"""Levels (of 255) between a border's colour and its pixels beside an edge, and elsewhere; and the most between any two
pixels of an image of one colour."""
_CLEAR = 0.01
"""Share of the pixels of a border's line that may be something else."""
_EVEN = 0.9
"""Share of a border's pixels that have its colour within `_SAME`."""
_EDGE, _EQUAL_EDGE = 0.6, 0.3
"""Share of the line where the picture begins that has another colour than the border; the second where the borders
on both sides are equal, which no sky is to a beach."""
_THINNEST, _STRICT_THINNEST = 0.008, 0.03
"""Least width of a border, as a share of the image's side."""
_STRICT_TOTAL = 0.15
"""Least width of two opposite borders together, where they are written on or not equal."""
_EQUAL = 0.03
"""By how much the narrower of two equal borders may be narrower, as a share of the wider; one line always."""
_BLANK, _LINE = 0.4, 0.12
"""Share of a written border's lines that are blank, at least; and of the image's side that one text takes, at most."""
_LEAST = 0.15
"""Share of a side that the picture has at least."""
_LAYERS = 3
"""Frames inside frames that are taken off."""


def box_inside_borders(image: Image.Image) -> Box | None:
    """The part of an upright RGB image that its borders leave; None where it has none.

    Takes frames inside frames off, three at most. Raises `UsageError` where nothing but one colour is left.
    """
    found = whole = (0, 0, *image.size)
    for _ in range(_LAYERS):
        inner = _without_outermost(image if found == whole else image.crop(found))
        if inner is None:
            break
        found = (found[0] + inner[0], found[1] + inner[1], found[0] + inner[2], found[1] + inner[3])
    if _is_one_colour(image if found == whole else image.crop(found)):
        raise UsageError(
            "The photograph is all border: nothing but one colour is left of it. Choose another, or keep the borders "
            "(--keep-borders, keep_borders) to search with it as it is."
        )
    if found == whole:
        return None
    (left, top, right, bottom), (width, height) = found, image.size
    return Box(left / width, top / height, (right - left) / width, (bottom - top) / height)


def _is_one_colour(image: Image.Image) -> bool:
    return bool(np.ptp(np.asarray(_reduced(image)[0]), axis=(0, 1)).max() <= _FLAT)


def _without_outermost(image: Image.Image) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom, in pixels, of what the outermost borders leave; None where there are none."""
    small, factor = _reduced(image)
    # Channels first: NumPy is several times as quick where the longest axes come last.
    pixels = np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1)).astype(np.int16)
    for colour in _colours(pixels):
        difference = _difference(pixels, colour)
        for first in (0, 1):
            found = _picture(difference, first, disturbed=-(-_BLOCK // factor))
            if found is None:
                continue
            left, top, right, bottom = _refined(image, colour, found, factor)
            if min(right - left, bottom - top) >= MIN_SIDE:
                return left, top, right, bottom
    return None


def _reduced(image: Image.Image) -> tuple[Image.Image, int]:
    """A copy whose pixels are means of squares of the image's, and the side of these squares."""
    factor = -(-max(image.size) // _SIDE)
    return (image.reduce(factor) if factor > 1 else image), factor


def _difference(pixels: Int16Array, colour: Int16Array) -> Int16Array:
    """The greatest difference of the three channels of `pixels` (3, ...) from `colour` (3,), in levels (...)."""
    red, green, blue = (np.abs(channel - level) for channel, level in zip(pixels, colour, strict=True))
    greatest: Int16Array = np.maximum(np.maximum(red, green), blue)
    return greatest


def _colours(pixels: Int16Array) -> Iterator[Int16Array]:
    """Colours (3,) that a border may have: of the four outermost lines, and of most lines that have only one."""
    given: list[Int16Array] = []
    for lines in (pixels, pixels.swapaxes(1, 2)):
        candidates = [colour for place in (0, -1) if (colour := _colour_of(lines[:, place])) is not None]
        even = lines[:, ((lines.max(axis=2) - lines.min(axis=2)) <= _NEAR).all(axis=0)]
        if even.size:
            # The page of a screenshot begins below a status bar of a colour of its own.
            colours, counts = np.unique(even.mean(axis=2).astype(np.int16), axis=1, return_counts=True)
            candidates.append(colours[:, counts.argmax()])
        for colour in candidates:
            if all(np.abs(colour - other).max() > 1 for other in given):
                given.append(colour)
                yield colour


def _colour_of(line: Int16Array) -> Int16Array | None:
    """The one colour (3,) of a line (3, n); None where it has more."""
    colour: Int16Array = np.median(line, axis=1).astype(np.int16)
    return colour if (_difference(line, colour) > _NEAR).mean() <= _CLEAR else None


@dataclass(frozen=True, slots=True)
class _Axis:
    """What stands on one axis, in lines of the reduced copy: the picture at `span`, borders before and after it.

    `edge` is the lesser of the two shares of other colour at the picture's ends, `blank` the share of the borders'
    lines without text, `text` the most lines that one text takes, `even` the share of the blank lines' pixels that
    have the border's colour.
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

    def is_cut(self) -> bool:
        """Whether there is a border on both sides."""
        return min(self.borders) > 0

    def is_sure(self, *, framed: bool) -> bool:
        """Whether what stands beside the picture is a border; `framed` where the other axis has borders too."""
        narrow, wide = sorted(self.borders)
        equal = not self.text and wide - narrow <= max(1, _EQUAL * wide)
        if self.even < _EVEN or self.edge < (_EQUAL_EDGE if equal else _EDGE):
            return False
        if equal or (framed and not self.text):
            return True
        return (
            self.blank >= _BLANK
            and self.text <= _LINE * self.length
            and narrow >= _STRICT_THINNEST * self.length
            and narrow + wide >= _STRICT_TOTAL * self.length
        )


def _picture(difference: Int16Array, first: int, disturbed: int) -> tuple[Span, Span] | None:
    """Rows and columns of the picture in `difference` (height, width), the levels from the border's colour, or None.

    `first` is the axis that is looked at over the whole width, 0 for rows; `disturbed` lines beside an edge may
    have the noise of JPEG.
    """
    turned = difference if first == 0 else difference.T
    outer = _axis(turned, disturbed)
    inner = outer and _axis(turned[slice(*outer.span)].T, disturbed)
    if outer is None or inner is None or not (outer.is_cut() or inner.is_cut()):
        return None
    if inner.is_cut():
        # Beside the picture its first line is border too.
        edge = min(_edge(turned[line : line + 2, slice(*inner.span)]) for line in (outer.span[0], outer.span[1] - 2))
        outer = replace(outer, edge=edge) if outer.is_cut() else outer
    framed = outer.is_cut() and inner.is_cut()
    if any(axis.is_cut() and not axis.is_sure(framed=framed) for axis in (outer, inner)):
        return None
    return (outer.span, inner.span) if first == 0 else (inner.span, outer.span)


def _axis(difference: Int16Array, disturbed: int) -> _Axis | None:
    """The borders before and after the picture among the lines of `difference`; None where they cannot be ones."""
    length = len(difference)
    shares: Float64Array = (difference > _NEAR).mean(axis=1)
    runs = _runs(shares > _CLEAR)
    if not runs:
        return None
    start, stop = max(runs, key=lambda run: run[1] - run[0])
    if stop - start < _LEAST * length:
        return None
    thinnest = _THINNEST * length
    sides = [start >= thinnest, length - stop >= thinnest]
    if not any(sides):
        return _Axis((0, length), length, edge=1.0, blank=1.0, text=0, even=1.0)
    if not all(sides):
        return None
    blank = shares <= _CLEAR
    outside = np.r_[blank[:start], blank[stop:]]
    text = max((run[1] - run[0] for run in runs if run != (start, stop)), default=0)
    quiet = blank.copy()
    quiet[max(0, start - disturbed) : stop + disturbed] = False
    even = float((difference[quiet] <= _SAME).mean()) if quiet.any() else 1.0
    start += _disturbed(shares[start : start + disturbed + 1])
    stop -= _disturbed(shares[max(start, stop - disturbed - 1) : stop][::-1])
    edge = min(_edge(difference[start : start + 2]), _edge(difference[stop - 2 : stop]))
    return _Axis((start, stop), length, edge, float(outside.mean()), text, even)


def _runs(holds: BoolArray) -> list[Span]:
    """Where `holds` (n,) is true from one line to the next, as spans."""
    changes = np.flatnonzero(np.diff(np.r_[False, holds, False]))
    return [(int(start), int(stop)) for start, stop in changes.reshape(-1, 2)]


def _disturbed(shares: Float64Array) -> int:
    """How many of these lines, from the border inwards, are only disturbed: less than half of what the fullest is."""
    return int((shares >= shares.max() / 2).argmax())


def _edge(difference: Int16Array) -> float:
    """The share of other colour where the picture begins: in the better of its first lines (n, width)."""
    return float((difference > _NEAR).mean(axis=1).max())


def _refined(
    image: Image.Image, colour: Int16Array, found: tuple[Span, Span], factor: int
) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the picture in pixels of `image`, from its rows and columns in a copy."""
    (top, bottom), (left, right) = ((start * factor, stop * factor) for start, stop in found)
    right, bottom = min(right, image.width), min(bottom, image.height)
    if factor == 1:
        return left, top, right, bottom

    def shares_in(box: tuple[int, int, int, int], axis: int) -> Float64Array:
        pixels = np.asarray(image.crop(box)).astype(np.int16).transpose(2, 0, 1)
        shares: Float64Array = (_difference(pixels, colour) > _NEAR).mean(axis=1 - axis)
        return shares

    reach = 2 * factor
    up, down = max(0, top - reach), min(image.height, bottom + reach)
    before, after = max(0, left - reach), min(image.width, right + reach)
    return (
        before + _disturbed(shares_in((before, top, left + reach, bottom), 1)) if left else 0,
        up + _disturbed(shares_in((left, up, right, top + reach), 0)) if top else 0,
        after - _disturbed(shares_in((right - reach, top, after, bottom), 1)[::-1]) if right < image.width else right,
        down - _disturbed(shares_in((left, bottom - reach, right, down), 0)[::-1]) if bottom < image.height else bottom,
    )
