"""Decode JPEG XL with OpenImageIO, after its size has been read from its first bytes."""

from __future__ import annotations

from service.errors import PhotographError
from service.photos.decoded import DecodedPhotograph, DecodeRequest, check_size
from service.photos.metadata.containers import boxes
from service.photos.openimageio import opened_file, read_image

JPEG_XL = "JXL"
"""`format` of a JPEG XL photograph."""

_BYTES_PER_PIXEL = 16
"""Bytes that decoding takes a pixel: libjxl's own image, OpenImageIO's and Pillow's."""

_SIZE_BITS = (9, 13, 18, 30)
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
"""ISO/IEC 18181-1: bits of a side's length by its selector, and width over height by the ratio's number less one."""


def decode_jpeg_xl(content: bytes, request: DecodeRequest) -> DecodedPhotograph:
    """Decode JPEG XL, upright; an animation's first frame.

    Raises `PhotographError` for a damaged file and where OpenImageIO is not installed.
    """
    width, height = jpeg_xl_size(content)
    check_size(width, height)
    # OpenImageIO decodes everything when it opens a file.
    request.check_pixels(width * height, width, height)
    request.reserve(width * height * _BYTES_PER_PIXEL)
    with opened_file(content, ".jxl") as opened:
        size = opened.spec()
        image = read_image(opened, 0, request.factor(size.width, size.height))
        return DecodedPhotograph(image, size.width, size.height, JPEG_XL)


def jpeg_xl_size(content: bytes) -> tuple[int, int]:
    """Width and height as stored, before the orientation is applied; raises `PhotographError` if there are none."""
    start = _codestream(content)
    bits = int.from_bytes(content[start : start + 12], "little")
    if bits & 0xFFFF != 0x0AFF:
        raise PhotographError("the file is damaged (no JPEG XL codestream)")
    read = _BitReader(bits >> 16)
    is_small = read.bits(1)
    height = _side(read, is_small)
    ratio = read.bits(3)
    if ratio == 0:
        return _side(read, is_small), height
    across, down = _RATIOS[ratio - 1]
    return height * across // down, height


def _side(read: _BitReader, is_small: int) -> int:
    """The length of a side in pixels; that of a small image is a multiple of eight up to 256."""
    return 8 * (read.bits(5) + 1) if is_small else read.bits(_SIZE_BITS[read.bits(2)]) + 1


class _BitReader:
    """Takes bits from a number, lowest first."""

    def __init__(self, number: int) -> None:
        self._number = number

    def bits(self, count: int) -> int:
        value = self._number & ((1 << count) - 1)
        self._number >>= count
        return value


def _codestream(content: bytes) -> int:
    """Where the codestream begins: at once, or in the first box `jxlc` or `jxlp` of a container."""
    if content.startswith(b"\xff\x0a"):
        return 0
    for box in boxes(content):
        if box.kind == b"jxlc":
            return box.start
        if box.kind == b"jxlp":  # a part of the codestream, after its number
            return box.start + 4
    raise PhotographError("the file is damaged (no JPEG XL codestream)")
