"""Decode the cameras' RAW formats with LibRaw: the preview inside where it is large enough, else the sensor's data."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from service.errors import PhotographError
from service.photos.decoded import DecodedPhotograph, DecodeRequest, check_size, photograph_errors
from service.photos.formats import RAW, RAW_FORMATS, has_raw_magic, is_raw_name, is_tiff, looks_like_photograph
from service.photos.hdr import light_to_srgb, srgb_to_light
from service.photos.pillow_formats import FORMATS, decode_with_pillow, prepare_pillow

if TYPE_CHECKING:
    import rawpy
    from PIL import Image

_FULL_PREVIEW_SIDE = 1000
"""Pixels on a preview's shorter side with which it stands for the photograph where no size is asked for."""

_SENSOR_BYTES_PER_PIXEL = 2
_HALF_SIZE_BYTES_PER_PIXEL = 6
_FULL_SIZE_BYTES_PER_PIXEL = 18
"""Bytes per pixel of the sensor: of its data, and of developing it to half and to full size."""

_WHITE_SHARE = 0.01
_WHITE = 230
_MAX_GAIN = 4.0
"""A developed picture is brightened until this share of its pixels has a channel this bright (of 255), by two stops at
most: cameras expose for the highlights, and LibRaw's own brightening has no limit, so that it turns night into day."""

_BLACK = 2
"""A picture without a brighter pixel (of 255) is empty."""

_SUB_IFDS, _PHOTOMETRIC, _DNG_VERSION = 330, 262, 50706
_COLOR_FILTER_ARRAY, _LINEAR_RAW = 32803, 34892
"""TIFF tags, and the values of PhotometricInterpretation that only RAW formats have."""
_MAX_IFDS = 32
_MAX_ENTRIES = 1000


def is_raw(content: bytes, name: str) -> bool:
    """Whether a file is a RAW photograph, by its first bytes and tags, or by the extension of `name`.

    A TIFF with a RAW extension counts: Pillow would read the small preview that comes first in it.
    """
    if has_raw_magic(content):
        return True
    if is_tiff(content):
        return is_raw_name(name) or _has_raw_tags(content)
    return is_raw_name(name) and not looks_like_photograph(content)


def decode_raw(content: bytes, name: str, request: DecodeRequest) -> DecodedPhotograph:
    """Decode a RAW photograph; `name` is that of its file.

    If the sensor's data cannot be read, a preview of any size or a damaged one is taken, with a warning. Raises
    `PhotographError` if there is none either.
    """
    with _opened(content) as raw:
        sizes = raw.sizes
        # Flips 5 and 6 are quarter turns.
        width, height = (sizes.height, sizes.width) if sizes.flip in (5, 6) else (sizes.width, sizes.height)
        check_size(width, height)
        image, warning = _shown(raw, request)
    suffix = Path(name).suffix[1:].upper()
    return DecodedPhotograph(image, width, height, suffix if suffix in RAW_FORMATS else RAW, warning)


def _shown(raw: rawpy.RawPy, request: DecodeRequest) -> tuple[Image.Image, str | None]:
    """The picture of an opened RAW file, and a warning where it is less than the file should have."""
    preview, shorter = _preview(raw)
    if preview is not None and shorter >= (request.shorter_side or _FULL_PREVIEW_SIDE):
        with suppress(PhotographError), photograph_errors():
            decoded = decode_with_pillow(preview, request)
            if decoded.warning is None:
                return decoded.image, None
    try:
        with _libraw_errors():
            return _developed(raw, request), None
    except PhotographError as error:
        if preview is None:
            raise
        decoded = decode_with_pillow(preview, request)
        rest = "the small preview" if decoded.warning is None else "a part of the preview"
        return decoded.image, f"{error.message}; only {rest} in it can be shown"


@contextmanager
def _opened(content: bytes) -> Iterator[rawpy.RawPy]:
    """A RAW file opened by LibRaw."""
    try:
        import rawpy
    except ImportError:
        raise PhotographError("RAW photographs are read with the package rawpy, which is not installed") from None
    with _libraw_errors(), rawpy.imread(io.BytesIO(content)) as raw:
        yield raw


@contextmanager
def _libraw_errors() -> Iterator[None]:
    """Turns LibRaw's errors into a `PhotographError`."""
    import rawpy

    try:
        yield
    except rawpy.LibRawFileUnsupportedError:
        raise PhotographError("it is not a RAW photograph of a camera that LibRaw knows") from None
    except rawpy.LibRawIOError:
        raise PhotographError("the RAW file is damaged: data are missing") from None
    except (rawpy.LibRawError, rawpy.NotSupportedError) as error:
        reason = error.args[0] if error.args else "unknown error"
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise PhotographError(f"the RAW file is damaged ({text.lower()})") from None


