"""A file to RGB pixels, its facts and its thumbnail. Every format and every bad file ends here."""

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
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".mpo",
        ".png",
        ".webp",
        ".gif",
        ".tif",
        ".tiff",
        ".bmp",
        ".avif",
        ".heic",
        ".heif",
        ".hif",
    ]
)
"""File name endings, lower case, of what an index run tries to read."""

UNSUPPORTED_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("jxl", "3fr", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "iiq", "kdc", "mef", "mos", "mrw", "nef"),
        *("nrw", "orf", "pef", "raf", "rw2", "rwl", "sr2", "srf", "srw", "x3f"),
    )
)
"""Endings of photographs that smysl cannot read: JPEG XL and the cameras' RAW formats."""

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "HEIF")
"""Pillow's readers that may look at a file (JPEG hands over to MPO); others run programs, as EPS does."""

MIN_SIDE = 16
"""Pixels; what is smaller is an icon, not a photograph."""

MAX_PIXELS = 178_956_970
"""Pixels; Pillow's own limit against decompression bombs, a picture of about 16,000 x 11,000."""

MAX_ASPECT_RATIO = 100
"""Longer side over shorter side; a tower that scales the shorter side would blow a longer strip up."""

MAX_FILE_BYTES = 1 << 30
"""Bytes of one file that are read at all."""

THUMBNAIL_SIDE = 384
"""Pixels of a thumbnail's longer side."""

_ORIENTATION = 0x0112
_ON_ITS_SIDE = (5, 6, 7, 8)
"""EXIF tag, and those of its values that swap width and height."""
_TRANSPOSITIONS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""Pillow's `Transpose` that brings a picture of an orientation upright."""

_BYTES_A_PIXEL = 4
_MORE_A_PIXEL = {"HEIF": 8, "AVIF": 8, "WEBP": 8}
_PROGRESSIVE_A_PIXEL = 6
"""Bytes that Pillow takes for a pixel; that some decoders take for their own picture and its copy; and that a JPEG in
several passes takes for its coefficients, which are kept at every scale."""


@dataclass(frozen=True, slots=True)
class DecodedPhotograph:
    """A decoded photograph.

    `image` is RGB in sRGB, upright, perhaps smaller than the file's picture; `width` and `height` are the
    pixels of the file's picture, upright; `format` is Pillow's name of the file format, such as "JPEG".
    """

    image: Image.Image
    width: int
    height: int
    format: str


def is_photograph_name(name: str) -> bool:
    """Whether a file of this name is worth trying: by its ending, without looking inside."""
    return Path(name).suffix.lower() in SUFFIXES


def is_unsupported_photograph_name(name: str) -> bool:
    """Whether a file of this name is a photograph in a format that smysl cannot read."""
    return Path(name).suffix.lower() in UNSUPPORTED_SUFFIXES


def read_file(path: Path) -> bytes:
    """The bytes of a file; raises `PhotographError` with the reason where that fails."""
    try:
        facts = path.stat()
        # A pipe keeps its reader waiting and a device may never end.
        if not stat.S_ISREG(facts.st_mode):
            raise PhotographError("it is not a file")
        if facts.st_size > MAX_FILE_BYTES:
            raise PhotographError(f"the file is larger than {MAX_FILE_BYTES >> 30} GB")
        content = path.read_bytes()
    except PermissionError:
        raise PhotographError("there is no permission to read the file") from None
    except FileNotFoundError:
        raise PhotographError("the file is not there") from None
    except OSError as error:
        raise PhotographError(f"the file cannot be read ({error.strerror or error})") from None
    if not content:
        raise PhotographError("the file is empty")
    return content


