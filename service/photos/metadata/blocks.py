"""Find the blocks of metadata in a photograph's file, whatever its format: EXIF, XMP and IPTC."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

from service.photos.metadata.containers import boxes, find_box, format_of, jpeg_segments, png_chunks, riff_chunks
from service.photos.metadata.exif import Exif, open_exif
from service.photos.metadata.heif_items import read_items
from service.photos.metadata.iptc import iptc_in_resources
from service.photos.metadata.tiff import Directory, TiffStructure
from service.photos.metadata.xmp import MAX_BYTES as MAX_XMP

MAX_EXIF = 4 << 20
"""Bytes of a block of EXIF that are read; what it says stands in its first thousands."""

_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_XMP_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
_PHOTOSHOP = b"Photoshop 3.0\0"
_APP1, _APP13 = b"\xe1", b"\xed"
_GUID_BYTES = 32
"""Starts of a JPEG's segments, their markers, and the length of the name of an extension."""

_XMP_TAG, _IPTC_TAG, _PHOTOSHOP_TAG = 0x02BC, 0x83BB, 0x8649
_PNG_XMP = b"XML:com.adobe.xmp\0"
_HEIF_XMP = b"application/rdf+xml"
_CANON = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
_XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_RAF_JPEG = 84
"""Where a RAF file says where its JPEG lies, and how long it is."""


@dataclass(slots=True)
class Blocks:
    """What was found in a file.

    Attributes:
        format: as `containers.format_of` names it; None for a file that is no photograph.
        exif: the directories of EXIF.
        xmp: the packet, b"" for none.
        xmp_extensions: the parts of further packets by their name and place, which a JPEG may have.
        iptc: IPTC's datasets, b"" for none.
    """

    format: str | None
    exif: Exif = field(default_factory=Exif)
    xmp: bytes = b""
    xmp_extensions: dict[bytes, dict[int, bytes]] = field(default_factory=dict)
    iptc: bytes = b""


def find_blocks(content: bytes, problems: list[str]) -> Blocks:
    """The metadata of a photograph's file in memory; decodes no pixels, and adds sentences to `problems`."""
    blocks = Blocks(format_of(content))
    match blocks.format:
        case "jpeg":
            _in_jpeg(content, blocks, problems)
        case "tiff":
            _in_tiff(content, blocks, problems)
        case "png":
            _in_png(content, blocks, problems)
        case "webp":
            _in_webp(content, blocks, problems)
        case "heif":
            _in_heif(content, blocks, problems)
        case "jxl":
            _in_jxl(content, blocks, problems)
        case "cr3":
            _in_cr3(content, blocks, problems)
        case "raf":
            start = int.from_bytes(content[_RAF_JPEG : _RAF_JPEG + 4], "big")
            length = int.from_bytes(content[_RAF_JPEG + 4 : _RAF_JPEG + 8], "big")
            _in_jpeg(content[start : start + min(length, MAX_EXIF)], blocks, problems)
    return blocks


def _in_jpeg(content: bytes, blocks: Blocks, problems: list[str]) -> None:
    exif = b""
    resources: list[bytes] = []
    left = MAX_XMP
    for segment in jpeg_segments(content):
        start, end = segment.start, segment.end
        if segment.kind == _APP1:
            if content.startswith(_EXIF, start):
                exif = exif or content[start + len(_EXIF) : end]
            elif content.startswith(_XMP, start):
                blocks.xmp = blocks.xmp or content[start + len(_XMP) : end]
            elif content.startswith(_XMP_EXTENSION, start) and left > 0:
                start += len(_XMP_EXTENSION)
                place = int.from_bytes(content[start + _GUID_BYTES + 4 : start + _GUID_BYTES + 8], "big")
                part = content[start + _GUID_BYTES + 8 : end]
                blocks.xmp_extensions.setdefault(content[start : start + _GUID_BYTES], {})[place] = part
                left -= len(part)
        elif segment.kind == _APP13 and content.startswith(_PHOTOSHOP, start):
            resources.append(content[start + len(_PHOTOSHOP) : end])
    _add_exif(blocks, exif, problems)
    # Resources of more than 64 kilobytes go on in the next segment.
    blocks.iptc = iptc_in_resources(b"".join(resources)) or b""


def _in_tiff(content: bytes, blocks: Blocks, problems: list[str]) -> None:
    blocks.exif = open_exif(TiffStructure(content, is_whole_file=True), problems)
    if blocks.exif.image is not None:
        blocks.xmp = blocks.exif.image.data(_XMP_TAG)
        resources = blocks.exif.image.data(_PHOTOSHOP_TAG)
        blocks.iptc = _iptc_in_tiff(blocks.exif.image, content[:2]) or iptc_in_resources(resources) or b""


