"""Read pixels with OpenImageIO, in bands of rows: JPEG XL, and TIFF that Pillow cannot read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from service.errors import PhotographError
from service.photos.colour import joined_in_srgb
from service.types import AnyArray

if TYPE_CHECKING:
    from PIL import Image

_BAND_PIXELS = 1 << 22
"""Pixels that are read at once."""

_WHITE_QUANTILE = 0.99
"""The share of pixels that are no brighter than white, in a floating-point image with values over 1."""

_SAMPLE_PIXELS = 1 << 16
"""Pixels of a band, at least, that are looked at to find white."""


@contextmanager
def opened_file(content: bytes, suffix: str) -> Iterator[Any]:
    """An `OpenImageIO.ImageInput` of a file's bytes; `suffix` is the extension of its format.

    Raises `PhotographError` if the file cannot be opened, and where OpenImageIO is not installed.
    """
    module = _openimageio()
    # OpenImageIO's Python module reads nothing but files.
    with tempfile.TemporaryDirectory(prefix="smysl-", ignore_cleanup_errors=True) as folder:
        file = Path(folder) / f"photograph{suffix}"
        file.write_bytes(content)
        opened = module.ImageInput.open(str(file))
        if opened is None:
            raise _damaged("" if folder in (reason := module.geterror()) else reason)
        try:
            yield opened
        finally:
            opened.close()


def read_image(opened: Any, page: int, factor: int) -> Image.Image:
    """One image of an opened file as RGB in sRGB, not turned, each side `factor` times smaller.

    Transparency is laid on white. Floating-point values from 0 to 1 are black to white; if there are larger ones, all
    values are divided by their 99 % quantile.
    """
    spec = opened.spec(page)
    white = _white(opened, page) if _is_float(spec) else 1.0
    bands = (_as_image(band, white) for band in _in_multiples(_bands(opened, page), factor))
    return joined_in_srgb(bands, (spec.width, spec.height), factor, _colour_space(spec))


def is_read_at_once(spec: Any) -> bool:
    """Whether an image cannot be read in bands: its channels follow each other, and compressions only go forward."""
    return bool(spec.getattribute("planarconfig") == "separate")


def rows_at_once(spec: Any) -> int:
    """The height of the bands in which an image is read."""
    if is_read_at_once(spec):
        return int(spec.height)
    rows = int(max(1, _BAND_PIXELS // spec.width))
    if spec.tile_height:
        rows = max(1, rows // int(spec.tile_height)) * int(spec.tile_height)
    return min(int(spec.height), rows)


@cache
def _openimageio() -> ModuleType:
    try:
        import OpenImageIO
    except ImportError:
        raise PhotographError("it is read with the package OpenImageIO, which is not installed") from None
    # Photographs are decoded in parallel, not the parts of one.
    OpenImageIO.attribute("threads", 1)
    return OpenImageIO


def _is_float(spec: Any) -> bool:
    module = _openimageio()
    return bool(spec.format.basetype in (module.HALF, module.FLOAT, module.DOUBLE))


def _colour_space(spec: Any) -> dict[str | tuple[int, int], Any]:
    """What `service.photos.colour` needs to know of a colour space: an ICC profile, code points of ITU-T H.273."""
    profile, code_points = spec.getattribute("ICCProfile"), spec.getattribute("CICP")
    return {
        "icc_profile": None if profile is None else bytes(bytearray(profile)),
        "cicp": None if code_points is None else tuple(map(int, code_points)),
    }


def _bands(opened: Any, page: int) -> Iterator[AnyArray]:
    """Bands (rows, width, channels) from top to bottom: uint8, or float32 of floating-point images.

    There are one or three channels of colour, and after them one of opacity, by which they are multiplied, if the
    image has it.
    """
    spec = opened.spec(page)
    alpha = spec.alpha_channel
    colours = 3 if spec.nchannels - (alpha >= 0) >= 3 else 1
    channels = colours + (alpha == colours)
    kind = "float" if _is_float(spec) else "uint8"
    rows = rows_at_once(spec)
    left, top = spec.x, spec.y
    for start in range(top, top + spec.height, rows):
        stop = min(start + rows, top + spec.height)
        if spec.tile_height:
            band = opened.read_tiles(page, 0, left, left + spec.width, start, stop, 0, 1, 0, channels, kind)
        else:
            band = opened.read_scanlines(page, 0, start, stop, 0, 0, channels, kind)
        if band is None:
            raise _damaged(opened.geterror())
        yield band.reshape(stop - start, spec.width, channels)


def _in_multiples(bands: Iterator[AnyArray], factor: int) -> Iterator[AnyArray]:
    """The same rows in bands whose heights are multiples of `factor`, but for the last."""
    import numpy as np

    rest: AnyArray | None = None
    for band in bands:
        rows = band if rest is None else np.concatenate([rest, band])
        whole = len(rows) // factor * factor
        if whole:
            yield rows[:whole]
        rest = rows[whole:]
    if rest is not None and len(rest):
        yield rest


def _white(opened: Any, page: int) -> float:
    """The value of white in a floating-point image."""
    import numpy as np

    samples = []
    for band in _bands(opened, page):
        step = max(1, int((band.shape[0] * band.shape[1] / _SAMPLE_PIXELS) ** 0.5))
        samples.append(np.nan_to_num(band[::step, ::step, :3].max(axis=2), posinf=0).ravel())
    values = np.concatenate(samples)
    return 1.0 if values.max() <= 1 else max(1.0, float(np.quantile(values, _WHITE_QUANTILE)))


def _as_image(band: AnyArray, white: float) -> Image.Image:
    """A band as a grey or RGB image of eight bits on a white ground."""
    import numpy as np
    from PIL import Image

    colours = 3 if band.shape[2] >= 3 else 1
    if band.dtype != np.uint8:
        most = np.array([white] * colours + [1.0] * (band.shape[2] - colours), np.float32)
        band = np.clip(np.nan_to_num(band, posinf=white), 0, most) * (np.float32(255) / most)
    if band.shape[2] > colours:
        # The colours are multiplied by the opacity already.
        band = band[..., :colours].astype(np.int16) + (255 - band[..., colours:].astype(np.int16))
    pixels = band[..., :colours]
    if pixels.dtype != np.uint8:
        pixels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if colours == 1 else pixels))


def _damaged(reason: str) -> PhotographError:
    lines = reason.strip().splitlines()
    return PhotographError(f"the file is damaged ({lines[0] if lines else 'it cannot be decoded'})")
