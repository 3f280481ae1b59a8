"""Photographs and sidecars with metadata made for tests: EXIF, XMP, IPTC, and boxes of films."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping
from typing import Any

from PIL import Image
from PIL.TiffImagePlugin import IFDRational

NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "aux": "http://ns.adobe.com/exif/1.0/aux/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "MP": "http://ns.microsoft.com/photo/1.2/",
    "MPRI": "http://ns.microsoft.com/photo/1.2/t/RegionInfo#",
    "MPReg": "http://ns.microsoft.com/photo/1.2/t/Region#",
    "MicrosoftPhoto": "http://ns.microsoft.com/photo/1.0/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "GCamera": "http://ns.google.com/photos/1.0/camera/",
    "xmpNote": "http://ns.adobe.com/xmp/note/",
}


def packet(elements: str = "", attributes: str = "") -> bytes:
    """An XMP packet with one description, of which elements and attributes are given as XML."""
    names = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NAMESPACES.items())
    return (
        "<?xpacket begin='\ufeff' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x='adobe:ns:meta/'>"
        "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
        f"<rdf:Description rdf:about='' {names} {attributes}>{elements}</rdf:Description>"
        "</rdf:RDF></x:xmpmeta>\n\n<?xpacket end='w'?>"
    ).encode()


def bag(name: str, *items: str, kind: str = "Bag") -> str:
    """A property of several values."""
    return f"<{name}><rdf:{kind}>{''.join(f'<rdf:li>{item}</rdf:li>' for item in items)}</rdf:{kind}></{name}>"


def exif(
    image: Mapping[int, Any] | None = None,
    photo: Mapping[int, Any] | None = None,
    gps: Mapping[int, Any] | None = None,
) -> bytes:
    """A block of EXIF from the values of its directories, without the name of a JPEG's segment."""
    made = Image.Exif()
    for tag, value in (image or {}).items():
        made[tag] = value
    for pointer, values in ((0x8769, photo), (0x8825, gps)):
        if values:
            made.get_ifd(pointer).update(values)
            made[pointer] = made.get_ifd(pointer)
    return made.tobytes().removeprefix(b"Exif\0\0")


def degrees(*parts: float) -> tuple[IFDRational, ...]:
    """Degrees, minutes and seconds as EXIF writes them."""
    return tuple(IFDRational(round(part * 10_000), 10_000) for part in parts)


def iptc(*datasets: tuple[int, int, bytes]) -> bytes:
    """IPTC's datasets: record, number and value."""
    return b"".join(
        b"\x1c" + bytes([record, number]) + struct.pack(">H", len(value)) + value for record, number, value in datasets
    )


def plain_image(colour: tuple[int, int, int] = (10, 200, 30), size: tuple[int, int] = (48, 32)) -> Image.Image:
    """An image with more than one colour, so that its pixels take some bytes."""
    image = Image.new("RGB", size, colour)
    image.paste((200, 20, 90), (8, 8, 24, 24))
    return image


def encoded(image: Image.Image, name: str, **options: Any) -> bytes:
    """An image in a format of Pillow."""
    out = io.BytesIO()
    image.save(out, name, **options)
    return out.getvalue()


def segment(marker: int, content: bytes) -> bytes:
    """A segment of a JPEG."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def jpeg(*segments: bytes, trailer: bytes = b"") -> bytes:
    """A JPEG with segments in front of its own, and bytes after its end."""
    plain = encoded(plain_image(), "JPEG")
    return plain[:2] + b"".join(segments) + plain[2:] + trailer


def exif_segment(block: bytes) -> bytes:
    return segment(0xE1, b"Exif\0\0" + block)


def xmp_segment(content: bytes) -> bytes:
    return segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + content)


def iptc_segment(content: bytes) -> bytes:
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(content)) + content + b"\0" * (len(content) % 2)
    return segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x03\xed\x03abc\0\0\0\x02ab" + resource)


def takeout(**fields: Any) -> bytes:
    """A sidecar of Google Takeout."""
    return json.dumps({"title": "IMG_1.jpg"} | fields).encode()


def box(kind: bytes, content: bytes) -> bytes:
    """A box of ISO base media."""
    return struct.pack(">I4s", 8 + len(content), kind) + content


def film(seconds: float, identifier: str | None = None) -> bytes:
    """A film of no pictures: its table of contents lies at the end, as phones write it."""
    header = box(b"mvhd", struct.pack(">IIIII", 0, 0, 0, 600, round(seconds * 600)) + bytes(80))
    meta = b""
    if identifier is not None:
        keys = struct.pack(">II", 0, 2) + box(b"mdta", b"com.apple.quicktime.make")
        keys += box(b"mdta", b"com.apple.quicktime.content.identifier")
        values = box(b"\0\0\0\2", box(b"data", struct.pack(">II", 1, 0) + identifier.encode()))
        meta = box(b"meta", box(b"hdlr", bytes(25)) + box(b"keys", keys) + box(b"ilst", values))
    return box(b"ftyp", b"qt  \0\0\0\0qt  ") + box(b"mdat", bytes(3000)) + box(b"moov", header + meta)
