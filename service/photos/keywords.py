"""The keywords that programs write into photographs: IPTC's (dataset 2:25) and XMP's (dc:subject)."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.parsers import expat

from service.errors import PhotographError
from service.photos.decode import opened_header

_KEYWORDS = (2, 25)
_CHARACTER_SET = (1, 90)
_UTF8 = b"\x1b%G"
"""What IPTC's dataset 1:90 holds where texts are UTF-8."""

_SUBJECT = "http://purl.org/dc/elements/1.1/ subject"
_ITEM = "http://www.w3.org/1999/02/22-rdf-syntax-ns# li"
_MOST_XMP_BYTES = 16 << 20


def keywords_in(photograph: Path) -> list[str]:
    """The keywords of a photograph's file, each once, those of IPTC first; no pixel is decoded.

    Metadata that is broken holds none. Raises `PhotographError` with the reason for a file that cannot be opened.
    """
    with opened_header(photograph) as image:
        found = [*_of_iptc(image), *_of_xmp(image.info.get("xmp"))]
    return list(dict.fromkeys(word for word in (each.strip(" \0") for each in found) if word))


def _of_iptc(image: Any) -> list[str]:
    from PIL import IptcImagePlugin

    try:
        facts = IptcImagePlugin.getiptcinfo(image) or {}
    # Pillow's reader raises whatever broken metadata drives it to, and they say nothing about the pixels.
    except Exception:  # noqa: BLE001
        return []
    held = facts.get(_KEYWORDS, [])
    certain = facts.get(_CHARACTER_SET) == _UTF8
    return [_text(word, certain) for word in (held if isinstance(held, list) else [held])]


def _text(word: bytes, certain: bool) -> str:
    try:
        return word.decode("utf-8", "replace" if certain else "strict")
    except UnicodeDecodeError:
        return word.decode("latin-1")


def _of_xmp(packet: bytes | str | None) -> list[str]:
    """The items of dc:subject in an XMP packet.

    A document type is refused before it is read, and with it entities: the only way in which a small packet of XML
    grows large or names other files.
    """
    content = packet.encode() if isinstance(packet, str) else packet
    if not content or len(content) > _MOST_XMP_BYTES:
        return []
    reader = _Subject()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(content.strip(b"\x00 \r\n\t"), True)
    except (expat.ExpatError, PhotographError):
        return []
    return reader.items


class _Subject:
    """Gathers the items of dc:subject while a packet is read."""

    def __init__(self) -> None:
        self.items: list[str] = []
        self._inside = False
        self._item: list[str] | None = None

    def refuse(self, *declared: object) -> None:
        raise PhotographError("its XMP has a document type")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._inside = self._inside or name == _SUBJECT
        if self._inside and name == _ITEM:
            self._item = []

    def text(self, said: str) -> None:
        if self._item is not None:
            self._item.append(said)

    def end(self, name: str) -> None:
        if name == _ITEM and self._item is not None:
            self.items.append("".join(self._item))
            self._item = None
        elif name == _SUBJECT:
            self._inside = False
