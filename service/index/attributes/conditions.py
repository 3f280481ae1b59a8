"""Which photographs fulfil filters: one mask for each group of conditions, computed on columns and dictionaries.

A condition on names is decided once for each name of a dictionary, and looked up for each photograph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, time
from functools import reduce

import numpy as np

from service.index.attributes.columns import ORIENTATIONS, UNKNOWN_STARS, UNKNOWN_TIME, Attributes, Places, Postings
from service.store.filters import Filters, Near
from service.texts import fold
from service.types import BoolArray

_EARTH_KM = 6371.0088
"""Mean radius of the earth (IUGG)."""
_DAY_S = 86_400
_FORMAT_ALIASES = {
    "jpg": "jpeg",
    "tif": "tiff",
    "heic": "heif",
    "jxl": "jpeg xl",
    "mpo": "jpeg",
}
"""Other names of formats: file extensions, and MPO, which is a JPEG with more pictures behind the first."""
RAW_FORMAT = "raw"
"""The name of all RAW formats together."""


def masks_of(attributes: Attributes, filters: Filters, places: Places) -> dict[str, BoolArray]:
    """For each group of conditions that is set, which photographs (n,) fulfil it.

    The groups: "taken" (days, month and day), "place" (names and distance), and the fields of `Filters` by themselves.
    """
    masks: dict[str, BoolArray] = {}

    def require(group: str, mask: BoolArray) -> None:
        masks[group] = mask if group not in masks else masks[group] & mask

    for group, mask in _conditions(attributes, filters, places):
        require(group, mask)
    return masks


def conjunction(masks: Iterable[BoolArray], count: int) -> BoolArray:
    """Which of `count` photographs pass all masks."""
    all_of_them = [*masks]
    return reduce(np.logical_and, all_of_them) if all_of_them else np.ones(count, np.bool_)


def _conditions(attributes: Attributes, filters: Filters, places: Places) -> Iterable[tuple[str, BoolArray]]:
    yield from _dates(attributes, filters)
    yield from _names(attributes, filters)
    yield from _words(attributes, filters)
    yield from _places(attributes, filters, places)
    yield from _facts(attributes, filters)


def _names(attributes: Attributes, filters: Filters) -> Iterable[tuple[str, BoolArray]]:
    """Conditions on names of which a photograph has one."""
    for name, wanted in (("camera", filters.camera), ("lens", filters.lens)):
        if wanted:
            yield name, _coded(attributes, name, _contains([fold(each) for each in wanted]))
    if filters.label:
        yield "label", _coded(attributes, "label", {fold(each) for each in filters.label}.__contains__)
    if filters.format:
        yield "format", _formats(attributes, filters.format)
    if filters.folder:
        paths = [f"/{fold(each).replace(chr(92), '/').strip('/')}/" for each in filters.folder]
        yield "folder", _coded(attributes, "folder", _contains(paths))


def _words(attributes: Attributes, filters: Filters) -> Iterable[tuple[str, BoolArray]]:
    """Conditions on names of which a photograph may have several."""
    keywords, people = attributes.keywords, attributes.people
    for word in filters.keyword:
        path = f"/{fold(word).strip('/')}/"
        yield "keyword", _posted(attributes, keywords, [path in each for each in keywords.paths])
    for person in filters.person:
        name = fold(person)
        yield "person", _posted(attributes, people, [name == each for each in people.folded])


def _facts(attributes: Attributes, filters: Filters) -> Iterable[tuple[str, BoolArray]]:
    """Conditions on numbers, and on what is true or not."""
    if filters.focal_length is not None:
        least, most = np.array(filters.focal_length, np.float32)
        yield "focal_length", (attributes.focal_length >= least) & (attributes.focal_length <= most)
    if filters.min_stars is not None:
        yield "min_stars", (attributes.stars >= filters.min_stars) & (attributes.stars != UNKNOWN_STARS)
    if filters.is_raw is not None:
        yield "is_raw", attributes.is_raw == filters.is_raw
    if filters.orientation is not None:
        yield "orientation", attributes.orientation == ORIENTATIONS.index(filters.orientation)
    if filters.has_place is not None:
        yield "has_place", has_place(attributes) == filters.has_place


def _places(attributes: Attributes, filters: Filters, places: Places) -> Iterable[tuple[str, BoolArray]]:
    """Conditions on where it was taken."""
    if filters.place:
        yield "place", _named_places(attributes, filters.place, places)
    if filters.near is not None:
        yield "place", _near(attributes, filters.near)


def has_place(attributes: Attributes) -> BoolArray:
    """Of which photographs (n,) it is known where they were taken."""
    known: BoolArray = (attributes.codes["place"] != 0) | ~np.isnan(attributes.latitude)
    return known


def _dates(attributes: Attributes, filters: Filters) -> Iterable[tuple[str, BoolArray]]:
    if filters.taken_from is not None:
        yield "taken", attributes.taken_at >= _midnight(filters.taken_from)
    if filters.taken_to is not None:
        earlier = attributes.taken_at < _midnight(filters.taken_to) + _DAY_S
        yield "taken", earlier & (attributes.taken_at != UNKNOWN_TIME)
    if filters.month is not None:
        yield "taken", (attributes.month % 12 == filters.month - 1) & (attributes.day > 0)
    if filters.day is not None:
        yield "taken", attributes.day == filters.day


def _midnight(day: date) -> int:
    return int(datetime.combine(day, time(), UTC).timestamp())


def _coded(attributes: Attributes, column: str, fits: Callable[[str], bool]) -> BoolArray:
    """The photographs whose name in a column fits; what is not known does not."""
    table = np.fromiter(map(fits, attributes.folded(column)), np.bool_)
    table[0] = False
    return table[attributes.codes[column]]


def _formats(attributes: Attributes, wanted: Sequence[str]) -> BoolArray:
    formats = {_format(each) for each in wanted}
    mask = _coded(attributes, "format", lambda known: _format(known) in formats)
    return mask | attributes.is_raw if RAW_FORMAT in formats else mask


def _format(name: str) -> str:
    name = fold(name).strip().removeprefix(".")
    return _FORMAT_ALIASES.get(name, name)


def _posted(attributes: Attributes, postings: Postings, chosen: Sequence[bool]) -> BoolArray:
    """The photographs that have one of the chosen names."""
    return postings.having(np.array(chosen, np.bool_), len(attributes))


def _contains(parts: Sequence[str]) -> Callable[[str], bool]:
    return lambda name: any(part in name for part in parts)


def _named_places(attributes: Attributes, wanted: Sequence[str], places: Places) -> BoolArray:
    names = {fold(each.strip()) for each in wanted}
    towns = {town for each in wanted for town in places.find(each)}
    fits = [
        place.town_id in towns or any(fold(name) in names for name in (place.country, place.region, place.town) if name)
        for place in attributes.names["place"][1:]
    ]
    return np.array([False, *fits], np.bool_)[attributes.codes["place"]]


def _near(attributes: Attributes, near: Near) -> BoolArray:
    """By the haversine formula in float32, which is right to a metre; NaN is near nothing."""
    latitude, longitude = attributes.latitude, attributes.longitude
    # Without what is too far north or south, which is most, in a millionth of a degree's rounding.
    degrees = np.degrees(near.km / _EARTH_KM) + 1e-4
    mask: BoolArray = np.abs(latitude - np.float32(near.latitude)) <= degrees
    at = np.flatnonzero(mask)
    latitudes = np.radians(latitude[at])
    half_north = np.sin(np.radians(latitude[at] - np.float32(near.latitude)) / 2)
    half_east = np.sin(np.radians(longitude[at] - np.float32(near.longitude)) / 2)
    centre = np.cos(np.float32(np.radians(near.latitude)))
    haversine = half_north**2 + np.cos(latitudes) * centre * half_east**2
    mask[at] = haversine <= np.sin(min(near.km / (2 * _EARTH_KM), np.pi / 2)) ** 2
    return mask
