"""Facets count what a row by row count gives."""

from __future__ import annotations

from hypothesis import given

from service.index.attributes.facets import count_facets
from service.store.attributes import AttributeRow
from service.store.filters import Filters
from tests.service.index.attributes.attribute_rows import (
    FILTERS,
    ONE_FILTER,
    PLACES,
    attributes_of,
    count,
    is_on_the_edge,
    libraries,
    passes,
    random_rows,
)


def check(found: list[AttributeRow], filters: Filters) -> None:
    facets = count_facets(attributes_of(found), filters, PLACES, 1_000)
    assert facets.photographs == sum(passes(row, filters) for row in found)
    for facet, counts in facets.counts.items():
        assert {each.value: each.count for each in counts} == count(found, filters, facet), facet
        assert all(each.count for each in counts)
        if facet in ("year", "month", "stars"):
            values = [str(each.value) for each in counts if each.value != -1]
            assert values == sorted(values, reverse=True)
        else:
            assert [each.count for each in counts] == sorted((each.count for each in counts), reverse=True)


@given(libraries(), ONE_FILTER)
def test_a_facet_is_counted_without_its_own_filter(found: list[AttributeRow], filters: Filters) -> None:
    check([row for row in found if not is_on_the_edge(row, filters)], filters)


@given(libraries(), FILTERS)
def test_other_filters_count(found: list[AttributeRow], filters: Filters) -> None:
    check([row for row in found if not is_on_the_edge(row, filters)], filters)


def test_only_the_most_frequent_values_are_given_by_name_where_counts_are_equal() -> None:
    (row,) = random_rows(1)
    cameras = ["b", "a", "c", "c", "d"]
    found = [row._replace(id=n, camera=camera, taken_at=n * 40_000_000) for n, camera in enumerate(cameras)]
    facets = count_facets(attributes_of(found), Filters(), PLACES, 2)
    assert [(each.value, each.count) for each in facets.counts["camera"]] == [("c", 2), ("a", 1)]
    assert len(facets.counts["year"]) == 5, "years are complete"


def test_an_empty_library_has_no_counts() -> None:
    facets = count_facets(attributes_of([]), Filters(month=7), PLACES, 10)
    assert facets.photographs == 0
    assert not any(facets.counts.values())
