"""Read the keywords in a photograph's metadata: IPTC (dataset 2:25) and XMP (dc:subject)."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.parsers import expat

from service.errors import PhotographError
from service.photos.decode import opened_header

_KEYWORDS = (2, 25)
_CHARACTER_SET = (1, 90)
_UTF8 = b"\x1b%G"
"""Value of IPTC's dataset 1:90 if texts are UTF-8."""

_SUBJECT = "http://purl.org/dc/elements/1.1/ subject"
_ITEM = "http://www.w3.org/1999/02/22-rdf-syntax-ns# li"
_MAX_XMP_BYTES = 16 << 20


def keywords_in(photograph: Path) -> list[str]:
    """The distinct keywords of a photograph's file, those of IPTC first; decodes no pixels.

    Broken metadata counts as none. Raises `PhotographError` with the reason for a file that cannot be opened.
    """
    with opened_header(photograph) as image:
        found = [*_of_iptc(image), *_of_xmp(image.info.get("xmp"))]
    return list(dict.fromkeys(word for word in (each.strip(" \0") for each in found) if word))


def _of_iptc(image: Any) -> list[str]:
    from PIL import IptcImagePlugin

    try:
        datasets = IptcImagePlugin.getiptcinfo(image) or {}
    # Pillow's reader raises all kinds of errors on broken metadata, which does not make the file unusable.
    except Exception:  # noqa: BLE001
        return []
    words = datasets.get(_KEYWORDS, [])
    is_utf8 = datasets.get(_CHARACTER_SET) == _UTF8
    return [_text(word, is_utf8) for word in (words if isinstance(words, list) else [words])]


def _text(word: bytes, is_utf8: bool) -> str:
    try:
        return word.decode("utf-8", "replace" if is_utf8 else "strict")
    except UnicodeDecodeError:
        return word.decode("latin-1")


def _of_xmp(packet: bytes | str | None) -> list[str]:
    """The items of dc:subject in an XMP packet.

    A document type is refused before it is read, because its entities are the only way for a small packet of XML to
    grow large or to refer to other files.
    """
    content = packet.encode() if isinstance(packet, str) else packet
    if not content or len(content) > _MAX_XMP_BYTES:
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
    """Collects the items of dc:subject while a packet is parsed."""

    def __init__(self) -> None:
        self.items: list[str] = []
        self._inside = False
        self._item: list[str] | None = None

    def refuse(self, *declaration: object) -> None:
        raise PhotographError("its XMP has a document type")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._inside = self._inside or name == _SUBJECT
        if self._inside and name == _ITEM:
            self._item = []

    def text(self, part: str) -> None:
        if self._item is not None:
            self._item.append(part)

    def end(self, name: str) -> None:
        if name == _ITEM and self._item is not None:
            self.items.append("".join(self._item))
            self._item = None
        elif name == _SUBJECT:
            self._inside = False