def open_photograph(
    source: Path | bytes, *, shorter_side: int | None = None, before_decoding: Callable[[int], None] | None = None
) -> DecodedPhotograph:
    """Decode a photograph: first frame, upright, colours converted to sRGB, transparency laid on white.

    `shorter_side` says how many pixels the caller needs on the shorter side. A JPEG is then decoded at the smallest
    of its scales (1/2, 1/4, 1/8) that has them, and what is still twice as large or more is reduced by a whole
    number. `before_decoding` is told about how many bytes the pixels will take, when the header has been read; it
    may wait. Raises `PhotographError` whose message is the reason and names no file, since an upload has none.
    """
    content = read_file(source) if isinstance(source, Path) else source
    if not content:
        raise PhotographError("the file is empty")
    from PIL import Image, UnidentifiedImageError

    _prepare_pillow()
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as opened:
            return _decode(opened, shorter_side, before_decoding)
    except PhotographError:
        raise
    except UnidentifiedImageError:
        raise PhotographError("it is not a photograph in a format that smysl reads") from None
    except Image.DecompressionBombError:
        raise PhotographError(_too_many_pixels()) from None
    # Decoders raise whatever a broken file drives them to (struct.error, SyntaxError, IndexError, ...),
    # and one bad file must not stop the run over the others.
    except Exception as error:  # noqa: BLE001
        raise PhotographError(f"the file is damaged ({error})") from None


@contextmanager
def opened_header(path: Path) -> Iterator[Image.Image]:
    """A photograph whose facts and metadata have been read, and no pixel; raises `PhotographError` with the reason."""
    from PIL import Image, UnidentifiedImageError

    _prepare_pillow()
    try:
        # A pipe keeps its reader waiting and a device may never end.
        if path.exists() and not path.is_file():
            raise PhotographError("it is not a file")
        image = Image.open(path, formats=_FORMATS)
    except PhotographError:
        raise
    except UnidentifiedImageError:
        raise PhotographError("it is not a photograph in a format that smysl reads") from None
    except OSError as error:
        raise PhotographError(f"the file cannot be read ({error.strerror or error})") from None
    # Decoders raise whatever a broken file drives them to.
    except Exception as error:  # noqa: BLE001
        raise PhotographError(f"the file is damaged ({error})") from None
    with image:
        yield image


def thumbnail(image: Image.Image) -> bytes:
    """A JPEG of at most `THUMBNAIL_SIDE` pixels on its longer side, without metadata."""
    from PIL import Image

    longer = max(image.size)
    if longer > THUMBNAIL_SIDE:
        width, height = (max(1, round(side * THUMBNAIL_SIDE / longer)) for side in image.size)
        # Means of whole pixels first, then a filter of few taps for the rest: a third of the time, and no eye sees it.
        image = image.resize((width, height), Image.Resampling.HAMMING, reducing_gap=1.0)
    out = io.BytesIO()
    # Pillow writes a comment that it has read.
    image.save(out, "JPEG", quality=80, comment=b"")
    return out.getvalue()


def browser_jpeg(source: Path | bytes) -> bytes:
    """A JPEG of the whole photograph, for formats that browsers do not show."""
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
    turn = _turn_of(opened)
    factor = max(1, min(opened.size) // shorter_side) if shorter_side else 1
    # Smaller first: what is turned then is little.
    image = in_srgb(opened, factor)
    if turn is not None:
        from PIL import Image

        image = image.transpose(Image.Transpose(_TRANSPOSITIONS[turn]))
    # Decoding at a reduced scale may make a square of what is not quite one, so sides do not tell.
    if turn in _ON_ITS_SIDE:
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
    """About how much memory decoding takes at its scale; `pixels` are those of the whole picture."""
    width, height = opened.size
    needed = width * height * (_BYTES_A_PIXEL + _MORE_A_PIXEL.get(opened.format or "", 0))
    return needed + (pixels * _PROGRESSIVE_A_PIXEL if opened.info.get("progressive") else 0)


def _turn_of(image: Image.Image) -> int | None:
    """The EXIF orientation of a loaded image that is not upright, 2 to 8, else None."""
    # Broken EXIF says nothing about the pixels.
    try:
        orientation = image.getexif().get(_ORIENTATION)
        return orientation if orientation in _TRANSPOSITIONS else None
    except Exception:  # noqa: BLE001
        return None


def _too_many_pixels(width: int = 0, height: int = 0) -> str:
    size = f"{width} x {height}, " if width else ""
    return f"it has too many pixels ({size}at most {MAX_PIXELS // 1_000_000} million)"


@cache
def _prepare_pillow() -> None:
    """Teach Pillow HEIF and keep its warnings to itself, once: filters are the process's, and threads decode."""
    import pillow_heif
    from PIL import Image

    pillow_heif.register_heif_opener()
    # Broken EXIF says nothing about the pixels, and their number is checked in `_decode`.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
