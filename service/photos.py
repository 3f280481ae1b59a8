"""A file to RGB pixels, its facts and its thumbnail. Every format and every bad file ends here."""

from __future__ import annotations

import io
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from service.errors import PhotographError

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

UNREAD_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("jxl", "3fr", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "iiq", "kdc", "mef", "mos", "mrw", "nef"),
        *("nrw", "orf", "pef", "raf", "rw2", "rwl", "sr2", "srf", "srw", "x3f"),
    )
)
"""Endings of photographs that smysl cannot read: JPEG XL and the cameras' RAW formats."""

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "HEIF")
"""Pillow's readers that may look at a file (JPEG hands over to MPO); others run programs, as EPS does."""

SMALLEST_SIDE = 16
"""Pixels; what is smaller is an icon, not a photograph."""

MOST_PIXELS = 178_956_970
"""Pixels; Pillow's own limit against decompression bombs, a picture of about 16,000 x 11,000."""

MOST_STRETCH = 100
"""Longer side over shorter side; a tower that scales the shorter side would blow a longer strip up."""

MOST_BYTES = 1 << 30
"""Bytes of one file that are read at all."""

THUMBNAIL_SIDE = 384
"""Pixels of a thumbnail's longer side."""

_ORIENTATION = 0x0112
_ON_ITS_SIDE = (5, 6, 7, 8)
"""EXIF tag, and those of its values that swap width and height."""

_PAPER = (255, 255, 255)
"""What shows through where a photograph is transparent."""


@dataclass(frozen=True, slots=True)
class Photograph:
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


def is_unread_photograph_name(name: str) -> bool:
    """Whether a file of this name is a photograph in a format that smysl cannot read."""
    return Path(name).suffix.lower() in UNREAD_SUFFIXES


def read_file(path: Path) -> bytes:
    """The bytes of a file; raises `PhotographError` with the reason where that fails."""
    try:
        facts = path.stat()
        # A pipe keeps its reader waiting and a device may never end.
        if not stat.S_ISREG(facts.st_mode):
            raise PhotographError("it is not a file")
        if facts.st_size > MOST_BYTES:
            raise PhotographError(f"the file is larger than {MOST_BYTES >> 30} GB")
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


def open_photograph(source: Path | bytes, *, max_side: int | None = None) -> Photograph:
    """Decode a photograph: first frame, upright, colours converted to sRGB, transparency laid on white.

    `max_side` says how many pixels the caller needs on the shorter side; a JPEG is then decoded at the
    smallest of its scales (1/2, 1/4, 1/8) that has them. Raises `PhotographError` whose message is the
    reason and names no file, since an upload has none.
    """
    content = read_file(source) if isinstance(source, Path) else source
    if not content:
        raise PhotographError("the file is empty")
    from PIL import Image, UnidentifiedImageError

    _prepare_pillow()
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as opened:
            return _decode(opened, max_side)
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
    """A JPEG of at most `THUMBNAIL_SIDE` pixels on its longer side."""
    small = image.copy()
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), reducing_gap=2.0)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=80)
    return out.getvalue()


def browser_jpeg(source: Path | bytes) -> bytes:
    """A JPEG of the whole photograph, for formats that browsers do not show."""
    out = io.BytesIO()
    open_photograph(source).image.save(out, "JPEG", quality=90)
    return out.getvalue()


def _decode(opened: Image.Image, max_side: int | None) -> Photograph:
    width, height = opened.size
    if width * height > MOST_PIXELS:
        raise PhotographError(_too_many_pixels(width, height))
    if min(width, height) < SMALLEST_SIDE:
        raise PhotographError(f"it is too small to be a photograph ({width} x {height} pixels)")
    if max(width, height) > MOST_STRETCH * min(width, height):
        raise PhotographError(f"one side is more than a hundred times the other ({width} x {height} pixels)")
    name = opened.format or "unknown"
    if max_side is not None and max(width, height) > max_side:
        opened.draft("RGB", (max_side, max_side))
    opened.load()
    upright = _upright(opened)
    # Decoding at a reduced scale may make a square of what is not quite one, so sides do not tell.
    if upright is not opened and opened.getexif().get(_ORIENTATION) in _ON_ITS_SIDE:
        width, height = height, width
    return Photograph(_to_srgb(upright), width, height, name)


def _upright(image: Image.Image) -> Image.Image:
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001 - broken EXIF says nothing about the pixels
        return image


def _to_srgb(image: Image.Image) -> Image.Image:
    from PIL import Image, ImageCms

    profile = image.info.get("icc_profile")
    image = _eight_bits(image)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layered = image.convert("RGBA")
        image = Image.new("RGB", layered.size, _PAPER)
        image.paste(layered, mask=layered.getchannel("A"))
    elif image.mode not in ("RGB", "L", "CMYK", "LAB"):
        image = image.convert("RGB")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if converted is not None:
                image = converted
        except (ImageCms.PyCMSError, OSError, ValueError):
            # A profile that does not fit its pixels is ignored, as browsers do.
            pass
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey and floating point pictures, which Pillow would clip, to 0...255."""
    if image.mode not in ("I", "F", "I;16", "I;16B", "I;16L", "I;16N"):
        return image
    import numpy as np
    from PIL import Image

    values = np.asarray(image).astype(np.float32)
    top = 65535.0 if image.mode != "F" else max(float(np.nanmax(values)), 1e-12)
    scaled = np.nan_to_num(values) * (255.0 / top)
    return Image.fromarray(np.clip(scaled, 0, 255).astype(np.uint8))


def _too_many_pixels(width: int = 0, height: int = 0) -> str:
    size = f"{width} x {height}, " if width else ""
    return f"it has too many pixels ({size}at most {MOST_PIXELS // 1_000_000} million)"


@cache
def _prepare_pillow() -> None:
    """Teach Pillow HEIF and keep its warnings to itself, once: filters are the process's, and threads decode."""
    import pillow_heif
    from PIL import Image

    pillow_heif.register_heif_opener()
    # Broken EXIF says nothing about the pixels, and their number is checked in `_decode`.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
