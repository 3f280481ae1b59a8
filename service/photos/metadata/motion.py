"""Films that belong to photographs: of Live Photos in a file of their own, of motion photographs in the same file."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from service.photos.metadata.blocks import find_blocks
from service.photos.metadata.containers import Part, boxes, find_box, format_of
from service.photos.metadata.exif import content_identifier_of
from service.photos.metadata.values import clean_text, positive

MAX_SECONDS = 86_400.0
"""Longer durations are not believed."""

_MAX_MOOV = 16 << 20
_MAX_TOP_BOXES = 1_000
"""Bytes of a film's table of contents, and boxes of its file that are passed on the way there."""

_MAX_TRIES = 4
_BOX_HEADER = 8
_IDENTIFIER_KEY = b"com.apple.quicktime.content.identifier"
_SAMSUNG_FILM = b"MotionPhoto_Data"
_SAMSUNG_END = b"SEFT"
"""Name of the film among what Samsung appends to a photograph, and how all of that ends."""


@dataclass(frozen=True, slots=True)
class Film:
    """Duration in seconds, and Apple's identifier that a Live Photo's still has too; each None if it is not known."""

    seconds: float | None = None
    content_identifier: str | None = None


def read_film(path: Path) -> Film:
    """What a film's file says about itself; reads its table of contents only, and a broken file says nothing."""
    try:
        moov = _moov_of(path)
    # Of a broken file, a box may be longer than any file can be.
    except (OSError, ValueError):
        return Film()
    whole = Part(b"moov", 0, len(moov))
    return Film(_seconds(moov, whole), _identifier(moov, whole))


def motion_seconds(content: bytes) -> float | None:
    """The duration of the film that a motion photograph's file holds, or of a film; None if there is none."""
    first = 0 if format_of(content) == "film" else _BOX_HEADER
    end = len(content)
    for _ in range(_MAX_TRIES):
        # The name may occur in compressed pixels too.
        end = content.rfind(b"ftyp", first, end)
        if end < 0:
            return None
        moov = find_box(content, (b"moov",), max(0, end - 4))
        if moov is not None and (seconds := _seconds(content, moov)) is not None:
            return seconds
    return None


def has_samsung_film(content: bytes) -> bool:
    """Whether Samsung's camera appended a film to a photograph."""
    return content.endswith(_SAMSUNG_END) and _SAMSUNG_FILM in content


def content_identifier(content: bytes) -> str | None:
    """Apple's identifier that the still and the film of a Live Photo share, of either; None if there is none."""
    if format_of(content) == "film":
        moov = find_box(content, (b"moov",))
        return _identifier(content, moov) if moov else None
    return content_identifier_of(find_blocks(content, []).exif)


def _moov_of(path: Path) -> bytes:
    """The table of contents of a film, which may lie at the end of its file; b"" for none."""
    with path.open("rb") as file:
        for _ in range(_MAX_TOP_BOXES):
            header = file.read(_BOX_HEADER)
            if len(header) < _BOX_HEADER:
                return b""
            size, kind = struct.unpack(">I4s", header)
            length = size - _BOX_HEADER
            if size == 1:
                length = int.from_bytes(file.read(8), "big") - 2 * _BOX_HEADER
            elif size == 0 and kind == b"moov":
                length = _MAX_MOOV  # it goes on to the end
            if length < 0:
                return b""
            if kind == b"moov":
                return file.read(min(length, _MAX_MOOV))
            file.seek(length, 1)
    return b""


def _seconds(content: bytes, moov: Part) -> float | None:
    header = find_box(content, (b"mvhd",), moov.start, moov.end)
    if header is None:
        return None
    # Times of creation and change, then units a second and the duration in them.
    is_long = content[header.start : header.start + 1] == b"\x01"
    form, start, unknown = (">IQ", 20, 2**64 - 1) if is_long else (">II", 12, 2**32 - 1)
    if header.start + start + struct.calcsize(form) > header.end:
        return None
    scale, duration = struct.unpack_from(form, content, header.start + start)
    if not scale or duration == unknown:
        return None
    seconds = positive(duration / scale, MAX_SECONDS)
    return round(seconds, 3) if seconds else None


def _identifier(content: bytes, moov: Part) -> str | None:
    """The identifier in QuickTime's metadata: a list of names, and values that are numbered after them."""
    meta = find_box(content, (b"meta",), moov.start, moov.end)
    if meta is None:
        return None
    keys = find_box(content, (b"keys",), meta.start, meta.end)
    values = find_box(content, (b"ilst",), meta.start, meta.end)
    if keys is None or values is None:
        return None
    names = [content[key.start : key.end] for key in boxes(content, keys.start + 8, keys.end)]
    if _IDENTIFIER_KEY not in names:
        return None
    number = struct.pack(">I", names.index(_IDENTIFIER_KEY) + 1)
    value = find_box(content, (number, b"data"), values.start, values.end)
    if value is None:
        return None
    return clean_text(content[value.start + 8 : min(value.end, value.start + 108)].decode("utf-8", "replace"), 100)
