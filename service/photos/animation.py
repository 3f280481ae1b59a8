"""Choose the frame of an animation that stands for it: the first, unless it shows next to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.photos.colour import in_srgb

if TYPE_CHECKING:
    from PIL import Image

_FORMATS = ("GIF", "WEBP", "PNG", "AVIF")

_ENOUGH_CONTRAST = 20.0
"""Standard deviation of the brightness, in levels of 255, from which on a frame is good enough."""

_MAX_FRAMES = 64
_MAX_PIXELS = 200_000_000
"""Frames of an animation that are decoded, and pixels of all of them together."""

_COMPARED_SIDE = 64
"""Pixels on the shorter side, about, of the reduced copy whose contrast is measured."""


def is_animation(opened: Image.Image) -> bool:
    """Whether an opened file has several frames that are shown one after another."""
    return opened.format in _FORMATS and bool(getattr(opened, "is_animated", False))


def telling_frame(opened: Image.Image) -> Image.Image:
    """The first frame of an animation if it has enough contrast, else the one with the most of those looked at.

    These are the frames 1, 2, 4, 8 and so on, counted from 0; frames after a damaged one are not looked at. Raises what
    Pillow raises if the first frame cannot be decoded.
    """
    size = opened.size
    opened.load()
    best = opened.copy()
    most = _contrast(best)
    number = 1
    while most < _ENOUGH_CONTRAST and number < _MAX_FRAMES and (number + 1) * size[0] * size[1] <= _MAX_PIXELS:
        # The end of the animation, or a damaged frame: decoders raise all kinds of errors.
        try:
            opened.seek(number)
            opened.load()
        except Exception:  # noqa: BLE001
            break
        if opened.size != size:
            break
        contrast = _contrast(opened)
        if contrast > most:
            best, most = opened.copy(), contrast
        number *= 2
    return best


def _contrast(frame: Image.Image) -> float:
    """The standard deviation of a frame's brightness."""
    from PIL import ImageStat

    factor = max(2, min(frame.size) // _COMPARED_SIDE)
    return float(ImageStat.Stat(in_srgb(frame, factor).convert("L")).stddev[0])
