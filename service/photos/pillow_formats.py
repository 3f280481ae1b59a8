"""Decode the formats that Pillow reads, with its plug-in for HEIF."""

from __future__ import annotations

import io
import warnings
from functools import cache
from typing import TYPE_CHECKING

from service.errors import PhotographError
from service.photos.animation import is_animation, telling_frame
from service.photos.colour import in_srgb
from service.photos.damaged import load_what_decodes
from service.photos.decoded import MAX_STORED_PIXELS, DecodedPhotograph, DecodeRequest, check_size
from service.photos.formats import is_heic
from service.photos.hdr import code_points_of
from service.photos.orientation import SWAPPING, orientation_of, upright

if TYPE_CHECKING:
    from PIL import Image, ImageFile

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "HEIF")
"""Pillow's readers that may open a file (JPEG includes MPO). Some of the others run programs, as EPS does."""

_BYTES_PER_PIXEL = 4
_EXTRA_BYTES_PER_PIXEL = {"HEIF": 8, "AVIF": 12, "WEBP": 8}
_PROGRESSIVE_BYTES_PER_PIXEL = 6
"""Bytes a pixel: of Pillow's image; on top of it, of decoders that keep an image of their own and a copy; and of a
progressive JPEG's coefficients, which are kept at full size whatever the scale."""

_ANIMATION_BYTES_PER_PIXEL = 16
"""Bytes a pixel of choosing a frame: the decoder's canvas, two frames and a copy being converted."""

_JPEG_SCALES = (1, 2, 4, 8)
"""Whole numbers by which libjpeg can reduce while it decodes."""


def decode_with_pillow(content: bytes, request: DecodeRequest) -> DecodedPhotograph:
    """Decode a file of one of `FORMATS`; raises `PhotographError`, and whatever Pillow raises, if it cannot be read."""
    from PIL import Image

    has_heif = prepare_pillow()
    if not has_heif and is_heic(content):
        raise PhotographError("HEIC photographs are read with the package pillow-heif, which is not installed")
    formats = FORMATS if has_heif else tuple(name for name in FORMATS if name != "HEIF")
    with Image.open(io.BytesIO(content), formats=formats) as opened:
        return decode_opened(opened, content, request)


def decode_opened(opened: ImageFile.ImageFile, content: bytes, request: DecodeRequest) -> DecodedPhotograph:
    """Decode the present page of an opened file, whose bytes are `content`; raises as `decode_with_pillow`."""
    width, height = opened.size
    check_size(width, height)
    name = opened.format or "unknown"
    _draft(opened, request)
    # A progressive JPEG is in memory at full size whatever the scale.
    decoded = width * height if opened.info.get("progressive") else opened.width * opened.height
    request.check_pixels(decoded, width, height)
    request.reserve(_bytes_to_decode(opened, width * height))
    factor = request.factor(*opened.size)
    image, warning = (telling_frame(opened), None) if is_animation(opened) else load_what_decodes(opened, content)
    orientation = orientation_of(opened)
    image.info["cicp"] = code_points_of(opened, content)
    # Reduce first, so that fewer pixels are turned.
    image = upright(in_srgb(image, factor), orientation)
    # Compare no sizes here: decoding at a reduced scale may turn an almost square image into a square.
    if orientation in SWAPPING:
        width, height = height, width
    return DecodedPhotograph(image, width, height, name, warning)


def _draft(opened: ImageFile.ImageFile, request: DecodeRequest) -> None:
    """Let the decoder reduce: a JPEG to the smallest of its scales that is enough, and to one that is allowed.

    A HEIF's thumbnail takes the place of the photograph where it is large enough.
    """
    width, height = opened.size
    factor = request.factor(width, height)
    if opened.format == "HEIF" and factor > 1:
        opened.draft("RGB", (width // factor, height // factor))
    if opened.format not in ("JPEG", "MPO"):
        return
    enough = max(scale for scale in _JPEG_SCALES if scale <= factor)
    if request.needed_factor(width, height) >= _JPEG_SCALES[-1]:
        enough = _JPEG_SCALES[-1]
    least = request.least_factor(width, height)
    scale = max(enough, min((scale for scale in _JPEG_SCALES if scale >= least), default=1))
    if scale > 1:
        opened.draft("RGB", (width // scale, height // scale))


def _bytes_to_decode(opened: Image.Image, pixels: int) -> int:
    """About how many bytes decoding takes at the chosen scale; `pixels` are those of the image in full size."""
    decoded = opened.width * opened.height
    if is_animation(opened):
        return decoded * _ANIMATION_BYTES_PER_PIXEL
    needed = decoded * (_BYTES_PER_PIXEL + _EXTRA_BYTES_PER_PIXEL.get(opened.format or "", 0))
    return needed + (pixels * _PROGRESSIVE_BYTES_PER_PIXEL if opened.info.get("progressive") else 0)


@cache
def prepare_pillow() -> bool:
    """Register HEIF, set Pillow's limit and silence its warnings, once a process: all of this is global.

    Returns whether HEIF can be read.
    """
    from PIL import Image

    try:
        import pillow_heif
    except ImportError:
        has_heif = False
    else:
        pillow_heif.register_heif_opener()
        has_heif = True
    # Beyond twice this number Pillow raises an error; what is decoded is limited by `DecodeRequest`.
    Image.MAX_IMAGE_PIXELS = MAX_STORED_PIXELS // 2
    # Broken EXIF is harmless.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    return has_heif