def _preview(raw: rawpy.RawPy) -> tuple[bytes | None, int]:
    """The JPEG in a RAW file, None if there is none, and the pixels on its shorter side.

    LibRaw takes the largest, and writes the camera's orientation into one that has none.
    """
    import rawpy
    from PIL import Image

    prepare_pillow()
    try:
        preview = raw.extract_thumb()
        if preview.format is not rawpy.ThumbFormat.JPEG or not isinstance(preview.data, bytes):
            return None, 0
        with Image.open(io.BytesIO(preview.data), formats=FORMATS) as header:
            return preview.data, min(header.size)
    # Without a preview that can be used there is still the sensor's data.
    except (rawpy.LibRawError, OSError, SyntaxError, ValueError, NotImplementedError):
        return None, 0


def _developed(raw: rawpy.RawPy, request: DecodeRequest) -> Image.Image:
    """The sensor's data as an upright image: camera white balance, sRGB, at half size where that is enough."""
    import numpy as np
    import rawpy
    from PIL import Image

    sizes = raw.sizes
    pixels = sizes.raw_width * sizes.raw_height
    request.check_pixels(pixels, sizes.width, sizes.height)
    half_size = min(sizes.width, sizes.height) // 2 >= (request.shorter_side or _FULL_PREVIEW_SIDE)
    developing = _HALF_SIZE_BYTES_PER_PIXEL if half_size else _FULL_SIZE_BYTES_PER_PIXEL
    request.reserve(pixels * (_SENSOR_BYTES_PER_PIXEL + developing))
    developed = raw.postprocess(
        half_size=half_size,
        demosaic_algorithm=rawpy.DemosaicAlgorithm.LINEAR,
        use_camera_wb=True,
        no_auto_bright=True,
        output_color=rawpy.ColorSpace.sRGB,
        gamma=(2.4, 12.92),
        output_bps=8,
    )
    if developed.max() <= _BLACK:
        raise PhotographError("the RAW file holds no picture: every pixel is black")
    image = Image.fromarray(np.ascontiguousarray(developed))
    factor = request.factor(image.width, image.height)
    return _brightened(image.reduce(factor) if factor > 1 else image)


def _brightened(image: Image.Image) -> Image.Image:
    """A developed image made as bright as `_WHITE_SHARE`, `_WHITE` and `_MAX_GAIN` say."""
    import numpy as np
    from PIL import ImageChops

    red, green, blue = image.split()
    counts = np.array(ImageChops.lighter(ImageChops.lighter(red, green), blue).histogram())
    bright = int(np.searchsorted(np.cumsum(counts), (1 - _WHITE_SHARE) * counts.sum()))
    light = srgb_to_light(np.arange(256) / 255)
    gain = min(_MAX_GAIN, float(light[_WHITE] / light[max(1, bright)]))
    if gain <= 1:
        return image
    curve = light_to_srgb(np.minimum(light * gain, 1))
    return image.point(np.rint(curve * 255).astype(int).tolist() * 3)


def _has_raw_tags(content: bytes) -> bool:
    """Whether a TIFF has tags that only RAW formats have, in its first directories or the directories below them."""
    order = "<" if content.startswith(b"II") else ">"
    pending = [_number(content, order, 4, 4)]
    for _ in range(_MAX_IFDS):
        if not pending:
            return False
        start = pending.pop(0)
        entries = min(_MAX_ENTRIES, _number(content, order, start, 2))
        for entry in range(start + 2, start + 2 + 12 * entries, 12):
            tag, value = _number(content, order, entry, 2), _number(content, order, entry + 8, 2)
            if tag == _DNG_VERSION or (tag == _PHOTOMETRIC and value in (_COLOR_FILTER_ARRAY, _LINEAR_RAW)):
                return True
            if tag == _SUB_IFDS:
                count, offset = _number(content, order, entry + 4, 4), _number(content, order, entry + 8, 4)
                places = [entry + 8] if count == 1 else [offset + 4 * each for each in range(min(count, _MAX_IFDS))]
                pending += [_number(content, order, place, 4) for place in places]
        pending.append(_number(content, order, start + 2 + 12 * entries, 4))
        pending = [each for each in pending if each]
    return False


def _number(content: bytes, order: str, start: int, size: int) -> int:
    """An unsigned number of 2 or 4 bytes; 0 beyond the end of the file."""
    if start + size > len(content):
        return 0
    (value,) = struct.unpack_from(order + ("H" if size == 2 else "I"), content, start)
    return int(value)
