"""What goes into the catalog and what comes out of it, as typed rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Literal

from service.types import Float16Array


@dataclass(frozen=True, slots=True)
class Root:
    """A folder that the library was pointed at; `path` is absolute and resolved."""

    id: int
    path: Path


@dataclass(frozen=True, slots=True)
class Known:
    """What the catalog knows of a file, for the comparison with what is on the disk.

    `complete` says whether the photograph has every vector that was asked for.
    """

    id: int
    size: int
    modified_ns: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file is and how it looks from outside; `folder` is relative to its root, "" for the root."""

    root_id: int
    folder: str
    name: str
    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What the catalog says about a photograph; `content_hash` is XXH3, 128 bits, of the file."""

    place: Place
    content_hash: bytes
    width: int
    height: int
    format: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A photograph ready to be written; `id` is that of the row it replaces, None for a new one.

    `vectors` are (dimension,) float16 of unit length by the fingerprint of what made them: an encoder's own, and
    the features that its tower saw before. `thumbnail` is a JPEG.
    """

    facts: Facts
    vectors: Mapping[str, Float16Array]
    thumbnail: bytes
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A photograph of the catalog."""

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
        """Where the file is."""
        return self.root / self.folder / self.name


Scale = Literal["expert", "crowd"]
"""How a rating is given: a grade from 1 to 4, or yes and no."""


@dataclass(frozen=True, slots=True)
class Rating:
    """What one person said of how well a text fits a photograph.

    `value` is, on the scale "expert", 1 (does not describe the photograph), 2 (minor parts of it), 3 (almost,
    with small mistakes) or 4 (describes it); on the scale "crowd" 1 for yes and 0 for no. `time` is UTC, in
    whole seconds.
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
