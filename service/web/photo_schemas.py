"""Photographs in answers of the HTTP API: facts and links, metadata, and hits."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field

from service.search.hits import Hit
from service.search.metadata_columns import place_names, taken_at_text
from service.store.filters import Orientation
from service.store.metadata import DateSource
from service.store.records import CompanionRole, Details, Record
from service.web.caching import version_of


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(_finite)]
"""A number, or null where it is unknown; JSON has no infinity."""


class Links(BaseModel):
    """Addresses of a photograph's metadata, file, thumbnail and preview; those of pictures change with the file."""

    photo: str
    image: str
    thumbnail: str = Field(description="a JPEG of at most 384 pixels")
    preview: str = Field(description="a JPEG of at most 1,000 pixels, mostly 768")

    @classmethod
    def of(cls, record: Record) -> Links:
        """The links of one photograph."""
        base, version = f"/photos/{record.id}", f"v={version_of(record)}"
        thumbnail = f"{base}/thumbnail?{version}"
        return cls(photo=base, image=f"{base}/image?{version}", thumbnail=thumbnail, preview=f"{thumbnail}&size=large")


class LocationOut(BaseModel):
    """Where a photograph was taken."""

    latitude: float = Field(description="degrees, north positive (WGS 84)")
    longitude: float = Field(description="degrees, east positive (WGS 84)")
    altitude: Number = Field(description="metres above the sea")


class PlaceOut(BaseModel):
    """Names of the place where a photograph was taken."""

    town: str | None
    region: str | None
    country: str | None


class FileOut(BaseModel):
    """One of the files that are one photograph."""

    name: str
    role: Literal["photograph", CompanionRole] = Field(
        description="photograph: the file that is shown; raw: the RAW file of a JPEG; motion: the film of a Live "
        "Photo; sidecar: an XMP file; takeout: the JSON of Google Takeout"
    )
    uri: str = Field(description="path of the file")
    bytes: int


class PhotoOut(BaseModel):
    """A photograph of the library."""

    id: int
    uri: str = Field(description="path of the file")
    name: str = Field(description="name of the file")
    width: int = Field(description="pixels, upright")
    height: int = Field(description="pixels, upright")
    format: str
    bytes: int = Field(description="size of the file")
    links: Links

    @classmethod
    def of(cls, record: Record) -> PhotoOut:
        """From a row of the catalog."""
        return cls.model_validate(_photograph(record))


class ListedPhotoOut(PhotoOut):
    """A photograph in a list, with the metadata that people look for first."""

    taken_at: str | None = Field(
        description="ISO 8601, by the clock of the place; with its offset from UTC where that is known",
        examples=["2023-07-14T18:30:05+02:00"],
    )
    camera: str | None
    lens: str | None
    place: PlaceOut | None
    location: LocationOut | None
    keywords: list[str]

    @classmethod
    def of_listed(cls, record: Record, details: Details) -> ListedPhotoOut:
        """From a row of the catalog and its metadata."""
        return cls.model_validate(_listed(record, details))


class HitOut(ListedPhotoOut):
    """A photograph that a search found."""

    match: float | None = Field(
        ge=0, le=1, description="how well it fits; means the same for every query; null where nothing was compared"
    )
    similarity: float | None = Field(ge=-1, le=1, description="cosine of the query's and the photograph's vectors")

    @classmethod
    def of_hit(cls, hit: Hit) -> HitOut:
        """From a hit of a search."""
        facts = _listed(hit.photograph, hit.details)
        return cls.model_validate(facts | {"match": hit.match, "similarity": hit.similarity})


class DetailedPhotoOut(ListedPhotoOut):
    """A photograph with all metadata and files; what is not known is null."""

    taken_source: DateSource | None = Field(description="where `taken_at` comes from")
    focal_length: Number = Field(description="millimetres")
    focal_length_35: Number = Field(description="millimetres of a lens with the same view on 35 mm film")
    aperture: Number = Field(description="the f-number")
    exposure: Number = Field(description="seconds")
    iso: int | None
    flash: bool | None = Field(description="whether it fired")
    title: str | None
    description: str | None
    creator: str | None
    copyright: str | None
    people: list[str] = Field(description="names of people who are tagged in it")
    stars: int | None = Field(description="0 to 5, or -1 for rejected; not a rating of a text and a photograph")
    label: str | None = Field(description="colour label")
    orientation: Orientation = Field(description="the shape of the upright photograph")
    motion: Number = Field(description="seconds of the film that belongs to it")
    files: list[FileOut] = Field(description="the files that are this photograph, the one that is shown first")
    warning: str | None = Field(description="what is wrong with the file though it could be read")

    @classmethod
    def of_detailed(cls, record: Record, details: Details) -> DetailedPhotoOut:
        """From a row of the catalog, its metadata and its companions."""
        known = {name: getattr(details.metadata, name) for name in cls.model_fields if hasattr(details.metadata, name)}
        others = {
            "orientation": _orientation(record.width, record.height),
            "people": list(details.metadata.people),
            "files": _files(record, details),
            "warning": record.warning,
        }
        return cls.model_validate(known | _listed(record, details) | others)


def _photograph(record: Record) -> dict[str, object]:
    return {
        "id": record.id,
        "uri": str(record.path),
        "name": record.name,
        "width": record.width,
        "height": record.height,
        "format": record.format,
        "bytes": record.size,
        "links": Links.of(record),
    }


def _listed(record: Record, details: Details) -> dict[str, object]:
    metadata, place = details.metadata, place_names(details)
    location = {name: getattr(metadata, name) for name in LocationOut.model_fields}
    is_located = all(_finite(location[name]) is not None for name in ("latitude", "longitude"))
    return _photograph(record) | {
        "taken_at": taken_at_text(metadata),
        "camera": metadata.camera,
        "lens": metadata.lens,
        "place": place._asdict() if any(place) else None,
        "location": location if is_located else None,
        "keywords": list(metadata.keywords),
    }


def _orientation(width: int, height: int) -> Orientation:
    if width == height:
        return "square"
    return "landscape" if width > height else "portrait"


def _files(record: Record, details: Details) -> list[FileOut]:
    own = FileOut(name=record.name, role="photograph", uri=str(record.path), bytes=record.size)
    others = [
        FileOut(name=each.name, role=each.role, uri=str(record.path.parent / each.name), bytes=each.size)
        for each in details.companions
    ]
    return [own, *others]
