"""Make the small pictures of a photograph that are stored and sent: the thumbnail and the larger preview."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

THUMBNAIL_SIDE = 384
"""Pixels of a thumbnail's longer side."""

PREVIEW_SIDE = 768
"""Pixels of a preview's longer side, which is shown on dense screens."""

MAX_PREVIEW_SIDE = 1000
"""Pixels up to which a decoded image is the preview as it is: scaling it takes longer than decoding and encoding."""

_THUMBNAIL_QUALITY, _PREVIEW_QUALITY = 80, 75
"""Of JPEG. WebP of the same quality takes a quarter fewer bytes and more than twice the time to encode."""


def thumbnail(image: Image.Image) -> bytes:
    """A JPEG of at most `THUMBNAIL_SIDE` pixels on its longer side, without metadata."""
    return _jpeg(_fitted(image, THUMBNAIL_SIDE), _THUMBNAIL_QUALITY)


def thumbnails(image: Image.Image) -> tuple[bytes, bytes | None]:
    """The thumbnail of an image, and its preview: a JPEG of at most `MAX_PREVIEW_SIDE` pixels on its longer side.

    There is no preview, None, of an image that is no larger than its thumbnail.
    """
    if max(image.size) <= THUMBNAIL_SIDE:
        return thumbnail(image), None
    large = image if max(image.size) <= MAX_PREVIEW_SIDE else _fitted(image, PREVIEW_SIDE)
    return thumbnail(large), _jpeg(large, _PREVIEW_QUALITY)


def _fitted(image: Image.Image, side: int) -> Image.Image:
    """The image reduced to at most `side` pixels on its longer side; never enlarged."""
    from PIL import Image

    longer = max(image.size)
    if longer <= side:
        return image
    width, height = (max(1, round(each * side / longer)) for each in image.size)
    # A box filter by a whole factor first, then a short filter: a third of the time, and no visible difference.
    return image.resize((width, height), Image.Resampling.HAMMING, reducing_gap=1.0)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    # Pillow copies the comment of the file that an image came from.
    image.save(out, "JPEG", quality=quality, comment=b"")
    return out.getvalue()
