"""Typed rows of the catalog: what is written to it and read from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Literal

from service.types import Float16Array


@dataclass(frozen=True, slots=True)
class Root:
    """A folder that was given to the library to index; `path` is absolute and resolved."""

    id: int
    path: Path


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A photograph's file as it was when last indexed, to be compared with the file on the disk.

    `complete`: the photograph has a vector of each requested fingerprint.
    """

    id: int
    size: int
    modified_ns: int
    complete: bool


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file's location, size in bytes and modification time; `folder` is relative to its root, "" for the root."""

    root_id: int
    folder: str
    name: str
    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class PhotographFacts:
    """A photograph's file, content hash (XXH3, 128 bits, of the file), size in pixels and format."""

    file: FileInfo
    content_hash: bytes
    width: int
    height: int
    format: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A photograph to be written to the catalog; `id` is that of the row it replaces, None for a new one.

    `vectors` maps a fingerprint to a vector (dimension,) float16: an encoder's embedding, which has unit length, and
    its pooled features. `thumbnail` is a JPEG.
    """

    facts: PhotographFacts
    vectors: Mapping[str, Float16Array]
    thumbnail: bytes
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A photograph as read from the catalog; `root` is the path of its root, `folder` is relative to it."""

    id: int
    root: Path
    folder: str
    name: str
    size: int
    modified_ns: int
    width: int
    height: int
    format: str

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
