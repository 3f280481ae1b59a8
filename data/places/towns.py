"""Decides what is a town of its own and what is a part of a larger one, and how far a town reaches.

A town's circle has a radius that grows with the root of its population. Two kinds of places are parts of a city:
sections (GeoNames' code PPLX, known for about half of the places) belong to the city that is nearest in radii; and
other places whose centre lies in the circle of a city of the same region with three times their population.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.places.sources import Town
from service.photos.places.nearest import FANOUT, LEAF, on_sphere
from service.types import Float32Array, Float64Array, Int64Array

KM_OF_ROOT = 0.005
"""Radius in km of a town with one inhabitant: the circle of a million people has 5 km, a fifth of a large city's area.

It is small because districts carry circles of their own; larger circles swallow neighbouring towns.
"""

LEAST_KM, MOST_KM = 0.5, 15.0
_CITY_STATES = ("HK", "MO", "SG")
_TIMES_LARGER = 3
_RADII_OF_A_SECTION = 5


@dataclass(frozen=True)
class Layout:
    """Towns in the order of a k-d tree; the radius of each circle in km; the row of the town each is a part of."""

    towns: list[Town]
    radii: Float64Array
    owners: Int64Array


def lay_out(towns: list[Town]) -> Layout:
    """Order towns for the search, and find the parts of cities."""
    points = on_sphere(np.array([(town.latitude, town.longitude) for town in towns]))
    order = kd_order(points)
    towns, points = [towns[row] for row in order], points[order]
    populations = np.array([town.population for town in towns], dtype=np.float64)
    radii = np.clip(KM_OF_ROOT * np.sqrt(populations), LEAST_KM, MOST_KM)
    return Layout(towns, radii, _owners(towns, points, populations, radii))


def kd_order(points: Float32Array) -> Int64Array:
    """The order of the leaves of a k-d tree: blocks of LEAF, LEAF · FANOUT, LEAF · FANOUT² … points are compact."""

    def ordered(rows: Int64Array) -> list[Int64Array]:
        if len(rows) <= LEAF:
            return [rows]
        block = LEAF
        while block * FANOUT < len(rows):
            block *= FANOUT
        some = points[rows]
        middle = block * ((len(rows) + block - 1) // block // 2)
        split = np.argpartition(some[:, np.ptp(some, axis=0).argmax()], middle)
        return [*ordered(rows[split[:middle]]), *ordered(rows[split[middle:]])]

    return np.concatenate(ordered(np.arange(len(points))))


def _owners(towns: list[Town], points: Float32Array, populations: Float64Array, radii: Float64Array) -> Int64Array:
    from scipy.spatial import KDTree

    tree = KDTree(points)
    regions = np.array([town.country if town.country in _CITY_STATES else town.region for town in towns])
    sections = np.array([town.code == "PPLX" for town in towns])
    owners = np.arange(len(towns))
    nearest = np.full(len(towns), np.inf)
    # Cities in falling size: a place in the circles of several belongs to the nearest in radii, and no part has parts.
    for city in np.argsort(-populations, kind="stable"):
        if sections[city] or owners[city] != city or populations[city] < 2 * _TIMES_LARGER:
            continue
        around = np.array(tree.query_ball_point(points[city], _RADII_OF_A_SECTION * radii[city]))
        distance = np.linalg.norm(points[around] - points[city], axis=1) / radii[city]
        inside = (distance <= 1) & (populations[around] * _TIMES_LARGER <= populations[city])
        part = (sections[around] | inside) & (populations[around] < populations[city]) & (distance < nearest[around])
        parts = around[part & (regions[around] == regions[city]) & (around != city)]
        owners[parts] = city
        nearest[parts] = distance[part & (regions[around] == regions[city]) & (around != city)]
    return owners
