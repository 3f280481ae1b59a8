"""Reverse geocoding: which town a position belongs to.

Each town covers a circle that grows with its population. Of the circles that a position lies in the nearest centre
counts: a hamlet near a city does not beat the city around it, and a small town within a city's circle keeps its own.
Outside all circles it is the town whose circle is nearest, up to 50 km. Further out a coarse map gives the country,
and nothing at sea.

The rows of the gazetteer are in the order of a k-d tree: blocks of 16, 128, 1,024 … rows are compact, and their
bounding boxes are the nodes of the tree. It is searched level by level for many positions at once (branch and bound):
first for cells of two kilometres, then for each position among the few rows that can win in its cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from service.photos.places.gazetteer import Gazetteer, Place, gazetteer
from service.types import AnyArray, BoolArray, Float32Array, Float64Array, Int64Array

NOWHERE = 0
"""The id of positions that are at sea, far from any town, and of what is no position."""

LEAF = 16
FANOUT = 8
_FARTHEST_KM = 50
_EARTH_KM = np.float32(6371)
_CELL_DEGREES = 0.02
_CELL_KM = _CELL_DEGREES / 2 * 2**0.5 * 111.2
"""The greatest distance from the centre of a cell."""

_INSIDE = 1000.0
"""Puts circles that a position lies in before all others; more than any circle's radius in km."""
_ROUNDING_KM = 0.01
_AT_ONCE = 4096


@dataclass(frozen=True)
class _Level:
    """Nodes of one level of the tree: bounding boxes, shape (nodes, 3), greatest radius, and first row."""

    low: Float32Array
    high: Float32Array
    radii: Float32Array
    rows: Int64Array


class Tree:
    """A search tree over the rows of the gazetteer."""

    def __init__(self, table: Gazetteer) -> None:
        self._points = on_sphere(table.degrees)
        self._radii: Float32Array = (table.radii / 10).astype(np.float32)
        rows = np.arange(len(self._points))
        self._levels = [_Level(self._points, self._points, self._radii, rows)]
        while len(self._levels) == 1 or len(self._levels[0].rows) > FANOUT:
            self._levels.insert(0, _parents(self._levels[0], LEAF if len(self._levels) == 1 else FANOUT))

    def candidates(self, points: Float32Array, slack: float) -> tuple[Int64Array, Int64Array]:
        """The rows that positions within `slack` km of each point can belong to.

        Args:
            points: positions on the sphere, shape (n, 3), in km.

        Returns:
            Indexes of points, in rising order, and rows, both of shape (pairs,). Each point has at least one row.
        """
        queries = np.arange(len(points)).repeat(len(self._levels[0].rows))
        nodes = np.tile(np.arange(len(self._levels[0].rows)), len(points))
        highest = np.full(len(points), np.inf, dtype=np.float32)
        for depth, level in enumerate(self._levels):
            if depth:
                size = LEAF if depth == len(self._levels) - 1 else FANOUT
                children = (nodes[:, None] * size + np.arange(size)).reshape(-1)
                there = children < len(level.rows)
                queries, nodes = queries.repeat(size)[there], children[there]
            at = points[queries]
            gap = _length(np.maximum(0, np.maximum(level.low[nodes] - at, at - level.high[nodes]))) - slack
            lowest = _cost(gap, level.radii[nodes])
            # What any row of a node costs is an upper bound of the least cost.
            costs = self.costs(at, level.rows[nodes], slack)
            highest = np.minimum(highest, np.minimum.reduceat(costs, _starts(queries, len(points))))
            kept = lowest <= highest[queries] + _ROUNDING_KM
            queries, nodes = queries[kept], nodes[kept]
        return queries, nodes

    def costs(self, points: Float32Array, rows: Int64Array, slack: float = 0) -> Float32Array:
        """How little each point, shape (n, 3), belongs to a row: the least cost wins; outside circles the km to one."""
        return _cost(_length(points - self._points[rows]) + np.float32(slack), self._radii[rows])


