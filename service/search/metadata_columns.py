"""A photograph's metadata as it is written in answers and tables: dates, names of places, and flat columns."""

from __future__ import annotations

from datetime import timedelta, timezone
from typing import NamedTuple

from service.photos.places import Language, place_named
from service.store.metadata import Metadata
from service.store.records import Details, Record

METADATA_COLUMNS = {
    "taken_at": "datetime64[s]",
    "camera": "str",
    "lens": "str",
    "focal_length": "float64",
    "aperture": "float64",
    "exposure": "float64",
    "iso": "Int64",
    "latitude": "float64",
    "longitude": "float64",
    "altitude": "float64",
    "town": "str",
    "region": "str",
    "country": "str",
    "title": "str",
    "description": "str",
    "keywords": "str",
    "people": "str",
    "stars": "Int64",
    "label": "str",
    "files": "str",
}
"""The columns of metadata in tables, and their types in pandas; what is not known is missing."""

SEPARATOR = "; "
"""Between several keywords, people or files in one cell."""

_MINUTES_A_DAY = 24 * 60


class PlaceNames(NamedTuple):
    """Names of where a photograph was taken; None where not known."""

    town: str | None
    region: str | None
    country: str | None


def place_names(details: Details, language: Language = "en") -> PlaceNames:
    """Where a photograph was taken: names that people wrote into its file, else those of the nearest town."""
    metadata = details.metadata
    written = PlaceNames(metadata.town, metadata.region, metadata.country)
    place = None if details.town_id is None else place_named(details.town_id)
    if any(written) or place is None:
        return written
    names = (None if name is None else getattr(name, language) for name in (place.town, place.region, place.country))
    return PlaceNames(*names)


def taken_at_text(metadata: Metadata) -> str | None:
    """When a photograph was taken by the clock of the place, as ISO 8601 with the offset from UTC if it is known."""
    taken_at, offset = metadata.taken_at, metadata.taken_offset
    if taken_at is not None and offset is not None and abs(offset) < _MINUTES_A_DAY:
        taken_at = taken_at.replace(tzinfo=timezone(timedelta(minutes=offset)))
    return None if taken_at is None else taken_at.isoformat()


def metadata_cells(record: Record | None, details: Details) -> dict[str, object]:
    """The values of `METADATA_COLUMNS`; a photograph that the library does not hold has no `record`."""
    metadata = details.metadata
    names = [] if record is None else [record.name, *(companion.name for companion in details.companions)]
    several = {"keywords": metadata.keywords, "people": metadata.people, "files": names}
    cells = {name: getattr(metadata, name, None) for name in METADATA_COLUMNS}
    return (
        cells
        | place_names(details)._asdict()
        | {name: SEPARATOR.join(words) or None for name, words in several.items()}
    )
