"""Measures the table of places: size, speed, coverage, and how often its Russian names are right."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from data.places.regions import match_regions, name_regions
from data.places.russian import RussianNames, russian_candidates
from data.places.sources import Sources
from service.photos.places import find_places, place_named, places_of
from service.photos.places.gazetteer import TABLE, Gazetteer
from service.photos.places.nearest import Tree

_POPULATIONS = (500, 5_000, 15_000, 100_000, 500_000)
_POINTS = 1_000_000


def check(sources: Sources) -> Iterator[str]:
    """Lines of figures."""
    yield from _size()
    yield from _speed()
    yield from _coverage(sources)
    yield from _russian(sources)
    yield from _regions(sources)


def _size() -> Iterator[str]:
    table = Gazetteer()
    towns = int(table.read("named").sum())
    yield f"{TABLE.name}: {TABLE.stat().st_size / 1e6:.2f} MB"
    yield (
        f"{towns:,} towns, {len(table.ids) - towns:,} parts of them, {len(table.regions):,} regions, "
        f"{len(table.countries)} countries, {len(table.read('key_counts')):,} names to find them by"
    )


def _speed() -> Iterator[str]:
    def load() -> Gazetteer:
        table = Gazetteer()
        Tree(table)
        table.place(2950159)
        return table

    yield f"load: {_milliseconds(load):.0f} ms"
    table = load()
    random = np.random.default_rng(0)
    degrees = table.degrees
    spots = degrees[random.integers(0, len(degrees), 3000)]
    library = spots[random.integers(0, len(spots), _POINTS)] + random.normal(0, 0.015, (_POINTS, 2))
    everywhere = np.stack(
        [np.degrees(np.arcsin(random.uniform(-1, 1, _POINTS))), random.uniform(-180, 180, _POINTS)], axis=1
    )
    yield f"one position: {_milliseconds(lambda: places_of(library[:1]), 20):.2f} ms"
    yield f"a million positions in 3,000 spots: {_milliseconds(lambda: places_of(library), 1) / 1000:.1f} s"
    yield f"a million positions all over the earth: {_milliseconds(lambda: places_of(everywhere), 1) / 1000:.1f} s"
    names = ("Париже", "Bavaria", "Germany", "USA", "no such place")
    slowest = max((_milliseconds(lambda name=name: find_places(name), 20), name) for name in names)  # type: ignore[misc]
    yield f"the slowest of {len(names)} names to find: {slowest[0]:.1f} ms ({slowest[1]})"


def _coverage(sources: Sources) -> Iterator[str]:
    for population in _POPULATIONS:
        towns = [place_named(town.id) for town in sources.towns if town.population >= population]
        names = [place.town for place in towns if place and place.town]
        russian = sum(name.ru != name.en for name in names)
        yield f"towns from {population:,} inhabitants with a Russian name: {_share(russian, len(names))}"


def _russian(sources: Sources) -> Iterator[str]:
    names = RussianNames(sources)
    ranked = [(town, right, russian_candidates(town)) for town, right in names.zone_cities]
    ranked = [each for each in ranked if each[2]]
    right = sum(names.rank(town) == name for town, name, _ in ranked)
    several = [each for each in ranked if len(each[2]) > 1]
    right_of_several = sum(names.rank(town) == name for town, name, _ in several)
    yield f"cities of CLDR's time zones for which the ranking chooses CLDR's Russian name: {_share(right, len(ranked))}"
    yield f"of these, with several candidates: {_share(right_of_several, len(several))}"


def _regions(sources: Sources) -> Iterator[str]:
    matches, regions = match_regions(sources), name_regions(sources)
    towns = Counter(town.region for town in sources.towns)
    named = {code for code, region in regions.items() if region.ru}
    yield f"regions found in CLDR: {_share(len(matches), len(regions))}"
    yield f"towns whose region has a Russian name: {_share(sum(towns[code] for code in named), len(sources.towns))}"


def _share(some: int, all_: int) -> str:
    return f"{some / all_:.1%} ({some:,} of {all_:,})"


def _milliseconds(work: Callable[[], Any], times: int = 5) -> float:
    """The least time of several runs."""
    least = np.inf
    for _ in range(times):
        start = time.perf_counter()
        work()
        least = min(least, time.perf_counter() - start)
    return least * 1000
