"""Decode a photograph's file to upright sRGB pixels, and make its thumbnail; what cannot be decoded gets a reason."""

from __future__ import annotations

import io
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from service.errors import PhotographError
from service.photos.colour import in_srgb

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "webp", "gif", "tif", "tiff", "bmp"),
        *("avif", "heic", "heif", "hif"),
    )
)
"""Extensions, in lower case, of the files that an index run tries to read."""

UNSUPPORTED_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("jxl", "3fr", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "iiq", "kdc", "mef", "mos", "mrw", "nef"),
        *("nrw", "orf", "pef", "raf", "rw2", "rwl", "sr2", "srf", "srw", "x3f"),
    )
)
"""Extensions of photographs that smysl cannot read: JPEG XL and the cameras' RAW formats."""

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "HEIF")
"""Pillow's readers that may open a file (JPEG includes MPO). Some of the others run programs, as EPS does."""

MIN_SIDE = 16
"""Pixels; a smaller image is an icon, not a photograph."""

MAX_PIXELS = 178_956_970
"""Pixels of an image; Pillow's own limit against decompression bombs, about 16,000 x 11,000."""

MAX_ASPECT_RATIO = 100
"""Longer side over shorter side; scaled to a model's input by its shorter side, a longer strip would be huge."""

MAX_FILE_BYTES = 1 << 30
"""Bytes of a file; larger ones are not read."""

THUMBNAIL_SIDE = 384
"""Pixels of a thumbnail's longer side."""

_ORIENTATION_TAG = 0x0112
_SWAPPED = (5, 6, 7, 8)
"""EXIF tag, and its values that swap width and height."""
_TRANSPOSITIONS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""Pillow's `Transpose` that turns an image with an EXIF orientation upright."""

_BYTES_PER_PIXEL = 4
_EXTRA_BYTES_PER_PIXEL = {"HEIF": 8, "AVIF": 8, "WEBP": 8}
_PROGRESSIVE_BYTES_PER_PIXEL = 6
"""Bytes a pixel: of Pillow's image; on top of it, of decoders that keep an image of their own and a copy; and of a
progressive JPEG's coefficients, which are kept at full size whatever the scale."""


@dataclass(frozen=True, slots=True)
class DecodedPhotograph:
    """A decoded photograph.

    `image` is RGB in sRGB, upright, and may be smaller than stored; `width` and `height` are the stored size in
    pixels, upright; `format` is Pillow's name of the file format, such as "JPEG".
    """

    image: Image.Image
    width: int
    height: int
    format: str


def is_photograph_name(name: str) -> bool:
    """Whether a file has a photograph's extension, so that it is worth opening."""
    return Path(name).suffix.lower() in SUFFIXES


def is_unsupported_photograph_name(name: str) -> bool:
    """Whether a file has the extension of a photograph that smysl cannot read."""
    return Path(name).suffix.lower() in UNSUPPORTED_SUFFIXES


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
    source: Path | bytes, *, shorter_side: int | None = None, before_decoding: Callable[[int], None] | None = None
) -> DecodedPhotograph:
    """Decode a photograph: first frame, upright, colours converted to sRGB, transparency laid on white.

    Args:
        source: a file, or the bytes of one.
        shorter_side: pixels that the caller needs on the shorter side. A JPEG is then decoded at the smallest of its
            scales (1/2, 1/4, 1/8) that has as many, and an image that is still twice as large or more is reduced by a
            whole number.
        before_decoding: called when the header has been read, with about how many bytes decoding will take; may block.

    Raises:
        PhotographError: the message is the reason and names no file, because an upload has none.
    """
    content = read_file(source) if isinstance(source, Path) else source
    if not content:
        raise PhotographError("the file is empty")
    from PIL import Image

    _prepare_pillow()
    with _photograph_errors(), Image.open(io.BytesIO(content), formats=_FORMATS) as opened:
        return _decode(opened, shorter_side, before_decoding)


@contextmanager
def opened_header(path: Path) -> Iterator[Image.Image]:
    """A photograph with its header and metadata read but no pixels; raises `PhotographError` with the reason."""
    from PIL import Image

    _prepare_pillow()
    with _photograph_errors():
        # Reading a pipe may block, and a device may never end.
        if path.exists() and not path.is_file():
            raise PhotographError("it is not a file")
        image = Image.open(path, formats=_FORMATS)
    with image:
        yield image


