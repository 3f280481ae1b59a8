"""Photographs by date without a query, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from service.errors import UsageError
from service.search.query import Query
from service.store.filters import Filters
from tests.service.search.dated_library import DatedLibrary, Monotone

NEWEST = Query(order="-taken_at", k=7)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[DatedLibrary]:
    library = DatedLibrary(tmp_path, Monotone())
    yield library
    library.catalog.close()


def test_all_photographs_come_newest_first_and_those_without_a_date_last(library: DatedLibrary) -> None:
    library.add(60)
    found = [identity for page in library.pages(NEWEST) for identity in page]
    assert sorted(found) == sorted(library.vectors)
    dates = [library.taken[identity] for identity in found]
    dated = [each for each in dates if each is not None]
    assert dates == sorted(dated, reverse=True) + [None] * (60 - len(dated))
    oldest = [identity for page in library.pages(replace(NEWEST, order="taken_at")) for identity in page]
    assert oldest[: len(dated)] == found[: len(dated)][::-1]


def test_filters_leave_some(library: DatedLibrary) -> None:
    library.add(60)
    query = Query(filters=Filters(camera=("nikon",)), k=7)
    found = [identity for page in library.pages(query) for identity in page]
    assert sorted(found) == [identity for identity in sorted(library.vectors) if library.camera(identity) == "Nikon"]
    result = library.search(query)
    assert (result.filtered, result.photographs) == (20, 60)
    assert (result.model, result.calibration, result.best_match, result.answerable) == (None, None, None, True)
    assert {(hit.match, hit.similarity) for hit in result.hits} == {(None, None)}
    assert {hit.details.metadata.camera for hit in result.hits} == {"Nikon"}
    assert result.sentences() == []


def test_nothing_is_left_of_no_photographs(library: DatedLibrary) -> None:
    result = library.search(NEWEST)
    assert (result.hits, result.next_cursor, result.answerable) == ([], None, False)
    assert result.sentences() == ["No photographs found."]


def test_photographs_come_and_go_between_pages(library: DatedLibrary) -> None:
    library.add(80)
    throughout = set(library.vectors)

    def change(page: int) -> None:
        gone = [int(each) for each in library.random.choice(sorted(library.vectors), 4, replace=False)]
        library.remove(gone)
        throughout.difference_update(gone)
        library.add(5)

    found = [identity for page in library.pages(NEWEST, change) for identity in page]
    assert len(found) == len(set(found))
    assert throughout <= set(found)


def test_a_cursor_of_another_order_or_of_a_search_is_refused(library: DatedLibrary) -> None:
    library.add(20)
    cursor = library.search(NEWEST).next_cursor
    for other in (
        replace(NEWEST, order="taken_at", cursor=cursor),
        replace(NEWEST, filters=Filters(month=7), cursor=cursor),
        replace(NEWEST, text="a", cursor=cursor),
    ):
        with pytest.raises(UsageError, match="cursor belongs to another search"):
            library.search(other)


def test_a_result_shows_itself_without_matches(library: DatedLibrary) -> None:
    library.add(3)
    result = library.search(NEWEST)
    assert "<b>" not in result._repr_html_()
    assert result.to_dataframe()["match"].isna().all()
