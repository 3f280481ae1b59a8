"""Photographs of a library with metadata that a test chooses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from service.library import Library
from service.store.metadata import Metadata
from service.store.records import Companion, Details, FileInfo, FileUpdate, Record

METADATA = Metadata(
    taken_at=datetime(2023, 7, 14, 18, 30, 5),
    taken_offset=120,
    taken_source="exif",
    camera="Canon EOS 600D",
    lens="EF 50mm f/1.8 II",
    focal_length=50.0,
    focal_length_35=80.0,
    aperture=2.8,
    exposure=0.004,
    iso=400,
    flash=False,
    latitude=48.8584,
    longitude=2.2945,
    altitude=35.0,
    country="France",
    region="Île-de-France",
    town="Paris",
    title="Under the tower",
    description="A Sunday.",
    creator="Ada",
    copyright="© Ada",
    keywords=("Animals/Dog", "travel"),
    people=("Grace",),
    stars=4,
    label="Red",
    orientation=6,
    motion=2.5,
)


def record_of(library: Library, name: str) -> Record:
    """The photograph with a file of this name."""
    known = library.catalog.files_in(1, "")
    return library.photograph(known[name].id)


def describe(
    library: Library, name: str, metadata: Metadata = METADATA, companions: Sequence[Companion] = ()
) -> Record:
    """Give the photograph with a file of this name metadata and companions."""
    record = record_of(library, name)
    file = FileInfo(1, record.folder, record.name, record.size, record.modified_ns)
    details = Details(metadata, tuple(companions))
    library.catalog.update_files([FileUpdate(record.id, file, record.content_hash, None, details)])
    return record
