"""Photographs with keywords in XMP or IPTC metadata."""

from __future__ import annotations

import struct
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

_PACKET = (
    "<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?>{before}<x:xmpmeta xmlns:x='adobe:ns:meta/'>"
    "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
    "<rdf:Description xmlns:dc='http://purl.org/dc/elements/1.1/'>"
    "<dc:subject><rdf:Bag>{items}</rdf:Bag></dc:subject>"
    "<dc:title><rdf:Alt><rdf:li>kind:title</rdf:li></rdf:Alt></dc:title>"
    "</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end='w'?>"
)


def xmp(*keywords: str, before: str = "") -> bytes:
    """An XMP packet with keywords (dc:subject), which are XML already; `before` goes before its root element."""
    return _PACKET.format(before=before, items="".join(f"<rdf:li>{each}</rdf:li>" for each in keywords)).encode()


def save_with_xmp(file: Path, packet: bytes) -> Path:
    """Save a photograph with an XMP packet, in the format that the file's name says."""
    image = Image.new("RGB", (40, 40), (10, 200, 30))
    if file.suffix == ".png":
        chunks = PngInfo()
        chunks.add_itxt("XML:com.adobe.xmp", packet.decode())
        image.save(file, pnginfo=chunks)
    else:
        image.save(file, xmp=packet)
    return file


def save_with_iptc(file: Path, *keywords: bytes, utf8: bool = False) -> Path:
    """Save a JPEG with keywords as IPTC datasets 2:25 in an APP13 (Photoshop) segment."""
    words = [(1, 90, b"\x1b%G")] if utf8 else []
    sets = b"".join(
        b"\x1c" + bytes([record, number]) + struct.pack(">H", len(value)) + value
        for record, number, value in [*words, *((2, 25, word) for word in keywords)]
    )
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(sets)) + sets + b"\0" * (len(sets) % 2)
    segment = b"Photoshop 3.0\0" + resource
    Image.new("RGB", (40, 40)).save(file)
    plain = file.read_bytes()
    file.write_bytes(plain[:2] + b"\xff\xed" + struct.pack(">H", len(segment) + 2) + segment + plain[2:])
    return file
