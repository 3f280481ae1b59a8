"""Load what can be decoded of a damaged JPEG or PNG: the rows above the damage, without the grey rest."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from service.errors import PhotographError
from service.photos.metadata.containers import JPEG_END, jpeg_segments

if TYPE_CHECKING:
    from PIL import Image, ImageFile

_JPEG = ("JPEG", "MPO")
_RESTART_INTERVAL = b"\xdd"

_GREY: dict[str, Any] = {
    "L": 128, "P": 128, "LA": (128, 128), "RGB": (128,) * 3, "RGBA": (128,) * 4, "CMYK": (128,) * 4, "I;16": 128 * 257,
}  # fmt: skip
"""By Pillow's mode, the colour that libjpeg gives to what is missing, and that this module gives to it in a PNG."""

_MIN_SHARE = 0.1
"""The smallest share of a picture that is kept."""

_BLOCK = 16
"""Pixels: the largest block of a JPEG."""


def load_what_decodes(opened: ImageFile.ImageFile, content: bytes) -> tuple[Image.Image, str | None]:
    """Load an opened file, whose bytes are `content`; the image without missing rows, and a warning if any are.

    Raises `PhotographError` if less than a tenth of the picture is there, and what Pillow raises for damage that leaves
    nothing.
    """
    try:
        opened.load()
    # Decoders raise all kinds of errors on broken files.
    except Exception:
        if opened.mode not in _GREY or not (opened.format in _JPEG or _is_plain_png(opened)):
            raise
        return _load_upper_part(opened, content)
    if opened.format in _JPEG and (missing := _grey_rows(opened)) and _ends_early(content):
        return _without(opened, missing, "the file is damaged")
    return opened, None


def _is_plain_png(opened: Image.Image) -> bool:
    """Whether a file is a PNG whose rows are stored from top to bottom."""
    return opened.format == "PNG" and not opened.info.get("interlace")


def _load_upper_part(failed: ImageFile.ImageFile, content: bytes) -> tuple[Image.Image, str | None]:
    """Load a file that Pillow gave up, again, onto a grey image."""
    from PIL import Image

    ended = content + JPEG_END if failed.format in _JPEG else content
    with Image.open(io.BytesIO(ended), formats=(_JPEG[0] if failed.format in _JPEG else "PNG",)) as opened:
        if failed.decoderconfig:
            scale = failed.decoderconfig[0]
            opened.draft("RGB", (opened.width // scale, opened.height // scale))
        opened.im = Image.new(opened.mode, opened.size, _GREY[opened.mode]).im
        try:
            opened.load()
        # What was decoded before the error is in the image.
        except Exception:  # noqa: BLE001
            opened.tile = []
        return _without(opened, _rows_that_end_grey(opened), "the file is truncated")


def _without(image: Image.Image, missing: int, fault: str) -> tuple[Image.Image, str | None]:
    """The image without its lowest `missing` rows, and what the person is told."""
    kept = (image.height - missing) / image.height
    if kept < _MIN_SHARE:
        raise PhotographError(f"{fault}: only {kept:.0%} of the picture can be decoded".replace("%", " %"))
    if not missing and not image.info.get("progressive"):
        return image, None  # only the mark of the end is missing
    percent = round(100 * (1 - kept)) or "less than 1"
    lost = f"{percent} % of the picture" if missing else "fine detail"
    return image.crop((0, 0, image.width, image.height - missing)), f"{fault}: {lost} is missing"


def _rows_that_end_grey(image: Image.Image) -> int:
    """How many of the lowest rows end in grey: a JPEG is decoded in rows of blocks, each from left to right."""
    return _lowest(image.crop((max(0, image.width - _BLOCK // 2), 0, image.width, image.height)))


def _grey_rows(image: Image.Image) -> int:
    """How many of the lowest rows are all grey; 0 for fewer than a row of blocks."""
    candidates = 0
    if image.mode in _GREY and _lowest(image.crop((image.width - 1, image.height - 1, image.width, image.height))):
        candidates = _rows_that_end_grey(image)
    if candidates < _BLOCK:
        return 0
    rows = _lowest(image.crop((0, image.height - candidates, image.width, image.height)))
    return rows if rows >= _BLOCK else 0


def _lowest(image: Image.Image) -> int:
    """How many of an image's lowest rows are all grey, up to rounding."""
    import numpy as np

    grey = np.asarray(_GREY[image.mode], np.int32)
    pixels = np.asarray(image).astype(np.int32)
    is_grey = (np.abs(pixels - grey) <= 1).reshape(image.height, -1).all(axis=1)
    return int(image.height if is_grey.all() else is_grey[::-1].argmin())


def _ends_early(content: bytes) -> bool:
    """Whether the first scan of a JPEG is ended by something other than the end of the picture."""
    position, has_restarts = 0, False
    for segment in jpeg_segments(content):
        position, has_restarts = segment.end, has_restarts or segment.kind == _RESTART_INTERVAL
    stray = rb"\xff[^\x00\xd0-\xd7\xff]" if has_restarts else rb"\xff[^\x00\xff]"
    end = re.compile(stray).search(content, position)
    if end is None or end.group() != JPEG_END:
        return True
    # Other pictures may follow, each with a beginning of its own.
    following = content.find(JPEG_END, end.end())
    return following >= 0 and b"\xff\xd8" not in content[end.end() : following]