def places_of(points: AnyArray) -> Int64Array:
    """Ids of the places that positions belong to, shape (n,).

    Args:
        points: latitude and longitude in degrees (WGS 84, north and east positive), shape (n, 2). NaN and numbers out
            of range give `NOWHERE`.
    """
    degrees = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    ids = np.full(len(degrees), NOWHERE, dtype=np.int64)
    possible = np.flatnonzero(_possible(degrees))
    cells = np.round(degrees[possible] / _CELL_DEGREES).astype(np.int64)
    keys = cells[:, 0] * 100_000 + cells[:, 1]
    order = np.argsort(keys, kind="stable")
    for start in range(0, len(order), _AT_ONCE):
        some = order[start : start + _AT_ONCE]
        _, first, inverse = np.unique(keys[some], return_index=True, return_inverse=True)
        ids[possible[some]] = _places_in(degrees[possible[some]], cells[some][first] * _CELL_DEGREES, inverse)
    return ids


def place_of(latitude: float, longitude: float) -> Place | None:
    """The place that a position in degrees belongs to; None at sea and for what is no position."""
    place_id = int(places_of(np.array([[latitude, longitude]], dtype=np.float64))[0])
    return None if place_id == NOWHERE else gazetteer().place(place_id)


def on_sphere(degrees: AnyArray) -> Float32Array:
    """Points in space, shape (n, 3), in km, of latitudes and longitudes in degrees, shape (n, 2).

    Within the distances that matter here a chord is as long as the arc: at 50 km it is 13 cm shorter. Single precision
    is four times as fast, and two metres off at most.
    """
    latitude, longitude = np.radians(np.asarray(degrees, dtype=np.float32)).T
    flat = np.cos(latitude)
    return np.stack([flat * np.cos(longitude), flat * np.sin(longitude), np.sin(latitude)], axis=1) * _EARTH_KM


def _places_in(degrees: Float64Array, cells: AnyArray, cell_of: Int64Array) -> Int64Array:
    """Ids of places of positions, shape (n, 2), in cells with centres, shape (cells, 2); all in degrees."""
    tree, table = _tree(), gazetteer()
    queries, rows = tree.candidates(on_sphere(cells), _CELL_KM)
    starts = _starts(queries, len(cells))
    counts = np.diff(starts, append=len(queries))[cell_of]
    ends = np.cumsum(counts)
    # Each position with all rows of its cell, one after the other.
    pairs = np.arange(ends[-1]) + (starts[cell_of] - ends + counts).repeat(counts)
    rows = rows[pairs]
    costs = tree.costs(on_sphere(degrees).repeat(counts, axis=0), rows)
    least = np.minimum.reduceat(costs, ends - counts)
    winners = np.flatnonzero(costs == least.repeat(counts))
    nearest = rows[winners[np.searchsorted(winners, ends - counts)]]
    return np.where(least <= _FARTHEST_KM, table.ids[nearest], _countries_at(degrees))


def _parents(level: _Level, size: int) -> _Level:
    starts = np.arange(0, len(level.rows), size)
    return _Level(
        np.minimum.reduceat(level.low, starts),
        np.maximum.reduceat(level.high, starts),
        np.maximum.reduceat(level.radii, starts),
        level.rows[starts],
    )


def _cost(distance: Float32Array, radius: Float32Array) -> Float32Array:
    return np.where(distance <= radius, distance - _INSIDE, distance - radius)


def _starts(queries: Int64Array, count: int) -> Int64Array:
    """Where each of `count` queries begins in a rising array that has them all."""
    return np.searchsorted(queries, np.arange(count))


def _length(vectors: Float32Array) -> Float32Array:
    length: Float32Array = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    return length


def _possible(degrees: Float64Array) -> BoolArray:
    inside = np.abs(degrees) <= np.array([90, 180])
    return inside[:, 0] & inside[:, 1]


def _countries_at(degrees: Float64Array) -> Int64Array:
    """Ids of the countries on whose land positions are; `NOWHERE` at sea."""
    land, ids = _land()
    rows = np.minimum((90 - degrees[:, 0]) / 180 * land.shape[0], land.shape[0] - 1).astype(np.int64)
    columns = ((degrees[:, 1] + 180) / 360 * land.shape[1]).astype(np.int64) % land.shape[1]
    countries: Int64Array = ids[land[rows, columns]]
    return countries


@cache
def _tree() -> Tree:
    return Tree(gazetteer())


@cache
def _land() -> tuple[AnyArray, Int64Array]:
    """A map of the world, north up, shape (rows, columns), of numbers of countries; and their ids, 0 for the sea."""
    table = gazetteer()
    return table.read("land"), np.array([NOWHERE, *(country.id for country in table.countries)], dtype=np.int64)
