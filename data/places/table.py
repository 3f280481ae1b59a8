"""Puts the table of places together and writes `places.npz`."""

from __future__ import annotations

import io
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data.places.land import draw_land
from data.places.ordinary import is_ordinary
from data.places.prepositional import prepositional
from data.places.regions import Named, name_countries, name_regions
from data.places.russian import RussianNames, russian_candidates
from data.places.sources import Sources, Town
from data.places.towns import lay_out
from service.photos.places.names import fold
from service.store.atomic import replacing
from service.types import AnyArray

ABOUT = (
    "Towns, regions and countries: GeoNames (https://www.geonames.org), CC BY 4.0, changed: selected, joined and "
    "renamed. Names in Russian and other languages: Unicode CLDR 48, Unicode License V3. Outlines of countries: "
    "Natural Earth, public domain. See LICENCES.md."
)
_ALTERNATES_POPULATION = 20_000
_ENGLISH = {
    264371: "Athens", 734077: "Thessaloniki", 2510911: "Seville", 2624652: "Aarhus", 2657896: "Zurich",
    2797656: "Ghent", 2800931: "Bruges", 2886242: "Cologne", 3094802: "Krakow", 3104499: "Vitoria-Gasteiz",
    3110044: "San Sebastián", 515012: "Oryol", 6077243: "Montreal", 6325494: "Quebec City",
}  # fmt: skip
"""English names of towns for which GeoNames shows the local one."""


def build(sources: Sources) -> dict[str, AnyArray]:
    """All arrays of the table."""
    russian = RussianNames(sources)
    layout = lay_out(sources.towns)
    countries, regions = name_countries(sources), name_regions(sources)
    codes = list(countries)
    ids = {code: sources.countries[code]["geonameid"] for code in codes}
    # Some towns have a code of a region that GeoNames does not name.
    for town in layout.towns:
        regions.setdefault(town.region, Named("", ""))
    rows = {code: row for row, code in enumerate(regions)}
    owned = layout.owners == np.arange(len(layout.towns))
    named = [_name(town, russian) if own else Named("", "") for town, own in zip(layout.towns, owned, strict=True)]
    return {
        "about": np.array(ABOUT),
        "ids": _planes([layout.towns[owner].id for owner in layout.owners]),
        "named": owned,
        "latitude": _planes([round(town.latitude * 1000) for town in layout.towns]),
        "longitude": _planes([round(town.longitude * 1000) for town in layout.towns]),
        "radii": np.round(layout.radii * 10).astype(np.uint8),
        "region": np.array([rows[layout.towns[owner].region] for owner in layout.owners], dtype=np.uint16),
        "names": _lines([each.en if not each.ru else f"{each.en}\t{each.ru}" for each in named]),
        "regions": _lines([f"{codes.index(code[:2])}\t{each.en}\t{each.ru}" for code, each in regions.items()]),
        "countries": _lines([f"{ids[code]}\t{code}\t{each.en}\t{each.ru}" for code, each in countries.items()]),
        "land": draw_land(sources, codes),
        **_keys([*named, *regions.values(), *countries.values()]),
    }


def write(table: dict[str, AnyArray], path: Path) -> None:
    """Write the table, byte for byte the same on every run; `numpy.savez_compressed` would compress it less."""
    with replacing(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        file.comment = ABOUT.encode()
        for name, array in table.items():
            data = io.BytesIO()
            np.lib.format.write_array(data, array, allow_pickle=False)
            file.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), data.getvalue(), zipfile.ZIP_DEFLATED)


def _name(town: Town, russian: RussianNames) -> Named:
    english = _ENGLISH.get(town.id) or (town.name.replace("’", "") if town.country in ("RU", "UA", "BY") else town.name)
    shown = russian.choose(town) or ""
    keys = {english, town.name, shown}
    if town.population >= _ALTERNATES_POPULATION:
        keys.update(_written_alternates(town))
    return Named(english, shown if shown != english else "", keys)


def _written_alternates(town: Town) -> Iterator[str]:
    """Alternate names that people write in Latin or Russian letters: no codes of airports and no transcriptions.

    GeoNames' transcriptions from other scripts begin with a small letter.
    """
    yield from russian_candidates(town)
    for name in town.alternates:
        if len(name) > 2 and name[0].isupper() and not name.isupper() and fold(name).isascii():
            yield name


def _keys(named: list[Named]) -> dict[str, AnyArray]:
    """The sorted folded names, and the numbers of what has each."""
    numbers: dict[str, set[int]] = defaultdict(set)
    for number, each in enumerate(named):
        for key in each.keys:
            numbers[fold(key)].add(number)
            for form in prepositional(key):
                numbers[fold(form)].add(number)
    keys = sorted((key for key in numbers if key), key=str.encode)
    return {
        "keys": _lines(keys),
        "key_counts": np.array([len(numbers[key]) for key in keys], dtype=np.uint16),
        "key_ordinary": np.array([is_ordinary(key) for key in keys]),
        "key_places": _planes([number for key in keys for number in sorted(numbers[key])]),
    }


def _lines(lines: list[str]) -> AnyArray:
    return np.frombuffer("".join(f"{line}\n" for line in lines).encode(), dtype=np.uint8)


def _planes(numbers: list[int]) -> AnyArray:
    """The bytes of 32-bit integers, shape (4, n), all first bytes first."""
    return np.array(numbers, dtype="<i4").view(np.uint8).reshape(-1, 4).T.copy()