def _iptc_in_tiff(image: Directory, order: bytes) -> bytes:
    """IPTC's datasets, which many programs write as if they were integers of four bytes."""
    data = image.data(_IPTC_TAG)
    if data or _IPTC_TAG not in image:
        return data
    numbers = [number & 0xFFFFFFFF for number in image.integers(_IPTC_TAG)]
    return struct.pack(f"{'<' if order == b'II' else '>'}{len(numbers)}I", *numbers)


def _in_png(content: bytes, blocks: Blocks, problems: list[str]) -> None:
    exif = b""
    for chunk in png_chunks(content):
        if chunk.kind == b"eXIf":
            exif = exif or content[chunk.start : min(chunk.end, chunk.start + MAX_EXIF)]
        elif chunk.kind == b"iTXt" and content.startswith(_PNG_XMP, chunk.start):
            end = min(chunk.end, chunk.start + 2 * MAX_XMP)
            blocks.xmp = blocks.xmp or _international_text(content[chunk.start + len(_PNG_XMP) : end])
    _add_exif(blocks, exif, problems)


def _international_text(data: bytes) -> bytes:
    """The text of a PNG's iTXt chunk after its keyword, unpacked if it is compressed."""
    # Whether and how it is compressed, then a language and a translated keyword, each with an end mark.
    is_compressed, parts = data[:1] == b"\x01", data[2:].split(b"\0", 2)
    if len(parts) < 3:
        return b""
    if not is_compressed:
        return parts[2]
    try:
        return zlib.decompressobj().decompress(parts[2], MAX_XMP + 1)
    except zlib.error:
        return b""


def _in_webp(content: bytes, blocks: Blocks, problems: list[str]) -> None:
    exif = b""
    for chunk in riff_chunks(content):
        if chunk.kind == b"EXIF":
            exif = exif or content[chunk.start : min(chunk.end, chunk.start + MAX_EXIF)]
        elif chunk.kind == b"XMP ":
            blocks.xmp = blocks.xmp or content[chunk.start : min(chunk.end, chunk.start + MAX_XMP + 1)]
    _add_exif(blocks, exif, problems)


def _in_heif(content: bytes, blocks: Blocks, problems: list[str]) -> None:
    items = read_items(content)
    _add_exif(blocks, _after_offset(items.data(content, b"Exif", MAX_EXIF)), problems)
    blocks.xmp = items.data(content, _HEIF_XMP, MAX_XMP + 1)


def _in_jxl(content: bytes, blocks: Blocks, problems: list[str]) -> None:
    for box in boxes(content):
        kind, data = box.kind, content[box.start : min(box.end, box.start + MAX_XMP + 1)]
        if kind == b"brob" and data[:4] in (b"Exif", b"xml "):
            kind, data = data[:4], _unpack_brotli(data[4:])
        if kind == b"Exif":
            _add_exif(blocks, _after_offset(data), problems)
        elif kind == b"xml ":
            blocks.xmp = blocks.xmp or data


def _unpack_brotli(data: bytes) -> bytes:
    import brotli

    try:
        return bytes(brotli.Decompressor().process(data, output_buffer_limit=MAX_XMP + 1))
    except brotli.error:
        return b""


def _in_cr3(content: bytes, blocks: Blocks, problems: list[str]) -> None:
    for box in boxes(content):
        if box.kind == b"uuid" and content.startswith(_XMP_UUID, box.start):
            blocks.xmp = content[box.start + len(_XMP_UUID) : min(box.end, box.start + MAX_XMP + 1)]
    moov = find_box(content, (b"moov",))
    for box in boxes(content, moov.start, moov.end) if moov else ():
        if box.kind == b"uuid" and content.startswith(_CANON, box.start):
            # Canon keeps each directory as a structure of its own.
            parts = {
                part.kind: TiffStructure(content[part.start : min(part.end, part.start + MAX_EXIF)]).first()
                for part in boxes(content, box.start + len(_CANON), box.end)
                if part.kind in (b"CMT1", b"CMT2", b"CMT4")
            }
            blocks.exif = Exif(parts.get(b"CMT1"), parts.get(b"CMT2"), parts.get(b"CMT4"))
    if blocks.exif.image is None:
        problems.append("its EXIF is missing or damaged")


def _after_offset(data: bytes) -> bytes:
    """EXIF in a box or item, which begins with how many bytes there are before it."""
    return data[4 + int.from_bytes(data[:4], "big") :]


def _add_exif(blocks: Blocks, data: bytes, problems: list[str]) -> None:
    # Some programs put the name of a JPEG's segment before it in other formats too.
    data = data.removeprefix(_EXIF)
    if data and blocks.exif.image is None:
        blocks.exif = open_exif(TiffStructure(data), problems)
