"""Filters in words, for a sentence such as "Nothing taken in 2019 in the folder Trip"."""

from __future__ import annotations

from collections.abc import Iterator

from service.search.chips import Chip
from service.search.periods import Period, shortest_end, shortest_start
from service.store.filters import Filters


def describe_filters(filters: Filters) -> str:
    """What all photographs are that pass, such as "taken in 2019 with the camera canon"; "" without filters."""
    return " ".join([*_dates(filters), *_places(filters), *_names(filters), *_facts(filters)])


def _dates(filters: Filters) -> Iterator[str]:
    first, last = filters.taken_from, filters.taken_to
    if first is not None and last is not None:
        yield Chip("taken", str(Period(first, last)), "").label
    elif first is not None:
        yield Chip("taken_from", shortest_start(first), "").label
    elif last is not None:
        yield Chip("taken_to", shortest_end(last), "").label
    if filters.day is not None:
        month = "" if filters.month is None else f"{filters.month:02d}-"
        yield Chip("day", f"{month}{filters.day:02d}", "").label
    elif filters.month is not None:
        yield Chip("month", str(filters.month), "").label


def _places(filters: Filters) -> Iterator[str]:
    if filters.place:
        yield Chip("place", " or ".join(filters.place), "").label
    if filters.near is not None:
        near = filters.near
        yield Chip("near", f"{near.latitude:g},{near.longitude:g},{near.km:g}", "").label
    if filters.folder:
        yield f"in the folder {' or '.join(filters.folder)}"
    if filters.has_place is not None:
        yield "with a place" if filters.has_place else "without a place"


def _names(filters: Filters) -> Iterator[str]:
    if filters.person:
        yield f"with {' and '.join(filters.person)}"
    for name in ("camera", "lens", "label", "format"):
        if values := getattr(filters, name):
            yield f"with the {name} {' or '.join(values)}"
    if filters.keyword:
        yield f"with the {'keyword' if len(filters.keyword) == 1 else 'keywords'} {' and '.join(filters.keyword)}"


def _facts(filters: Filters) -> Iterator[str]:
    if filters.focal_length is not None:
        least, most = filters.focal_length
        # One length is given a millimetre around it.
        yield f"with {(least + most) / 2:g} mm" if most - least <= 1 else f"with {least:g} to {most:g} mm"
    if filters.min_stars is not None:
        yield f"with {Chip('min_stars', str(filters.min_stars), '').label}"
    if filters.is_raw is not None:
        yield "that are RAW" if filters.is_raw else "that are not RAW"
    if filters.orientation is not None:
        yield f"in {filters.orientation} format" if filters.orientation != "square" else "that are square"
