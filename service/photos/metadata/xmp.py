"""Read XMP packets, embedded in a photograph's file or beside it as a sidecar: RDF in XML, in all of its forms."""

from __future__ import annotations

import codecs
import math
import re

# Nothing but text is read with it: `parse_xmp` refuses document types, without which XML has no entities of its own
# and no references to other files. See docs/decisions/metadata.md for defusedxml.
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from service.photos.metadata.camera import camera_name
from service.photos.metadata.exif import stars_of_percent
from service.photos.metadata.values import (
    Moment,
    clean_lines,
    clean_text,
    distinct_words,
    parse_moment,
    positive,
    sound_location,
    sound_orientation,
)
from service.store.metadata import Metadata

MAX_BYTES = 8 << 20
MAX_ELEMENTS = 250_000
"""Bytes and elements of a packet; a larger one is not read. Retouching in Lightroom takes some 100 kilobytes."""

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_CONTAINERS = (f"{_RDF}Bag", f"{_RDF}Seq", f"{_RDF}Alt")
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_DC = "{http://purl.org/dc/elements/1.1/}"
_XMP = "{http://ns.adobe.com/xap/1.0/}"
_PHOTOSHOP = "{http://ns.adobe.com/photoshop/1.0/}"
_TIFF = "{http://ns.adobe.com/tiff/1.0/}"
_EXIF = "{http://ns.adobe.com/exif/1.0/}"
_EXIF_EX = "{http://cipa.jp/exif/1.0/}"
_AUX = "{http://ns.adobe.com/exif/1.0/aux/}"
_LIGHTROOM = "{http://ns.adobe.com/lightroom/1.0/}"
_DIGIKAM = "{http://www.digikam.org/ns/1.0/}"
_MICROSOFT = ("{http://ns.microsoft.com/photo/1.0/}", "{http://ns.microsoft.com/photo/1.0}")
_MP_REGION = "{http://ns.microsoft.com/photo/1.2/}RegionInfo"
_MP_NAME = "{http://ns.microsoft.com/photo/1.2/t/Region#}PersonDisplayName"
_MWG = "{http://www.metadataworkinggroup.com/schemas/regions/}"
_IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
_CAMERA = "{http://ns.google.com/photos/1.0/camera/}"
_NOTE = "{http://ns.adobe.com/xmp/note/}"

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NOT_XML = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]|&#(?:x0*1?[0-9a-f]|0*[12]?[0-9]|0*3[01]);", re.I
)
"""Characters that XML forbids, and references to them, for which a parser refuses the whole packet."""
_DEGREES = re.compile(r"\s*(\d{1,3})(?:,\s*(\d{1,2}(?:\.\d*)?))?(?:,\s*(\d{1,2}(?:\.\d*)?))?\s*([NSEW])\s*", re.I)


class XmpPacket:
    """The properties of an XMP packet, by their names with the namespace in braces."""

    def __init__(self, root: ET.Element) -> None:
        self._properties: dict[str, str | ET.Element] = {}
        rdf = root if root.tag == f"{_RDF}RDF" else root.find(f".//{_RDF}RDF")
        for description in rdf if rdf is not None else ():
            # The same properties may stand as attributes and as elements, in any of several descriptions.
            for name, value in description.attrib.items():
                self._properties.setdefault(name, value)
            for child in description:
                self._properties.setdefault(child.tag, child)

    def texts(self, *names: str) -> list[str]:
        """The texts of the first of the named properties that has any; of alternatives the default language first."""
        for name in names:
            value = self._properties.get(name)
            texts = [value] if isinstance(value, str) else [] if value is None else _texts(value)
            texts = [text for text in texts if text and not text.isspace()]
            if texts:
                return texts
        return []

    def text(self, *names: str) -> str | None:
        """The first text of the first of the named properties that has any."""
        return next(iter(self.texts(*names)), None)

    def number(self, *names: str) -> float | None:
        """The first of the named properties as a finite number; a fraction such as "28/5" is one."""
        text = self.text(*names)
        numerator, _, denominator = (text or "")[:64].partition("/")
        try:
            number = float(numerator) / float(denominator or 1)
        except (ValueError, ArithmeticError):
            return None
        return number if math.isfinite(number) else None

    def structures(self, name: str) -> Iterator[ET.Element]:
        """All elements below a property, in which the fields of its structures are looked for."""
        value = self._properties.get(name)
        if value is not None and not isinstance(value, str):
            yield from value.iter()


