"""What a photograph's files say about it: when, where and with what it was taken, and what people wrote into it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

DateSource = Literal["exif", "xmp", "takeout", "name", "file"]
"""Where a date comes from, most trusted first: EXIF, XMP, Google Takeout's JSON, the file's name, the file's time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """Metadata of one photograph, merged from its file, its sidecars and its name; what is not known is None.

    Attributes:
        taken_at: when the shutter was pressed, as the clock on the wall showed it, to the second; without a time zone.
        taken_offset: minutes by which that clock was ahead of UTC, where it is known.
        taken_source: where `taken_at` comes from.
        camera: maker and model without repetition, such as "Canon EOS 600D" or "Apple iPhone 13 Pro".
        lens: the lens as the camera names it.
        focal_length: millimetres.
        focal_length_35: millimetres of a lens with the same view on 35 mm film.
        aperture: the f-number.
        exposure: seconds.
        iso: sensitivity.
        flash: whether it fired.
        latitude, longitude: degrees, WGS 84, north and east positive; both or neither.
        altitude: metres above the sea.
        country, region, town: names that people wrote into the file (IPTC, XMP), not looked up.
        title, description, creator, copyright: as written, control characters taken out.
        keywords: distinct, those of a hierarchy as "Animals/Dog".
        people: names of people who are tagged in it, distinct.
        stars: XMP's rating, 0 to 5, or -1 for rejected. Not a rating, which is of a text and a photograph.
        label: the colour label as its program names it, such as "Red".
        orientation: EXIF's orientation of the stored pixels, 1 to 8.
        motion: seconds of the film that belongs to it (Live Photo, motion photograph).
    """

    taken_at: datetime | None = None
    taken_offset: int | None = None
    taken_source: DateSource | None = None
    camera: str | None = None
    lens: str | None = None
    focal_length: float | None = None
    focal_length_35: float | None = None
    aperture: float | None = None
    exposure: float | None = None
    iso: int | None = None
    flash: bool | None = None
    latitude: float | None = None
    longitude: float | None = None
    altitude: float | None = None
    country: str | None = None
    region: str | None = None
    town: str | None = None
    title: str | None = None
    description: str | None = None
    creator: str | None = None
    copyright: str | None = None
    keywords: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    stars: int | None = None
    label: str | None = None
    orientation: int | None = None
    motion: float | None = None
