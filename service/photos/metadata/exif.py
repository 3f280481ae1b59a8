"""Read what EXIF says: when, where and with what a photograph was taken, and the texts that fit into it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.photos.metadata.camera import camera_name
from service.photos.metadata.tiff import Directory, TiffStructure, decode_text
from service.photos.metadata.values import (
    Moment,
    clean_lines,
    clean_text,
    distinct_words,
    is_believable,
    offset_between,
    parse_moment,
    parse_offset,
    positive,
    sound_location,
    sound_orientation,
)
from service.store.metadata import Metadata

_MAKE, _MODEL, _ORIENTATION, _DESCRIPTION, _ARTIST, _COPYRIGHT = 0x010F, 0x0110, 0x0112, 0x010E, 0x013B, 0x8298
_CHANGED, _PHOTO, _GPS, _RATING, _RATING_PERCENT = 0x0132, 0x8769, 0x8825, 0x4746, 0x4749
_XP_TITLE, _XP_COMMENT, _XP_AUTHOR, _XP_KEYWORDS = 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E
_ORIGINAL, _DIGITISED, _OFFSET_ORIGINAL, _OFFSET_DIGITISED = 0x9003, 0x9004, 0x9011, 0x9012
_EXPOSURE, _SHUTTER_APEX, _APERTURE, _APERTURE_APEX = 0x829A, 0x9201, 0x829D, 0x9202
_ISO, _ISO_INDEX, _ISO_SPEED, _FLASH, _FOCAL_LENGTH, _FOCAL_LENGTH_35 = 0x8827, 0x8832, 0x8833, 0x9209, 0x920A, 0xA405
_LENS, _USER_COMMENT, _MAKER_NOTE = 0xA434, 0x9286, 0x927C
_LATITUDE_REF, _LATITUDE, _LONGITUDE_REF, _LONGITUDE, _ALTITUDE_REF, _ALTITUDE = range(1, 7)
_GPS_TIME, _GPS_DATE = 0x07, 0x1D

_ISO_OVERFLOW = 65_535
"""A sensitivity too large for the oldest tag, which the newer ones hold."""

_DEFAULT_DESCRIPTION = re.compile(
    r"(?:\w+ ){0,2}digital camera|sony dsc|exif[_ ]jpeg.{0,20}|dcf \d\.\d|dcim\\.*|jpeg|oppo_\d+"
    r"|file written by adobe photoshop.{0,10}",
    re.IGNORECASE,
)
_DEFAULT_TEXTS = frozenset({"unknown", "none", "default", "n/a", "-", "--", "----", "0"})
"""What cameras write where a person's description belongs, and where names of people and lenses do."""

_APPLE_NOTE = b"Apple iOS\0"
_APPLE_DIRECTORY = 14
_CONTENT_IDENTIFIER = 0x0011
"""Start of Apple's maker note, where its directory begins, and the tag that a Live Photo's film has too."""


@dataclass(frozen=True, slots=True)
class Exif:
    """The directories of EXIF: of the image, of the exposure and of the position; each None if it is missing."""

    image: Directory | None = None
    photo: Directory | None = None
    gps: Directory | None = None


def open_exif(structure: TiffStructure, problems: list[str]) -> Exif:
    """The directories of EXIF in a TIFF structure; adds a sentence to `problems` where one cannot be read."""
    image = structure.first()
    photo, gps = (
        structure.directory(int(offset)) if image and (offset := image.number(tag)) else None for tag in (_PHOTO, _GPS)
    )
    if image is None or (photo is None and _PHOTO in image):
        problems.append("its EXIF is damaged")
    elif not all(directory is None or directory.is_whole for directory in (image, photo, gps)):
        problems.append("its EXIF is cut short")
    return Exif(image, photo, gps)


