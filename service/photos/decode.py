"""Decode a photograph's file to upright sRGB pixels; what cannot be decoded gets a reason."""

from __future__ import annotations

import io
import stat
from collections.abc import Callable
from pathlib import Path

from service.errors import PhotographError
from service.photos.decoded import MAX_PIXELS, DecodedPhotograph, DecodeRequest, photograph_errors
from service.photos.formats import is_jpeg_xl, is_tiff

MAX_FILE_BYTES = 1 << 30
"""Bytes of a file; larger ones are not read."""


def read_file(path: Path) -> bytes:
    """The bytes of a file; raises `PhotographError` with the reason if it cannot be read."""
    try:
        status = path.stat()
        # Reading a pipe may block, and a device may never end.
        if not stat.S_ISREG(status.st_mode):
            raise PhotographError("it is not a file")
        if status.st_size > MAX_FILE_BYTES:
            raise PhotographError(f"the file is larger than {MAX_FILE_BYTES >> 30} GB")
        content = path.read_bytes()
    except PermissionError:
        raise PhotographError("permission to read the file was denied") from None
    except FileNotFoundError:
        raise PhotographError("the file does not exist") from None
    except OSError as error:
        raise PhotographError(f"the file cannot be read ({error.strerror or error})") from None
    if not content:
        raise PhotographError("the file is empty")
    return content


def open_photograph(
    source: Path | bytes,
    *,
    name: str = "",
    shorter_side: int | None = None,
    longer_side: int | None = None,
    max_pixels: int = MAX_PIXELS,
    before_decoding: Callable[[int], None] | None = None,
) -> DecodedPhotograph:
    """Decode a photograph: upright, colours converted to sRGB, transparency laid on white.

    Of several pages or frames it is the largest page, or the frame that shows most; of a RAW file the preview inside it
    where that is large enough. What can be decoded of a truncated JPEG or PNG is kept, with a warning.

    Args:
        source: a file, or the bytes of one.
        name: the name of the file that the bytes come from, whose extension says that it is a RAW file and of which
            kind. Other formats are recognised by their bytes alone.
        shorter_side: pixels that the caller needs on the shorter side. A JPEG is then decoded at the smallest of its
            scales (1/2, 1/4, 1/8) that has as many, and an image that is still twice as large or more is reduced by a
            whole number.
        longer_side: pixels that the caller would like on the longer side too. A JPEG has fewer if an eighth of its size
            has `shorter_side`, because it is decoded fastest at that scale.
        max_pixels: the most pixels that may be decoded. A larger JPEG is decoded at a smaller scale, and a larger TIFF
            reduced while it is read.
        before_decoding: called once when the header has been read, with about how many bytes decoding will take; may
            block.

    Raises:
        PhotographError: the message is the reason and names no file, because an upload has none.
    """
    # A search for a text in a new process decodes nothing and should not wait for these.
    from service.photos.jpeg_xl import decode_jpeg_xl
    from service.photos.pillow_formats import decode_with_pillow
    from service.photos.raw import decode_raw, is_raw
    from service.photos.tiff_image import decode_tiff

    content = read_file(source) if isinstance(source, Path) else source
    if not content:
        raise PhotographError("the file is empty")
    name = source.name if isinstance(source, Path) else name
    request = DecodeRequest(shorter_side, longer_side, max_pixels, _once(before_decoding))
    with photograph_errors():
        if is_jpeg_xl(content):
            return decode_jpeg_xl(content, request)
        if is_raw(content, name):
            return decode_raw(content, name, request)
        if is_tiff(content):
            return decode_tiff(content, request)
        return decode_with_pillow(content, request)


def _once(before_decoding: Callable[[int], None] | None) -> Callable[[int], None]:
    """Passes on the first call only: where one decoder gives up, another takes over within the memory of the first."""
    amounts: list[int] = []

    def announce(amount: int) -> None:
        amounts.append(amount)
        if before_decoding is not None and len(amounts) == 1:
            before_decoding(amount)

    return announce


def browser_jpeg(source: Path | bytes) -> bytes:
    """A JPEG in full size, for formats that browsers cannot show."""
    out = io.BytesIO()
    open_photograph(source).image.save(out, "JPEG", quality=90)
    return out.getvalue()