def parse_xmp(content: bytes, problems: list[str]) -> XmpPacket | None:
    """An XMP packet; None, with a sentence in `problems`, if it cannot be read."""
    if len(content) > MAX_BYTES:
        problems.append(f"its XMP is larger than {MAX_BYTES >> 20} MB")
        return None
    text = _decode(content).strip("\ufeff\0 \r\n\t")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        problems.append("its XMP has a document type, which XMP must not have")
    elif text.count("<") > 2 * MAX_ELEMENTS:
        problems.append(f"its XMP has more than {MAX_ELEMENTS:,} elements")
    elif text:
        for mend in (str, partial(_NOT_XML.sub, "")):
            with suppress(ET.ParseError, ValueError):
                return XmpPacket(ET.fromstring(mend(text)))  # noqa: S314
        problems.append("its XMP is damaged")
    return None


def read_xmp(packet: XmpPacket, problems: list[str]) -> Metadata:
    """What an XMP packet says, without the date; adds sentences to `problems`."""
    latitude, longitude, altitude = _location(packet) or (None, None, None)
    country, region, town = _place(packet)
    iso = positive(packet.number(f"{_EXIF}ISOSpeedRatings", f"{_EXIF_EX}PhotographicSensitivity"), 1e8)
    return Metadata(
        camera=camera_name(
            clean_text(packet.text(f"{_TIFF}Make"), 100) or "", clean_text(packet.text(f"{_TIFF}Model"), 100) or ""
        ),
        lens=clean_text(packet.text(f"{_EXIF_EX}LensModel", f"{_AUX}Lens"), 200),
        focal_length=positive(packet.number(f"{_EXIF}FocalLength"), 20_000),
        focal_length_35=positive(packet.number(f"{_EXIF}FocalLengthIn35mmFilm"), 20_000),
        aperture=positive(packet.number(f"{_EXIF}FNumber"), 1_000),
        exposure=positive(packet.number(f"{_EXIF}ExposureTime"), 1e6),
        iso=int(iso) if iso else None,
        flash=_flash(packet),
        latitude=latitude,
        longitude=longitude,
        altitude=altitude,
        country=country,
        region=region,
        town=town,
        title=clean_text(packet.text(f"{_DC}title", f"{_PHOTOSHOP}Headline")),
        description=clean_lines(packet.text(f"{_DC}description", f"{_TIFF}ImageDescription", f"{_EXIF}UserComment")),
        creator=clean_text(", ".join(packet.texts(f"{_DC}creator", f"{_TIFF}Artist"))),
        copyright=clean_text(packet.text(f"{_DC}rights", f"{_TIFF}Copyright")),
        keywords=distinct_words(_keywords(packet), problems, "keywords"),
        people=distinct_words(_people(packet), problems, "people"),
        stars=_stars(packet),
        label=clean_text(packet.text(f"{_XMP}Label"), 100),
        orientation=sound_orientation(packet.number(f"{_TIFF}Orientation")),
    )


def xmp_moment(packet: XmpPacket) -> Moment | None:
    """When the photograph was taken; a property that names only the day gives way to one with the time of that day."""
    names = (f"{_EXIF}DateTimeOriginal", f"{_PHOTOSHOP}DateCreated", f"{_XMP}CreateDate")
    moments = [moment for moment in (parse_moment(packet.text(name)) for name in names) if moment]
    if not moments:
        return None
    same_day = [each for each in moments if each.has_clock and each.time.date() == moments[0].time.date()]
    return moments[0] if moments[0].has_clock or not same_day else same_day[0]


def extension_of(packet: XmpPacket) -> bytes:
    """The name of the extension that continues a packet in further segments of a JPEG, b"" for none."""
    return (packet.text(f"{_NOTE}HasExtendedXMP") or "").encode("ascii", "replace")


def has_film(packet: XmpPacket) -> bool:
    """Whether Android's camera says that a film follows the photograph in its file."""
    return bool(packet.number(f"{_CAMERA}MotionPhoto", f"{_CAMERA}MicroVideo"))