def read_exif(exif: Exif, problems: list[str]) -> Metadata:
    """What EXIF says, with the date of the exposure; adds sentences to `problems`."""
    image, photo, gps = exif.image, exif.photo, exif.gps
    values: dict[str, object] = {}
    if image is not None:
        values |= _image_values(image, problems)
    if photo is not None:
        values |= _exposure_values(photo)
    if image is not None and not values.get("description"):
        values["description"] = _description(image, photo)
    if gps is not None and (location := _location(gps)):
        values |= dict(zip(("latitude", "longitude", "altitude"), location, strict=True))
    return Metadata(**values)  # type: ignore[arg-type]


def original_moment(exif: Exif) -> Moment | None:
    """When the shutter was pressed, with the time zone from EXIF or else from the satellites' time."""
    moment = parse_moment(exif.photo.text(_ORIGINAL)) if exif.photo else None
    if moment is None or exif.photo is None:
        return None
    offset = parse_offset(exif.photo.text(_OFFSET_ORIGINAL))
    if offset is None and parse_moment(exif.photo.text(_DIGITISED)) == moment:
        offset = parse_offset(exif.photo.text(_OFFSET_DIGITISED))
    if offset is None and exif.gps is not None and (utc := _gps_time(exif.gps)):
        offset = offset_between(moment.time, utc)
    return Moment(moment.time, offset)


def digitised_moment(exif: Exif) -> Moment | None:
    """When the photograph was digitised, which for a camera is when it was taken."""
    moment = parse_moment(exif.photo.text(_DIGITISED)) if exif.photo else None
    if moment is None or exif.photo is None:
        return None
    return Moment(moment.time, parse_offset(exif.photo.text(_OFFSET_DIGITISED)))


def changed_moment(exif: Exif) -> Moment | None:
    """When the file was last changed; None where the date of the exposure has a place that is empty or broken.

    Scanners and some old cameras write no other date.
    """
    if exif.image is None or (exif.photo is not None and _ORIGINAL in exif.photo):
        return None
    return parse_moment(exif.image.text(_CHANGED))


def content_identifier_of(exif: Exif) -> str | None:
    """Apple's identifier that the still and the film of a Live Photo share."""
    note = exif.photo.data(_MAKER_NOTE) if exif.photo else b""
    if not note.startswith(_APPLE_NOTE) or note[12:14] not in (b"MM", b"II"):
        return None
    # Offsets in Apple's maker note count from its own start.
    header = b"MM\0*\0\0\0\x0e" if note[12:14] == b"MM" else b"II*\0\x0e\0\0\0"
    directory = TiffStructure(header + note[len(header) :]).directory(_APPLE_DIRECTORY)
    return clean_text(directory.text(_CONTENT_IDENTIFIER), 100) if directory else None


def _image_values(image: Directory, problems: list[str]) -> dict[str, object]:
    words = (_wide_text(image, _XP_KEYWORDS) or "").split(";")
    return {
        "camera": camera_name(clean_text(image.text(_MAKE), 100) or "", clean_text(image.text(_MODEL), 100) or ""),
        "orientation": sound_orientation(image.number(_ORIENTATION)),
        "title": clean_text(_wide_text(image, _XP_TITLE)),
        "description": clean_lines(_wide_text(image, _XP_COMMENT)),
        "creator": _not_default(clean_text(image.text(_ARTIST) or _wide_text(image, _XP_AUTHOR))),
        # The photographer's notice and the editor's, each with an end mark.
        "copyright": _not_default(clean_text(image.data(_COPYRIGHT).replace(b"\0", b" ").decode("utf-8", "replace"))),
        "keywords": distinct_words(words, problems, "keywords"),
        "stars": _stars(image),
    }


def _exposure_values(photo: Directory) -> dict[str, object]:
    flash = photo.number(_FLASH)
    return {
        "lens": _not_default(clean_text(photo.text(_LENS), 200)),
        "focal_length": positive(photo.number(_FOCAL_LENGTH), 20_000),
        "focal_length_35": positive(photo.number(_FOCAL_LENGTH_35), 20_000),
        "aperture": positive(photo.number(_APERTURE), 1_000) or _power(photo.number(_APERTURE_APEX), 0.5, 1_000),
        "exposure": positive(photo.number(_EXPOSURE), 1e6) or _power(photo.number(_SHUTTER_APEX), -1, 1e6),
        "iso": _iso(photo),
        "flash": bool(int(flash) & 1) if flash is not None else None,
    }


