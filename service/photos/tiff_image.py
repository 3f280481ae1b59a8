"""Decode TIFF: the largest of its pages, with Pillow, or with OpenImageIO what Pillow cannot read."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from service.errors import PhotographError
from service.photos.decoded import DecodedPhotograph, DecodeRequest, check_size
from service.photos.openimageio import is_read_at_once, opened_file, read_image, rows_at_once
from service.photos.orientation import SWAPPING, upright
from service.photos.pillow_formats import decode_opened, prepare_pillow

if TYPE_CHECKING:
    from PIL import Image

_MAX_PAGES = 256
"""Pages of a file among which the largest is looked for."""

_BYTES_PER_PIXEL = 4
_BAND_BYTES_PER_PIXEL = 48
"""Bytes per pixel of the image, and of the bands that are read and converted one after another, as float32."""


def decode_tiff(content: bytes, request: DecodeRequest) -> DecodedPhotograph:
    """Decode the largest page of a TIFF.

    Raises `PhotographError`, and whatever Pillow raises, if it cannot be read.
    """
    from PIL import Image

    prepare_pillow()
    try:
        with Image.open(io.BytesIO(content), formats=("TIFF",)) as opened:
            _seek_largest(opened)
            # Pillow decodes in full size only.
            if opened.width * opened.height <= request.max_pixels:
                return decode_opened(opened, content, request)
    except PhotographError:
        raise
    # Pillow raises all kinds of errors on pixels of a kind that it cannot read.
    except Exception:  # noqa: BLE001, S110
        pass
    return _decode_with_openimageio(content, request)


def _decode_with_openimageio(content: bytes, request: DecodeRequest) -> DecodedPhotograph:
    with opened_file(content, ".tif") as opened:
        page = _largest_page(opened)
        spec = opened.spec(page)
        check_size(spec.width, spec.height)
        factor = max(request.factor(spec.width, spec.height), request.least_factor(spec.width, spec.height))
        reduced = -(-spec.width // factor) * -(-spec.height // factor)
        band = rows_at_once(spec) * spec.width
        if is_read_at_once(spec):
            request.check_pixels(band, spec.width, spec.height)
        request.reserve(reduced * _BYTES_PER_PIXEL + band * _BAND_BYTES_PER_PIXEL)
        orientation = spec.get_int_attribute("Orientation", 1)
        image = upright(read_image(opened, page, factor), orientation)
        size = (spec.height, spec.width) if orientation in SWAPPING else (spec.width, spec.height)
        return DecodedPhotograph(image, *size, "TIFF")


def _seek_largest(opened: Image.Image) -> None:
    """Go to the largest page, the first of several of its size; raises what Pillow raises."""
    largest, most = 0, opened.width * opened.height
    for page in range(1, _MAX_PAGES):
        try:
            opened.seek(page)
        except EOFError:
            break
        if opened.width * opened.height > most:
            largest, most = page, opened.width * opened.height
    opened.seek(largest)


def _largest_page(opened: Any) -> int:
    """The number of the largest page that OpenImageIO sees, the first of several of its size."""
    largest, most = 0, 0
    for page in range(_MAX_PAGES):
        spec = opened.spec_dimensions(page)
        if spec.width <= 0 or spec.height <= 0:
            break
        if spec.width * spec.height > most:
            largest, most = page, spec.width * spec.height
    return largest