def _decode(content: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    # Without a mark, zeros between the letters of "<?" tell UTF-16.
    if content[:4] in (b"<\0?\0", b"<\0x\0"):
        return content.decode("utf-16-le", "replace")
    if content[:4] in (b"\0<\0?", b"\0<\0x"):
        return content.decode("utf-16-be", "replace")
    return content.decode("utf-8", "replace")


def _texts(element: ET.Element) -> list[str]:
    """The texts of a property: of its container's items, of its rdf:value, or its own."""
    for child in element:
        if child.tag in _CONTAINERS:
            items = sorted(child, key=lambda item: item.get(_LANGUAGE) != "x-default")
            return [text for item in items if (text := _value(item))]
    value = _value(element)
    return [value] if value else []


def _value(element: ET.Element) -> str | None:
    """The text of an element, or of the rdf:value that it has where it is qualified."""
    for child in element:
        if child.tag == f"{_RDF}value":
            return child.text
        if child.tag == f"{_RDF}Description":
            return child.get(f"{_RDF}value") or child.findtext(f"{_RDF}value")
    return element.text or element.get(f"{_RDF}value") or element.get(f"{_RDF}resource")


def _field(structure: ET.Element, name: str) -> str | None:
    """A field of a structure, which is an attribute or an element."""
    if (value := structure.get(name)) is not None:
        return value
    child = structure.find(name)
    return next(iter(_texts(child)), None) if child is not None else None


def _keywords(packet: XmpPacket) -> Iterator[str]:
    yield from packet.texts(f"{_DC}subject")
    for name, separator in (
        (f"{_LIGHTROOM}hierarchicalSubject", "|"),
        (f"{_DIGIKAM}TagsList", "/"),
        *((f"{namespace}LastKeywordXMP", "/") for namespace in _MICROSOFT),
    ):
        for path in packet.texts(name):
            levels = [level for level in (part.strip() for part in path.split(separator)) if level]
            # Those of one level are among the flat ones, unless a person took them out there.
            if len(levels) > 1:
                yield "/".join(levels)


def _people(packet: XmpPacket) -> Iterator[str]:
    for region in packet.structures(f"{_MWG}Regions"):
        if (_field(region, f"{_MWG}Type") or "").strip().casefold() == "face":
            yield _field(region, f"{_MWG}Name") or ""
    for region in packet.structures(_MP_REGION):
        yield _field(region, _MP_NAME) or ""
    yield from packet.texts(f"{_IPTC}PersonInImage")
    for person in packet.structures(f"{_IPTC}PersonInImageWDetails"):
        yield _field(person, f"{_IPTC}PersonName") or ""


def _stars(packet: XmpPacket) -> int | None:
    stars = packet.number(f"{_XMP}Rating")
    if stars is not None:
        return int(stars) if -1 <= stars <= 5 else None
    return stars_of_percent(packet.number(*(f"{namespace}Rating" for namespace in _MICROSOFT)))


def _flash(packet: XmpPacket) -> bool | None:
    for flash in packet.structures(f"{_EXIF}Flash"):
        fired = _field(flash, f"{_EXIF}Fired")
        if fired:
            return fired.strip().casefold() == "true"
    return None


def _place(packet: XmpPacket) -> tuple[str | None, str | None, str | None]:
    """Country, region and town: where the camera stood."""
    names = (f"{_PHOTOSHOP}Country", f"{_PHOTOSHOP}State", f"{_PHOTOSHOP}City")
    place = tuple(clean_text(packet.text(name), 200) for name in names)
    fields = (f"{_IPTC}CountryName", f"{_IPTC}ProvinceState", f"{_IPTC}City")
    for created in () if any(place) else packet.structures(f"{_IPTC}LocationCreated"):
        place = tuple(clean_text(_field(created, name), 200) for name in fields)
        if any(place):
            break
    return place[0], place[1], place[2]


def _location(packet: XmpPacket) -> tuple[float, float, float | None] | None:
    altitude = packet.number(f"{_EXIF}GPSAltitude")
    if altitude is not None and packet.text(f"{_EXIF}GPSAltitudeRef") == "1":
        altitude = -altitude
    latitude, longitude = (_degrees(packet, f"{_EXIF}{name}") for name in ("GPSLatitude", "GPSLongitude"))
    return sound_location(latitude, longitude, altitude)


def _degrees(packet: XmpPacket, name: str) -> float | None:
    """Degrees from "60,8.802N" or "60,8,48N", or from a plain number."""
    match = _DEGREES.fullmatch((packet.text(name) or "")[:64])
    if match is None:
        return packet.number(name)
    degrees = float(match[1]) + float(match[2] or 0) / 60 + float(match[3] or 0) / 3600
    return -degrees if match[4] in "SWsw" else degrees
