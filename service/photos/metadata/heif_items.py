"""Find the items of HEIF files (HEIC, AVIF): images, EXIF and XMP, and where their bytes lie (ISO 23008-12)."""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass, field

from service.photos.metadata.containers import Part, boxes, find_box

MAX_EXTENTS = 100_000
"""Pieces of all items together that are read; a grid of tiles has some hundred."""

_SHAPES = frozenset({b"ispe", b"clap", b"irot", b"imir"})
_MAX_SHAPE = 256
"""Properties that shape an image, and bytes of them that are kept."""


@dataclass(slots=True)
class HeifItems:
    """The items of a file.

    Attributes:
        primary: the number of the image that is shown.
        types: of each item, such as b"hvc1" or b"Exif"; of b"mime" items their media type.
        extents: of each item, where its bytes start and end in the file.
        derived_from: of each image, the images that it is made of.
        shapes: of each image, its properties of size, crop, turn and mirroring, as they stand in the file.
    """

    primary: int | None = None
    types: dict[int, bytes] = field(default_factory=dict)
    extents: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    derived_from: dict[int, list[int]] = field(default_factory=dict)
    shapes: dict[int, bytes] = field(default_factory=dict)

    def data(self, content: bytes, kind: bytes, limit: int) -> bytes:
        """The bytes of the first item of a type, at most `limit`; b"" for none."""
        for item, known in self.types.items():
            if known == kind:
                pieces: list[bytes] = []
                for start, end in self.extents.get(item, ()):
                    pieces.append(content[start : min(end, start + limit)])
                    limit -= len(pieces[-1])
                    if limit <= 0:
                        break
                return b"".join(pieces)
        return b""


def read_items(content: bytes) -> HeifItems:
    """The items of a HEIF file; what is broken is left out."""
    items = HeifItems()
    meta = find_box(content, (b"meta",))
    if meta is None:
        return items
    parts = {box.kind: box for box in boxes(content, meta.start + 4, meta.end)}
    for kind, read in (
        (b"pitm", _read_primary),
        (b"iinf", _read_types),
        (b"iref", _read_references),
        (b"iprp", _read_shapes),
    ):
        if kind in parts:
            with suppress(struct.error, IndexError):
                read(content, parts[kind], items)
    if b"iloc" in parts:
        with suppress(struct.error, IndexError):
            _read_extents(content, parts[b"iloc"], parts.get(b"idat"), items)
    return items


def _read_primary(content: bytes, box: Part, items: HeifItems) -> None:
    form = ">I" if content[box.start] else ">H"
    (items.primary,) = struct.unpack_from(form, content, box.start + 4)


def _read_types(content: bytes, box: Part, items: HeifItems) -> None:
    count_bytes = 4 if content[box.start] else 2
    for entry in boxes(content, box.start + 4 + count_bytes, box.end):
        version = content[entry.start]
        if entry.kind != b"infe" or version < 2:
            continue
        item, kind = struct.unpack_from(">I2x4s" if version > 2 else ">H2x4s", content, entry.start + 4)
        if kind == b"mime":
            # A name, then the media type, each with an end mark.
            texts = content[entry.start + (14 if version > 2 else 12) : entry.end].split(b"\0", 2)
            kind = texts[1] if len(texts) > 1 else kind
        items.types[item] = kind


def _read_references(content: bytes, box: Part, items: HeifItems) -> None:
    form, width = (">I", 4) if content[box.start] else (">H", 2)
    for reference in boxes(content, box.start + 4, box.end):
        if reference.kind != b"dimg":
            continue
        (item,) = struct.unpack_from(form, content, reference.start)
        (count,) = struct.unpack_from(">H", content, reference.start + width)
        start = reference.start + width + 2
        count = min(count, (reference.end - start) // width)
        items.derived_from[item] = list(struct.unpack_from(f">{count}{form[1]}", content, start))


def _read_shapes(content: bytes, box: Part, items: HeifItems) -> None:
    shared = find_box(content, (b"ipco",), box.start, box.end)
    association = find_box(content, (b"ipma",), box.start, box.end)
    if shared is None or association is None:
        return
    properties = list(boxes(content, shared.start, shared.end))
    version, flags = content[association.start], content[association.start + 3]
    (count,) = struct.unpack_from(">I", content, association.start + 4)
    position = association.start + 8
    for _ in range(min(count, MAX_EXTENTS)):
        (item,) = struct.unpack_from(">I" if version else ">H", content, position)
        position += 4 if version else 2
        number = content[position]
        position += 1
        for _ in range(number):
            # The highest bit says whether a reader must know the property.
            index = struct.unpack_from(">H", content, position)[0] & 0x7FFF if flags & 1 else content[position] & 0x7F
            position += 2 if flags & 1 else 1
            if 0 < index <= len(properties) and (shape := properties[index - 1]).kind in _SHAPES:
                known = items.shapes.get(item, b"")
                items.shapes[item] = (known + content[shape.start - 4 : shape.end])[:_MAX_SHAPE]


def _read_extents(content: bytes, box: Part, inline: Part | None, items: HeifItems) -> None:
    version = content[box.start]
    widths = content[box.start + 4], content[box.start + 5]
    offset_bytes, length_bytes, base_bytes = widths[0] >> 4, widths[0] & 15, widths[1] >> 4
    index_bytes = widths[1] & 15 if version in (1, 2) else 0
    position = box.start + 6

    def number(width: int) -> int:
        nonlocal position
        if position + width > box.end:
            raise IndexError
        position += width
        return int.from_bytes(content[position - width : position], "big")

    left = MAX_EXTENTS
    for _ in range(number(4 if version == 2 else 2)):
        item = number(4 if version == 2 else 2)
        method = number(2) & 15 if version in (1, 2) else 0
        number(2)
        base = number(base_bytes)
        if method == 1 and inline is not None:
            base += inline.start
        extents = items.extents.setdefault(item, [])
        for _ in range(number(2)):
            number(index_bytes)
            start = base + number(offset_bytes)
            length = number(length_bytes)
            left -= 1
            if left < 0:
                return
            # Length 0 means all of the file.
            end = min(start + length, len(content)) if length else len(content)
            if method in (0, 1) and start < end:
                extents.append((start, end))
