"""Hash the image in a photograph's file without its metadata, so that it is known again after keywords were written."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from service.photos.metadata.containers import (
    JPEG_END,
    JXL,
    MAX_CHUNKS,
    boxes,
    format_of,
    jpeg_end,
    jpeg_segments,
    png_chunks,
    riff_chunks,
)
from service.photos.metadata.heif_items import read_items
from service.photos.metadata.tiff import Directory, TiffStructure

MAX_PIECES = 200_000
"""Strips and tiles of a TIFF, or pieces of any other image, that are hashed; an image of more has no hash."""

MAX_OVERLAP = 1 << 20
"""Bytes by which the pieces may be longer than the file."""

_JPEG_METADATA = frozenset({*range(0xE0, 0xF0), 0xFE})
_JPEG_SCAN = b"\xda"
_JPEG_FURTHER_IMAGES = b"MPF\0"
"""Markers of a JPEG's application segments and comments, and of its first scan; start of a list of further images."""

_PNG_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"acTL", b"fcTL", b"fdAT"})
_WEBP_CHUNKS = frozenset({b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"})
_GIF_CONTROL = b"\xf9"
_RAF_DATA = 100
"""Where a RAF file says where its sensor's data lie, and how long they are."""

_SUBFILE, _IS_REDUCED = 0x00FE, 1
_TIFF_SHAPE = (0x0100, 0x0101, 0x0102, 0x0103, 0x0106, 0x0115, 0x0116, 0x011C, 0x013D, 0x0142, 0x0143)
_TIFF_TABLES = (0x0140, 0x015B)
_TIFF_PIECES = ((0x0111, 0x0117), (0x0144, 0x0145), (0x0201, 0x0202))
"""TIFF's tags: the kind of image and its bit for a preview; size, bits, compression and layout; palette and tables of
JPEG; offsets and lengths of strips, of tiles and of a JPEG."""
_RW2, _RW2_DATA = b"U\0", 0x0118
"""Magic number of Panasonic's format, and its tag for where the sensor's data start, which go on to the end."""

Piece = bytes | memoryview


def image_data_hash(content: bytes) -> bytes | None:
    """XXH3 (128 bits) of the format and the encoded pixels of a photograph's file; None where they are not found.

    What programs add or change when they write metadata is left out: JPEG's application segments and comments, PNG's
    and WebP's other chunks, previews in TIFF and DNG, colour profiles, and what follows the image.
    """
    pieces = _READERS.get(format_of(content) or "")
    if pieces is None:
        return None
    import xxhash

    hasher = xxhash.xxh3_128()
    hashed = 0
    for number, piece in enumerate(pieces(content, memoryview(content))):
        hasher.update(piece)
        # The first piece is the name of the format. Pieces that overlap could make hours of a small file.
        hashed += len(piece) if number else 0
        if number > MAX_PIECES or hashed > len(content) + MAX_OVERLAP:
            return None
    digest: bytes = hasher.digest()
    return digest if hashed else None


def _jpeg(content: bytes, view: memoryview) -> Iterator[Piece]:
    yield b"jpeg"
    # Looking for the end takes longer than hashing; a list of further images (MPF) says that they follow.
    is_alone = content.endswith(JPEG_END)
    for segment in jpeg_segments(content):
        if segment.kind == _JPEG_SCAN:
            yield view[segment.start - 4 : len(content) if is_alone else jpeg_end(content, segment.end)]
        elif segment.kind[0] not in _JPEG_METADATA:
            yield view[segment.start - 4 : segment.end]
        elif content.startswith(_JPEG_FURTHER_IMAGES, segment.start):
            is_alone = False


def _png(content: bytes, view: memoryview) -> Iterator[Piece]:
    yield b"png"
    for chunk in png_chunks(content):
        if chunk.kind in _PNG_CHUNKS:
            yield chunk.kind
            yield view[chunk.start : chunk.end]


def _webp(content: bytes, view: memoryview) -> Iterator[Piece]:
    # Metadata turn a file without the chunk VP8X into one with it, so its size and flags stay out.
    yield b"webp"
    for chunk in riff_chunks(content):
        if chunk.kind in _WEBP_CHUNKS:
            yield chunk.kind
            yield view[chunk.start : chunk.end]


def _gif(content: bytes, view: memoryview) -> Iterator[Piece]:
    yield b"gif"
    # Size and colours: three bits of the flags say how many there are.
    position = 13 + _gif_palette(content, 10)
    yield view[6:position]
    for _ in range(MAX_CHUNKS):
        start = position
        kind = content[start : start + 1]
        if kind == b"!":
            position = _gif_end(content, start + 2)
            if content[start + 1 : start + 2] == _GIF_CONTROL:
                yield view[start:position]
        elif kind == b",":
            position = _gif_end(content, start + 11 + _gif_palette(content, start + 9))
            yield view[start:position]
        else:
            return


def _gif_palette(content: bytes, flags: int) -> int:
    """Bytes of a palette, from the place of its flags."""
    value = int.from_bytes(content[flags : flags + 1], "big")
    return 3 << (value & 7) + 1 if value & 0x80 else 0


def _gif_end(content: bytes, position: int) -> int:
    """Where a row of blocks ends, each with its length before it, the last of length 0."""
    while position < len(content) and content[position]:
        position += 1 + content[position]
    return min(position + 1, len(content))


def _bmp(content: bytes, view: memoryview) -> Iterator[Piece]:
    yield b"bmp"
    yield view[14:]


def _tiff(content: bytes, view: memoryview) -> Iterator[Piece]:
    yield b"tiff"
    directories = list(TiffStructure(content, is_whole_file=True).directories())
    images = [each for each in directories if not (each.integers(_SUBFILE) or [0])[0] & _IS_REDUCED]
    for directory in images or directories:
        pieces = [view[start:end] for start, end in _tiff_pieces(content, directory)]
        if pieces:
            yield repr([directory.value(tag) for tag in _TIFF_SHAPE]).encode()
            yield from (directory.data(tag) or repr(directory.value(tag)).encode() for tag in _TIFF_TABLES)
            yield from pieces


def _tiff_pieces(content: bytes, directory: Directory) -> Iterator[tuple[int, int]]:
    """Where the strips, the tiles and the JPEG of one directory start and end."""
    for offset_tag, length_tag in _TIFF_PIECES:
        for offset, length in zip(directory.integers(offset_tag), directory.integers(length_tag), strict=False):
            if 0 < offset < len(content) and length > 0:
                yield offset, offset + length
    if content[2:4] == _RW2:
        for offset in directory.integers(_RW2_DATA):
            yield max(0, offset), len(content)


def _heif(content: bytes, view: memoryview) -> Iterator[Piece]:
    items = read_items(content)
    if items.primary is None:
        return
    # Images may be made of others in several steps. What is made of none holds pixels, the rest only how to make it.
    images = {items.primary: None}
    waiting = [items.primary]
    while waiting:
        parts = [part for part in items.derived_from.get(waiting.pop(), ()) if part not in images]
        images.update(dict.fromkeys(parts))
        waiting += parts
    extents = [extent for image in images if image not in items.derived_from for extent in items.extents.get(image, ())]
    if extents:
        yield b"heif"
        yield items.types.get(items.primary, b"") + items.shapes.get(items.primary, b"")
        yield from (view[start:end] for start, end in extents)


def _jxl(content: bytes, view: memoryview) -> Iterator[Piece]:
    yield b"jxl"
    if not content.startswith(JXL):
        yield view
        return
    for box in boxes(content):
        if box.kind == b"jxlc":
            yield view[box.start : box.end]
        elif box.kind == b"jxlp":
            # The number of the part.
            yield view[box.start + 4 : box.end]


def _cr3(content: bytes, view: memoryview) -> Iterator[Piece]:
    yield b"cr3"
    yield from (view[box.start : box.end] for box in boxes(content) if box.kind == b"mdat")


def _raf(content: bytes, view: memoryview) -> Iterator[Piece]:
    yield b"raf"
    start, length = (int.from_bytes(content[at : at + 4], "big") for at in (_RAF_DATA, _RAF_DATA + 4))
    yield view[start : start + length]


_READERS: dict[str, Callable[[bytes, memoryview], Iterator[Piece]]] = {
    "jpeg": _jpeg,
    "png": _png,
    "webp": _webp,
    "gif": _gif,
    "bmp": _bmp,
    "tiff": _tiff,
    "heif": _heif,
    "jxl": _jxl,
    "cr3": _cr3,
    "raf": _raf,
}
