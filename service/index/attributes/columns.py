"""The attributes of all photographs as columns, at one generation of the catalog (a dictionary-coded column store).

A position is the place of a photograph in the columns, which are in the order of its ids. Names are kept once, in
dictionaries; a column holds their codes. Code 0 is what is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from service.texts import fold
from service.types import AnyArray, BoolArray, Float32Array, Int8Array, Int32Array, Int64Array

T = TypeVar("T")

UNKNOWN_TIME = np.iinfo(np.int64).min
UNKNOWN_STARS = np.iinfo(np.int8).min
SQUARE, LANDSCAPE, PORTRAIT = 0, 1, 2
ORIENTATIONS = ("square", "landscape", "portrait")
"""Names of the codes of `orientation`."""


class Folder(NamedTuple):
    """A folder: path of its root, and its path below that, with forward slashes."""

    root: str
    path: str


class Place(NamedTuple):
    """Names of a place on three levels."""

    country: str | None
    region: str | None
    town: str | None


class Places(Protocol):
    """What is known of places beyond the photographs' files."""

    def find(self, name: str) -> Collection[int]:
        """The GeoNames ids of the towns that are, or lie in, the town, region or country of this name."""

    def name(self, town_id: int) -> Place | None:
        """The names of a town and of what it lies in."""


class WrittenPlace(NamedTuple):
    """Where a photograph was taken: the GeoNames id of the nearest town, and names that its file says."""

    town_id: int | None
    country: str | None
    region: str | None
    town: str | None


_FEW_NAMES = 100
"""Names of which the photographs are looked up one after the other."""
CODED = ("camera", "lens", "label", "format", "folder", "place")
"""Columns of codes. Their dictionaries hold strings, but those of "folder" `Folder` and of "place" `WrittenPlace`."""


@dataclass(frozen=True, eq=False)
class Postings:
    """Names of which a photograph may have several: for each name the photographs that have it.

    Attributes:
        names: (t,), distinct.
        starts: (t + 1,), where the positions of each name start, and the end of the last.
        positions: (p,), ascending within a name.
    """

    names: tuple[str, ...]
    starts: Int64Array
    positions: Int32Array

    @cached_property
    def folded(self) -> Sequence[str]:
        """The names as they are compared."""
        return _folded(self.names)

    @cached_property
    def paths(self) -> Sequence[str]:
        """The names as they are compared, with a slash before and after each, as a hierarchy has between its parts."""
        return [f"/{name}/" for name in self.folded]

    @cached_property
    def counts(self) -> Int64Array:
        """How many photographs have each name, (t,)."""
        return np.diff(self.starts)

    def having(self, chosen: BoolArray, count: int) -> BoolArray:
        """Which of `count` photographs have one of the `chosen` names (t,)."""
        mask = np.zeros(count, np.bool_)
        codes = np.flatnonzero(chosen)
        if len(codes) <= _FEW_NAMES:
            for code in codes:
                mask[self.positions[self.starts[code] : self.starts[code + 1]]] = True
        else:
            mask[self.positions[np.repeat(chosen, self.counts)]] = True
        return mask


@dataclass(frozen=True, eq=False)
class Attributes:
    """What is known of each of n photographs; immutable, so that threads can read it while the next is made.

    Attributes:
        ids: ascending.
        taken_at: seconds since 1970 on the clock of the place, or UNKNOWN_TIME.
        month: months since January 1970; meaningless where `taken_at` is not known.
        day: of the month, 1 to 31; 0 where it is not known.
        focal_length: millimetres, NaN where it is not known, as are the next two.
        latitude, longitude: degrees.
        stars: -1 to 5, or UNKNOWN_STARS.
        orientation: codes of ORIENTATIONS.
        is_raw: whether it has a RAW file.
        codes: columns of codes, by the names in CODED.
        names: their dictionaries.
        keywords, people: names that photographs have.
        by_date: positions, oldest first, of equal times the lower id first; after them those without a date, by id.
        dated: how many have a date.
        generation: of the catalog.
        stamp: of that generation (`Catalog.stamp`).
    """

    ids: Int64Array
    taken_at: Int64Array
    month: Int32Array
    day: Int8Array
    focal_length: Float32Array
    latitude: Float32Array
    longitude: Float32Array
    stars: Int8Array
    orientation: Int8Array
    is_raw: BoolArray
    codes: Mapping[str, Int32Array]
    names: Mapping[str, tuple[Any, ...]]
    keywords: Postings
    people: Postings
    by_date: Int32Array
    dated: int
    generation: int = 0
    stamp: str | None = ""
    _derived: dict[str, Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    def folded(self, column: str) -> Sequence[str]:
        """The dictionary of a column of strings or folders as its names are compared, "" for code 0.

        A folder is its whole path with a slash before and after it.
        """

        def compute() -> Sequence[str]:
            names = self.names[column][1:]
            if column != "folder":
                return ["", *_folded(names)]
            # Roots on Windows have backslashes.
            return ["", *_folded([f"/{name.root}/{name.path}/".replace("\\", "/") for name in names])]

        return self.derive(f"{column}, folded", compute)

    def derive(self, key: str, compute: Callable[[], T]) -> T:
        """What `compute` returns, which depends on nothing but the snapshot and is kept under a key."""
        if key not in self._derived:
            self._derived[key] = compute()
        value: T = self._derived[key]
        return value

    def columns(self) -> dict[str, AnyArray]:
        """All columns with one number for each photograph, by name."""
        return {name: getattr(self, name) for name in PLAIN} | {name: self.codes[name] for name in CODED}


PLAIN = (
    *("ids", "taken_at", "month", "day", "focal_length", "latitude", "longitude", "stars", "orientation", "is_raw"),
)
"""The columns that are not codes."""


def _folded(names: Sequence[str]) -> Sequence[str]:
    """Names as they are compared; folding them all at once is many times as fast as one by one."""
    return fold("\n".join(name.replace("\n", " ") for name in names)).split("\n") if names else []