def _power(apex: float | None, factor: float, greatest: float) -> float | None:
    """2 to the power of an APEX value times a factor: -1 makes seconds, 1/2 an f-number."""
    if apex is None or abs(apex) > 30:
        return None
    return positive(float(f"{math.pow(2, apex * factor):.3g}"), greatest) if apex else None


def _iso(photo: Directory) -> int | None:
    iso = positive(photo.number(_ISO), 1e8)
    if iso is None or iso == _ISO_OVERFLOW:
        iso = positive(photo.number(_ISO_INDEX), 1e8) or positive(photo.number(_ISO_SPEED), 1e8) or iso
    return int(iso) if iso else None


def _stars(image: Directory) -> int | None:
    stars = image.number(_RATING)
    if stars is not None and 0 < stars <= 5:
        return int(stars)
    return stars_of_percent(image.number(_RATING_PERCENT))


def stars_of_percent(percent: float | None) -> int | None:
    """Stars from Windows' rating, which is 1, 25, 50, 75 or 99 for one to five of them."""
    return min(5, round(percent / 25) + 1) if percent is not None and 0 < percent <= 100 else None


def _not_default(text: str | None) -> str | None:
    return None if text is None or text.casefold() in _DEFAULT_TEXTS else text


def _description(image: Directory, photo: Directory | None) -> str | None:
    make = clean_lines(image.text(_MAKE))
    for text in (image.text(_DESCRIPTION), _user_comment(photo.data(_USER_COMMENT)) if photo else None):
        description = clean_lines(text)
        if description and description != make and not _DEFAULT_DESCRIPTION.fullmatch(description):
            return description
    return None


def _user_comment(data: bytes) -> str | None:
    """The text of UserComment, whose first eight bytes name its character code."""
    code, text = data[:8], data[8:]
    if code == b"UNICODE\0":
        # Programs use either byte order. Letters of one script share their higher byte, so it has fewer values.
        order = "utf-16-be" if len(set(text[::2])) < len(set(text[1::2])) else "utf-16-le"
        return text.decode(order, "replace").split("\0", 1)[0]
    return decode_text(text.split(b"\0", 1)[0]) if code == b"ASCII\0\0\0" else None


def _wide_text(image: Directory, tag: int) -> str | None:
    """A text that Windows wrote, in UTF-16."""
    return image.data(tag).decode("utf-16-le", "replace").split("\0", 1)[0] if tag in image else None


def _location(gps: Directory) -> tuple[float, float, float | None] | None:
    latitude = _degrees(gps, _LATITUDE, _LATITUDE_REF, "NS")
    longitude = _degrees(gps, _LONGITUDE, _LONGITUDE_REF, "EW")
    altitude = gps.number(_ALTITUDE)
    # A byte, which old programs wrote as the digit.
    if altitude is not None and gps.data(_ALTITUDE_REF)[:1] in (b"\x01", b"1"):
        altitude = -altitude
    return sound_location(latitude, longitude, altitude)


def _degrees(gps: Directory, tag: int, reference_tag: int, directions: str) -> float | None:
    """Degrees from degrees, minutes and seconds, of which the last two may be missing; None without a direction."""
    direction = (gps.text(reference_tag) or "").strip()[:1].upper()
    parts = gps.numbers(tag)[:3]
    if not direction or direction not in directions or not parts or not math.isfinite(parts[0]):
        return None
    degrees = math.fsum(part / 60.0**place for place, part in enumerate(parts) if math.isfinite(part))
    return -degrees if direction == directions[1] else degrees


def _gps_time(gps: Directory) -> datetime | None:
    """The satellites' time, which is UTC."""
    day, clock = parse_moment(gps.text(_GPS_DATE)), gps.numbers(_GPS_TIME)
    if day is None or not is_believable(day.time) or len(clock) != 3 or not all(0 <= part < 60 for part in clock):
        return None
    return day.time + timedelta(hours=clock[0], minutes=clock[1], seconds=clock[2])
