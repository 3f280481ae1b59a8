"""The gazetteer: towns, regions and countries with their English and Russian names, read from `places.npz`."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import cache, cached_property
from operator import index
from pathlib import Path
from typing import Literal, NamedTuple, SupportsIndex

import numpy as np

from service.types import AnyArray, Float64Array, Int64Array

Language = Literal["en", "ru"]
TABLE = Path(__file__).parent / "places.npz"


class Name(NamedTuple):
    """A name in both languages; the Russian one is the English one where none is known."""

    en: str
    ru: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a photograph was taken. Of land far from any town only the country is known.

    Attributes:
        id: the GeoNames id of the town, or of the country where there is no town; never changes.
        country_code: ISO 3166-1, two letters.
    """

    id: int
    town: Name | None
    region: Name | None
    country: Name
    country_code: str

    def names(self, language: Language = "en") -> tuple[str, ...]:
        """Town, region and country, without those that are unknown or repeat the one before ("Moscow", "Russia")."""
        known = [getattr(name, language) for name in (self.town, self.region, self.country) if name is not None]
        return tuple(dict.fromkeys(known))


class Country(NamedTuple):
    """A country: GeoNames id, ISO code and name."""

    id: int
    code: str
    name: Name


class Gazetteer:
    """The table of places; each part of it is read from the file when it is first used.

    Rows are points in the order of the search tree. A district of a city is a row with the city's id and no name.
    """

    def __init__(self, path: Path = TABLE) -> None:
        self._path = path

    def read(self, member: str) -> AnyArray:
        """One array of the file."""
        with np.load(self._path, allow_pickle=False) as file:
            array: AnyArray = file[member]
        return array

    def numbers(self, member: str) -> AnyArray:
        """One array of 32-bit integers, shape (n,); the file has their bytes apart, which compress better so."""
        return np.ascontiguousarray(self.read(member).T).view("<i4").reshape(-1)

    def text(self, member: str) -> bytes:
        """One array of bytes of the file, which is UTF-8."""
        return self.read(member).tobytes()

    @cached_property
    def ids(self) -> Int64Array:
        """GeoNames id of each row's town, shape (rows,)."""
        return self.numbers("ids").astype(np.int64)

    @property
    def degrees(self) -> Float64Array:
        """Latitude and longitude of each row, shape (rows, 2)."""
        return np.stack([self.numbers("latitude"), self.numbers("longitude")], axis=1) / 1000

    @cached_property
    def region_of(self) -> AnyArray:
        """Region of each row, shape (rows,), an index of `regions`."""
        return self.read("region")

    @cached_property
    def radii(self) -> AnyArray:
        """Radius of the circle that each row's town covers, shape (rows,), in hectometres."""
        return self.read("radii")

    @cached_property
    def countries(self) -> list[Country]:
        """All countries."""
        lines = [line.split("\t") for line in self.text("countries").decode().splitlines()]
        return [Country(int(number), code, Name(en, ru or en)) for number, code, en, ru in lines]

    @cached_property
    def country_rows(self) -> dict[int, int]:
        """Indexes of `countries` by GeoNames id."""
        return {country.id: row for row, country in enumerate(self.countries)}

    @cached_property
    def regions(self) -> list[tuple[int, Name | None]]:
        """Country, an index of `countries`, and name of each region; None for towns that belong to no region."""
        lines = [line.split("\t") for line in self.text("regions").decode().splitlines()]
        return [(int(country), Name(en, ru or en) if en else None) for country, en, ru in lines]

    @cached_property
    def region_countries(self) -> Int64Array:
        """Country of each region, shape (regions,), an index of `countries`."""
        return np.array([country for country, _ in self.regions], dtype=np.int64)

    @cached_property
    def _names(self) -> tuple[bytes, AnyArray]:
        text = self.text("names")
        return text, np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord("\n"))

    @cached_property
    def _by_id(self) -> tuple[Int64Array, Int64Array]:
        named = np.flatnonzero(self.read("named"))
        order = named[np.argsort(self.ids[named])]
        return self.ids[order], order

    def place(self, place_id: int) -> Place | None:
        """The place with a GeoNames id; None where the table has none."""
        if place_id in self.country_rows:
            country = self.countries[self.country_rows[place_id]]
            return Place(place_id, None, None, country.name, country.code)
        ids, rows = self._by_id
        at = bisect_left(ids, place_id)
        if at == len(ids) or ids[at] != place_id:
            return None
        row = int(rows[at])
        number, region = self.regions[int(self.region_of[row])]
        country = self.countries[number]
        return Place(place_id, self._town(row), region, country.name, country.code)

    def _town(self, row: int) -> Name:
        text, ends = self._names
        start = int(ends[row - 1]) + 1 if row else 0
        en, _, ru = text[start : int(ends[row])].decode().partition("\t")
        return Name(en, ru or en)


@cache
def gazetteer() -> Gazetteer:
    """The gazetteer that comes with smysl."""
    return Gazetteer()


def place_named(place_id: SupportsIndex) -> Place | None:
    """The place with an id that `places_of` gave; None for 0 and for ids that are not in the table."""
    return gazetteer().place(index(place_id))