@contextmanager
def _photograph_errors() -> Iterator[None]:
    """Turns whatever Pillow raises inside into a `PhotographError` with the reason."""
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except PhotographError:
        raise
    except UnidentifiedImageError:
        raise PhotographError("it is not a photograph in a format that smysl reads") from None
    except Image.DecompressionBombError:
        raise PhotographError(_too_many_pixels()) from None
    # Decoders raise all kinds of errors on broken files (struct.error, SyntaxError, IndexError, ...), and one bad file
    # must not stop a run over many.
    except Exception as error:  # noqa: BLE001
        if isinstance(error, OSError) and error.strerror:
            raise PhotographError(f"the file cannot be read ({error.strerror})") from None
        raise PhotographError(f"the file is damaged ({error})") from None


def thumbnail(image: Image.Image) -> bytes:
    """A JPEG of at most `THUMBNAIL_SIDE` pixels on its longer side, without metadata."""
    from PIL import Image

    longer = max(image.size)
    if longer > THUMBNAIL_SIDE:
        width, height = (max(1, round(side * THUMBNAIL_SIDE / longer)) for side in image.size)
        # A box filter by a whole factor first, then a short filter: a third of the time, and no visible difference.
        image = image.resize((width, height), Image.Resampling.HAMMING, reducing_gap=1.0)
    out = io.BytesIO()
    # Pillow copies the comment of the file that an image came from.
    image.save(out, "JPEG", quality=80, comment=b"")
    return out.getvalue()


def browser_jpeg(source: Path | bytes) -> bytes:
    """A JPEG in full size, for formats that browsers cannot show."""
    out = io.BytesIO()
    open_photograph(source).image.save(out, "JPEG", quality=90)
    return out.getvalue()


def _decode(
    opened: Image.Image, shorter_side: int | None, before_decoding: Callable[[int], None] | None
) -> DecodedPhotograph:
    width, height = opened.size
    _check_size(width, height)
    name = opened.format or "unknown"
    if shorter_side is not None and max(width, height) > shorter_side:
        opened.draft("RGB", (shorter_side, shorter_side))
    if before_decoding is not None:
        before_decoding(_bytes_to_decode(opened, width * height))
    opened.load()
    orientation = _orientation_of(opened)
    factor = max(1, min(opened.size) // shorter_side) if shorter_side else 1
    # Reduce first, so that fewer pixels are turned.
    image = in_srgb(opened, factor)
    if orientation is not None:
        from PIL import Image

        image = image.transpose(Image.Transpose(_TRANSPOSITIONS[orientation]))
    # Compare no sizes here: decoding at a reduced scale may turn an almost square image into a square.
    if orientation in _SWAPPED:
        width, height = height, width
    return DecodedPhotograph(image, width, height, name)


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise PhotographError(_too_many_pixels(width, height))
    if min(width, height) < MIN_SIDE:
        raise PhotographError(f"it is too small to be a photograph ({width} x {height} pixels)")
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise PhotographError(f"one side is more than a hundred times the other ({width} x {height} pixels)")


def _bytes_to_decode(opened: Image.Image, pixels: int) -> int:
    """About how many bytes decoding takes at the chosen scale; `pixels` are those of the image in full size."""
    width, height = opened.size
    needed = width * height * (_BYTES_PER_PIXEL + _EXTRA_BYTES_PER_PIXEL.get(opened.format or "", 0))
    return needed + (pixels * _PROGRESSIVE_BYTES_PER_PIXEL if opened.info.get("progressive") else 0)


def _orientation_of(image: Image.Image) -> int | None:
    """The EXIF orientation of a loaded image, 2 to 8; None for an upright one."""
    # Broken EXIF does not make the pixels unusable.
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG)
        return orientation if orientation in _TRANSPOSITIONS else None
    except Exception:  # noqa: BLE001
        return None


def _too_many_pixels(width: int = 0, height: int = 0) -> str:
    size = f"{width} x {height}, " if width else ""
    return f"it has too many pixels ({size}at most {MAX_PIXELS // 1_000_000} million)"


@cache
def _prepare_pillow() -> None:
    """Register HEIF and silence Pillow's warnings, once a process: warning filters are global, and threads decode."""
    import pillow_heif
    from PIL import Image

    pillow_heif.register_heif_opener()
    # Broken EXIF is harmless, and `_decode` checks the number of pixels.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
