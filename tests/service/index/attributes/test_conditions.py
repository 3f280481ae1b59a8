"""Each filter leaves what a row by row check leaves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
from hypothesis import given, settings

from service.index.attributes.conditions import conjunction, masks_of
from service.store.attributes import AttributeRow
from service.store.filters import Filters, Near
from tests.service.index.attributes.attribute_rows import (
    FILTERS,
    ONE_FILTER,
    PLACES,
    attributes_of,
    is_on_the_edge,
    libraries,
    passes,
    random_rows,
)


def left_by(found: Sequence[AttributeRow], filters: Filters) -> list[int]:
    attributes = attributes_of(found)
    masks = masks_of(attributes, filters, PLACES)
    assert bool(masks) == bool(filters)
    return [int(identity) for identity in attributes.ids[conjunction(masks.values(), len(attributes))]]


@settings(max_examples=300)
@given(libraries(), ONE_FILTER)
def test_one_filter_leaves_what_a_naive_check_leaves(found: list[AttributeRow], filters: Filters) -> None:
    found = [row for row in found if not is_on_the_edge(row, filters)]
    assert left_by(found, filters) == [row.id for row in found if passes(row, filters)]


@given(libraries(), FILTERS)
def test_several_filters_must_all_hold(found: list[AttributeRow], filters: Filters) -> None:
    found = [row for row in found if not is_on_the_edge(row, filters)]
    assert left_by(found, filters) == [row.id for row in found if passes(row, filters)]


def test_a_period_is_from_the_first_to_the_last_second_of_its_days() -> None:
    plain = random_rows(1)[0]
    found = [plain._replace(id=n, taken_at=at) for n, at in enumerate((86_399, 86_400, 172_799, 172_800))]
    second_of_january = date(1970, 1, 2)
    assert left_by(found, Filters(taken_from=second_of_january, taken_to=second_of_january)) == [1, 2]


def test_near_is_exact_to_metres_also_across_the_antimeridian_and_at_a_pole() -> None:
    plain = random_rows(1)[0]
    # A hundredth of a degree of latitude is 1.112 km.
    spots = [(55.75, 37.62), (55.76, 37.62), (0.0, 179.995), (0.0, -179.995), (90.0, 0.0), (89.99, 180.0)]
    found = [plain._replace(id=n, latitude=lat, longitude=lon) for n, (lat, lon) in enumerate(spots)]
    assert left_by(found, Filters(near=Near(55.75, 37.62, 1.111))) == [0]
    assert left_by(found, Filters(near=Near(55.75, 37.62, 1.113))) == [0, 1]
    assert left_by(found, Filters(near=Near(0.0, 180.0, 0.6))) == [2, 3]
    assert left_by(found, Filters(near=Near(90.0, 12.0, 1.2))) == [4, 5]
    assert left_by(found, Filters(near=Near(0.0, 0.0, 40_000.0))) == [0, 1, 2, 3, 4, 5]


def test_no_filters_are_no_masks() -> None:
    attributes = attributes_of(random_rows(3))
    assert masks_of(attributes, Filters(), PLACES) == {}
    assert np.array_equal(conjunction([], 3), [True, True, True])
