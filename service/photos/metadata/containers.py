"""Walk through the parts of photographs' files: segments of JPEG, chunks of PNG and WebP, boxes of HEIF and films.

Each walk yields places and copies nothing, ends at what is broken, and is bounded in its number of parts.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from service.photos.formats import HEIF_BRANDS

MAX_SEGMENTS = 10_000
MAX_CHUNKS = 200_000
"""Segments of a JPEG's header, and chunks or boxes of a file, that are looked at."""

_START_OF_SCAN = 0xDA
_END_OF_IMAGE = 0xD9
_FILLED = re.compile(b"\xff+")
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
JPEG_END = b"\xff\xd9"
JXL = b"\0\0\0\x0cJXL \r\n\x87\n"
"""The mark at the end of a JPEG, and how a JPEG XL file in boxes begins."""
_TIFF_NUMBERS = {b"II": (b"*\0", b"+\0", b"U\0", b"RO", b"RS"), b"MM": (b"\0*", b"\0+", b"OR")}
"""Byte orders, and after them the numbers of TIFF, BigTIFF, Panasonic's RW2 and Olympus' ORF."""
_STARTS = (
    (b"\xff\xd8", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"RIFF", "riff"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    *((order + number, "tiff") for order, numbers in _TIFF_NUMBERS.items() for number in numbers),
    (JXL, "jxl"),
    (b"\xff\x0a", "jxl"),
    (b"FUJIFILMCCD-RAW ", "raf"),
    (b"BM", "bmp"),
)


class Part(NamedTuple):
    """A part of a file: its kind, and where its content starts and ends, its header left out."""

    kind: bytes
    start: int
    end: int


def format_of(content: bytes) -> str | None:
    """The format of a photograph's file or "film", by its first bytes; RAW formats built like TIFF are "tiff"."""
    if content[4:8] == b"ftyp":
        return _format_of_boxes(content)
    for start, name in _STARTS:
        if content.startswith(start):
            return name if name != "riff" else "webp" if content[8:12] == b"WEBP" else None
    return None


def _format_of_boxes(content: bytes) -> str:
    if content[8:12] == b"crx ":
        return "cr3"
    # The main brand, a version, and the brands that it is compatible with.
    length = min(int.from_bytes(content[:4], "big"), 256)
    brands = {content[position : position + 4] for position in (8, *range(16, length, 4))}
    return "heif" if brands & HEIF_BRANDS else "film"


def jpeg_segments(content: bytes) -> Iterator[Part]:
    """The segments of a JPEG up to and with the start of its first scan; the kind is the marker's second byte."""
    position = 2
    for _ in range(MAX_SEGMENTS):
        # A marker may be filled up with 0xFF, and stray bytes may lie before it.
        filled = _FILLED.search(content, position)
        if filled is None or filled.end() + 3 > len(content):
            return
        position = filled.end() - 1
        marker = content[position + 1]
        if marker == _END_OF_IMAGE:
            return
        if marker in _WITHOUT_LENGTH or marker == 0:
            position += 2
            continue
        length = int.from_bytes(content[position + 2 : position + 4], "big")
        end = min(position + 2 + max(length, 2), len(content))
        yield Part(content[position + 1 : position + 2], position + 4, max(position + 4, end))
        if marker == _START_OF_SCAN:
            return
        position = end


def jpeg_end(content: bytes, scan: int) -> int:
    """Where a JPEG ends, from the start of its first scan on: after its end mark, or with the file."""
    # In a scan 0xFF is always followed by 0 or a restart mark.
    end = content.find(JPEG_END, scan)
    return len(content) if end < 0 else end + 2


def png_chunks(content: bytes) -> Iterator[Part]:
    """The chunks of a PNG."""
    position = 8
    for _ in range(MAX_CHUNKS):
        if position + 8 > len(content):
            return
        length, kind = struct.unpack_from(">I4s", content, position)
        yield Part(kind, position + 8, min(position + 8 + length, len(content)))
        position += 12 + length


def riff_chunks(content: bytes) -> Iterator[Part]:
    """The chunks of a WebP."""
    position = 12
    for _ in range(MAX_CHUNKS):
        if position + 8 > len(content):
            return
        kind, length = struct.unpack_from("<4sI", content, position)
        yield Part(kind, position + 8, min(position + 8 + length, len(content)))
        position += 8 + length + length % 2


def boxes(content: bytes, start: int = 0, end: int | None = None) -> Iterator[Part]:
    """The boxes of ISO base media (HEIF, AVIF, CR3, JPEG XL, films) between two places."""
    end = len(content) if end is None else min(end, len(content))
    for _ in range(MAX_CHUNKS):
        if start + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", content, start)
        header = 8
        if size == 1 and start + 16 <= end:
            (size,) = struct.unpack_from(">Q", content, start + 8)
            header = 16
        elif size == 0:
            size = end - start
        if size < header:
            return
        yield Part(kind, start + header, min(start + size, end))
        start += size


def find_box(content: bytes, path: tuple[bytes, ...], start: int = 0, end: int | None = None) -> Part | None:
    """The first box on a path of boxes in boxes."""
    found = next((box for box in boxes(content, start, end) if box.kind == path[0]), None)
    if found is None or len(path) == 1:
        return found
    return find_box(content, path[1:], found.start, found.end)
