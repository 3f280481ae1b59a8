"""How many photographs there are of each year, camera, place and so on, among those that filters leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.index.attributes.columns import (
    ORIENTATIONS,
    UNKNOWN_STARS,
    Attributes,
    Folder,
    Place,
    Places,
    Postings,
    WrittenPlace,
)
from service.index.attributes.conditions import conjunction, has_place, masks_of
from service.store.filters import Filters
from service.types import AnyArray, BoolArray, Int64Array

_EPOCH_YEAR = 1970


@dataclass(frozen=True, slots=True)
class FacetCount:
    """A value of a facet, and how many photographs have it."""

    value: str | int | bool
    count: int


@dataclass(frozen=True, slots=True)
class Facets:
    """Counts of the photographs that filters leave; a facet counts as if no filter were set on it.

    Keywords and people are counted with their own filters, since a photograph may have several.

    Attributes:
        photographs: how many photographs all filters leave.
        counts: values with at least one photograph, by facet: "year" and "month" (such as "2019-07"), newest first and
            complete; "stars", most first; the others by falling count, at most so many as were asked for: "camera",
            "lens", "country", "region", "town", "folder" (the first two levels below each root), "keyword", "person",
            "label", "format", "orientation", "is_raw", "has_place".
    """

    photographs: int
    counts: Mapping[str, tuple[FacetCount, ...]]


def count_facets(attributes: Attributes, filters: Filters, places: Places, most: int) -> Facets:
    """Counts of each facet, at most `most` values of those that have any number of them."""
    counter = _FacetCounter(attributes, masks_of(attributes, filters, places), most)
    year_and_month = counter.months()
    counts = {
        "year": year_and_month[0],
        "month": year_and_month[1],
        **{name: counter.names(name) for name in ("camera", "lens", "label", "format")},
        **counter.places(places),
        "folder": counter.folders(),
        "keyword": counter.posted(attributes.keywords),
        "person": counter.posted(attributes.people),
        "stars": counter.stars(),
        "orientation": counter.orientations(),
        "is_raw": counter.flag("is_raw", attributes.is_raw),
        "has_place": counter.flag("has_place", attributes.derive("has_place", lambda: has_place(attributes))),
    }
    return Facets(counter.total, counts)


class _FacetCounter:
    """Counts one snapshot under `masks` by group of conditions."""

    def __init__(self, attributes: Attributes, masks: Mapping[str, BoolArray], most: int) -> None:
        self._attributes = attributes
        self._masks = masks
        self._most = most
        self._mask = conjunction(masks.values(), len(attributes))
        self._positions = np.flatnonzero(self._mask) if masks else None

    @property
    def total(self) -> int:
        """How many photographs pass all masks."""
        return len(self._attributes) if self._positions is None else len(self._positions)

    def months(self) -> tuple[tuple[FacetCount, ...], tuple[FacetCount, ...]]:
        """Years, and months, newest first."""
        day, month = (self._passing("taken", column) for column in (self._attributes.day, self._attributes.month))
        month = month[day > 0]
        if not len(month):
            return (), ()
        first = int(month.min()) // 12 * 12
        counts = np.bincount(month - first)
        counts = np.pad(counts, (0, -len(counts) % 12))
        year = _EPOCH_YEAR + first // 12
        by_year = counts.reshape(-1, 12).sum(axis=1)
        return (
            tuple(FacetCount(year + int(at), int(by_year[at])) for at in np.flatnonzero(by_year)[::-1]),
            tuple(
                FacetCount(f"{year + int(at) // 12:04d}-{int(at) % 12 + 1:02d}", int(counts[at]))
                for at in np.flatnonzero(counts)[::-1]
            ),
        )

    def names(self, column: str) -> tuple[FacetCount, ...]:
        """The names of a column of strings."""
        return self._top(self._code_counts(column, column)[1:], self._attributes.names[column][1:])

    def places(self, places: Places) -> dict[str, tuple[FacetCount, ...]]:
        """Countries, regions and towns."""
        counts = self._code_counts("place", "place")
        levels = self._attributes.derive("places", lambda: _place_levels(self._attributes.names["place"][1:], places))
        return {name: self._grouped(counts[1:], *level) for name, level in zip(Place._fields, levels, strict=True)}

    def folders(self) -> tuple[FacetCount, ...]:
        """Folders of the first two levels below each root, with all photographs below them."""
        counts = self._code_counts("folder", "folder")
        levels = self._attributes.derive("folders", lambda: _folder_levels(self._attributes.names["folder"][1:]))
        both = [each for level in levels for each in self._grouped(counts[1:], *level)]
        return tuple(sorted(both, key=_by_count)[: self._most])

    def posted(self, postings: Postings) -> tuple[FacetCount, ...]:
        """Keywords or people."""
        if self._positions is None:
            return self._top(postings.counts, postings.names)
        before = np.concatenate([[0], np.cumsum(self._mask[postings.positions], dtype=np.int64)])
        return self._top(np.diff(before[postings.starts]), postings.names)

    def stars(self) -> tuple[FacetCount, ...]:
        """Numbers of stars, most first."""
        counts = np.bincount(self._passing("min_stars", self._attributes.stars).astype(np.int64) - UNKNOWN_STARS)
        known = np.flatnonzero(counts[1:])[::-1] + 1
        return tuple(FacetCount(int(at) + UNKNOWN_STARS, int(counts[at])) for at in known)

    def orientations(self) -> tuple[FacetCount, ...]:
        """The shapes of photographs."""
        counts = np.bincount(self._passing("orientation", self._attributes.orientation), minlength=len(ORIENTATIONS))
        return self._top(counts, ORIENTATIONS)

    def flag(self, group: str, column: BoolArray) -> tuple[FacetCount, ...]:
        """Of how many photographs a statement is true, and of how many it is not."""
        passing = self._passing(group, column)
        true = int(np.count_nonzero(passing))
        return self._top(np.array([true, len(passing) - true]), (True, False))

    def _passing(self, group: str, column: AnyArray) -> AnyArray:
        """The values of the photographs that pass all masks but that of a group."""
        if group in self._masks:
            others = [mask for name, mask in self._masks.items() if name != group]
            return column[conjunction(others, len(column))] if others else column
        return column if self._positions is None else column[self._positions]

    def _code_counts(self, group: str, column: str) -> Int64Array:
        codes = self._passing(group, self._attributes.codes[column])
        return np.bincount(codes, minlength=len(self._attributes.names[column]))

    def _grouped(self, counts: Int64Array, codes: Int64Array, names: Sequence[str]) -> tuple[FacetCount, ...]:
        """Counts of the groups that values belong to; code 0 is no group."""
        sums = np.bincount(codes, counts, minlength=len(names)) if len(codes) else np.zeros(len(names))
        return self._top(sums[1:], names[1:])

    def _top(self, counts: AnyArray, names: Sequence[Any]) -> tuple[FacetCount, ...]:
        """The names with the highest counts, in falling order; of equal counts by name."""
        chosen = np.flatnonzero(counts)
        if len(chosen) > self._most:
            least = np.partition(counts[chosen], -self._most)[-self._most]
            chosen = chosen[counts[chosen] >= least]
        found = [FacetCount(names[int(at)], int(counts[at])) for at in chosen]
        return tuple(sorted(found, key=_by_count)[: self._most])


def _by_count(each: FacetCount) -> tuple[int, str]:
    return -each.count, str(each.value)


def _place_levels(written: Sequence[WrittenPlace], places: Places) -> list[tuple[Int64Array, list[str]]]:
    """For country, region and town: the group of each place, and the groups' names.

    Names that the file says count, and only without any those of the nearest town.
    """
    names = [
        each if each.country or each.region or each.town or each.town_id is None else places.name(each.town_id)
        for each in written
    ]
    return [_groups([getattr(each, level, None) for each in names]) for level in Place._fields]


def _folder_levels(folders: Sequence[Folder]) -> list[tuple[Int64Array, list[str]]]:
    """For the first and the second level below a root: the group of each folder, and the groups' names."""
    parts = [folder.path.split("/") if folder.path else [] for folder in folders]
    return [_groups(["/".join(part[:depth]) if len(part) >= depth else None for part in parts]) for depth in (1, 2)]


def _groups(names: Sequence[str | None]) -> tuple[Int64Array, list[str]]:
    """The group of each name, 0 for None, and the names of the groups."""
    groups: dict[str | None, int] = {None: 0}
    codes = np.array([groups.setdefault(name, len(groups)) for name in names], np.int64)
    return codes, ["", *(name for name in groups if name is not None)]
