"""Typed rows of the catalog: what is written to it and read from it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Literal

from service.store.metadata import Metadata
from service.types import Float16Array


@dataclass(frozen=True, slots=True)
class RootOptions:
    """How a root is walked: patterns that are left out, in gitignore's syntax, links, and the least size of a file."""

    exclude: tuple[str, ...] = ()
    follow_links: bool = False
    min_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Root:
    """A folder that was given to the library to index; `path` is absolute and resolved."""

    id: int
    path: Path
    options: RootOptions = RootOptions()


CompanionRole = Literal["raw", "motion", "sidecar", "takeout"]
"""What a file is to its photograph: RAW of a JPEG, film of a Live Photo, XMP sidecar, JSON of Google Takeout."""


@dataclass(frozen=True, slots=True)
class Companion:
    """A file in the same folder that belongs to a photograph, as it was when last read."""

    name: str
    role: CompanionRole
    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A photograph's file as it was when last indexed, to be compared with the file on the disk.

    Attributes:
        id: of the photograph.
        size: bytes.
        modified_ns: modification time.
        complete: the photograph has a vector of each requested fingerprint.
        changed_ns: time of the last change of the file's inode, where it is known.
        read_with: the version of the reader that read it (`READER_VERSION` of `service.store.catalog`).
        companions: the files that belong to it.
    """

    id: int
    size: int
    modified_ns: int
    complete: bool
    changed_ns: int | None = None
    read_with: int = 0
    companions: tuple[Companion, ...] = ()


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file's location, size in bytes, and times; `folder` is relative to its root, "" for the root itself.

    `changed_ns` is when its inode changed last, which an edit cannot set back as it can the modification time.
    """

    root_id: int
    folder: str
    name: str
    size: int
    modified_ns: int
    changed_ns: int | None = None

    @classmethod
    def of(cls, root_id: int, folder: str, name: str, stat: os.stat_result) -> FileInfo:
        """From what the system says about a file."""
        return cls(root_id, folder, name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@dataclass(frozen=True, slots=True)
class PhotographFacts:
    """A photograph's file, hashes, size in pixels and format.

    Attributes:
        file: where it is.
        content_hash: XXH3, 128 bits, of the file.
        width, height: pixels of the upright photograph.
        format: of the file, such as "JPEG".
        image_hash: the same hash of the image data without metadata, where the format is known.
        warning: what was wrong with the file though it could be read, or None.
    """

    file: FileInfo
    content_hash: bytes
    width: int
    height: int
    format: str
    image_hash: bytes | None = None
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class Details:
    """What a photograph's files say about it, the files that belong to it, and the id of the nearest town."""

    metadata: Metadata = field(default_factory=Metadata)
    companions: tuple[Companion, ...] = ()
    town_id: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A photograph to be written to the catalog.

    Attributes:
        facts: about its file.
        vectors: by fingerprint, (dimension,) float16: an encoder's embedding, which has unit length, and its pooled
            features.
        thumbnail: a small JPEG.
        id: of the row that it replaces or of the removed photograph that comes back; None for a new one.
        preview: a larger JPEG, where the photograph is larger than its thumbnail.
        details: its metadata and companions.
        same_image: the pixels are those that the vectors in the catalog were made from, though the file differs.
    """

    facts: PhotographFacts
    vectors: Mapping[str, Float16Array]
    thumbnail: bytes
    id: int | None = None
    preview: bytes | None = None
    details: Details = Details()
    same_image: bool = False


@dataclass(frozen=True, slots=True)
class FileUpdate:
    """What has changed of a photograph whose pixels have not: where its file is, and what was read from it.

    The hashes are those of `PhotographFacts`.
    """

    id: int
    file: FileInfo
    content_hash: bytes
    image_hash: bytes | None
    details: Details


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A photograph that was taken out of the library: what people gave it is kept under its id.

    `path` is where its file was, `removed_at` when it was taken out (UTC).
    """

    id: int
    path: str
    removed_at: datetime


@dataclass(frozen=True, slots=True)
class Record:
    """A photograph as read from the catalog; `root` is the path of its root, `folder` is relative to it.

    `content_hash` is that of the file, `warning` what was wrong with it though it could be read, and `read_with` the
    version of the reader that read it.
    """

    id: int
    root: Path
    folder: str
    name: str
    size: int
    modified_ns: int
    width: int
    height: int
    format: str
    content_hash: bytes = b""
    warning: str | None = None
    read_with: int = 0

    @property
    def relative(self) -> str:
        """Path below the root, with forward slashes."""
        return str(PurePosixPath(self.folder) / self.name)

    @property
    def path(self) -> Path:
        """Absolute path of the file."""
        return self.root / self.folder / self.name


Scale = Literal["expert", "crowd"]
"""The scale of a rating: a grade from 1 to 4, or yes or no."""


@dataclass(frozen=True, slots=True)
class Rating:
    """One person's judgement of how well a text describes a photograph.

    `value` on the scale "expert" is 1 (does not describe the photograph), 2 (minor parts of it), 3 (almost, with
    small mistakes) or 4 (describes it); on the scale "crowd" it is 1 for yes and 0 for no. `time` is UTC, in whole
    seconds.
    """

    photograph_id: int
    text: str
    scale: Scale
    value: int
    rater: str
    time: datetime

    @property
    def grade(self) -> int | None:
        """The grade, 1 to 4; None for a yes or no."""
        return self.value if self.scale == "expert" else None

    @property
    def fits(self) -> bool | None:
        """Yes or no; None for a grade."""
        return bool(self.value) if self.scale == "crowd" else None
