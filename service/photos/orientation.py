"""Turn images upright by their EXIF orientation, 1 to 8."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

SWAPPING = (5, 6, 7, 8)
"""Orientations that swap width and height."""

_TAG = 0x0112
_TRANSPOSITIONS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""Pillow's `Transpose` that turns an image with an orientation upright."""


def orientation_of(image: Image.Image) -> int:
    """The orientation in the EXIF data of a loaded image; 1, upright, if it has none or a broken one."""
    # Broken EXIF does not make the pixels unusable.
    try:
        orientation = image.getexif().get(_TAG)
        return int(orientation) if orientation in _TRANSPOSITIONS else 1
    except Exception:  # noqa: BLE001
        return 1


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """The image turned by its orientation; itself if that is 1 or not known."""
    from PIL import Image

    transposition = _TRANSPOSITIONS.get(orientation)
    return image if transposition is None else image.transpose(Image.Transpose(transposition))
