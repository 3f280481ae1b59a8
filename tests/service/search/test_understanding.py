"""What a person types, as words and filters or as words alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from service.errors import UsageError
from service.photos.places import place_of
from service.search.query import Query
from service.search.selection import Selection
from service.search.understanding import understand
from service.store.filters import Filters
from service.store.metadata import Metadata
from service.store.records import Details, Entry, FileInfo, PhotographFacts
from tests.service.search.dated_library import DatedLibrary, Monotone


@pytest.fixture
def library(tmp_path: Path) -> Iterator[DatedLibrary]:
    library = DatedLibrary(tmp_path, Monotone())
    library.add(30)
    yield library
    library.catalog.close()


JULY = Filters(taken_from=date(2019, 7, 1), taken_to=date(2019, 7, 31))


def test_words_become_filters_and_the_rest_is_searched(library: DatedLibrary) -> None:
    query = Query(q="beach July 2019", k=7, min_match=0.2)
    understood = understand(query, library.selector.select)
    assert understood.query == Query(text="beach", k=7, min_match=0.2, filters=JULY)
    assert [(chip.field, chip.value, chip.text) for chip in understood.chips] == [("taken", "2019-07", "July 2019")]
    result = understood.describe(library.search(understood.query))
    assert result.understood == understood.chips
    assert result.filtered == len(library.selector.select(JULY)) > 0


def test_words_that_are_all_understood_browse(library: DatedLibrary) -> None:
    understood = understand(Query(q="July 2019", min_match=0.4), library.selector.select)
    assert understood.query == Query(filters=JULY)
    assert understood.query.browses


def test_filters_hold_besides(library: DatedLibrary) -> None:
    query = Query(q="beach July 2019", filters=Filters(camera=("canon",)))
    assert understand(query, library.selector.select).query.filters == replace(JULY, camera=("canon",))


def test_words_that_mean_no_filter_are_searched(library: DatedLibrary) -> None:
    understood = understand(Query(q="two dogs"), library.selector.select)
    assert (understood.query, understood.chips, understood.notice) == (Query(text="two dogs"), (), None)
    assert understand(Query(text="July 2019"), library.selector.select).query == Query(text="July 2019")
    assert understand(Query(q='"July 2019"'), library.selector.select).query == Query(text="July 2019")


def test_where_nothing_fits_the_words_are_searched_as_they_are(library: DatedLibrary) -> None:
    understood = understand(Query(q="beach 1980"), library.selector.select)
    assert (understood.query, understood.chips) == (Query(text="beach 1980"), ())
    result = understood.describe(library.search(understood.query))
    assert result.notice == "No photograph fits “1980”, so the words were searched as they are."
    assert result.hits
    assert understand(Query(q="1980: beach"), library.selector.select).query == Query(text="1980: beach")


def test_words_without_a_filter_leave_the_attributes_alone() -> None:
    def select(filters: Filters) -> Selection:
        pytest.fail("making the attributes of a large library takes seconds")

    assert understand(Query(q="a man in a red shirt"), select).query == Query(text="a man in a red shirt")


def test_a_named_filter_is_kept_where_nothing_fits(library: DatedLibrary) -> None:
    understood = understand(Query(q="beach camera:leica"), library.selector.select)
    assert understood.query == Query(text="beach", filters=Filters(camera=("leica",)))
    assert understood.notice is None


def test_a_value_that_cannot_be_is_refused(library: DatedLibrary) -> None:
    with pytest.raises(UsageError, match="month"):
        understand(Query(q="beach month:13"), library.selector.select)


def test_q_is_one_of_the_things_to_look_for() -> None:
    with pytest.raises(UsageError, match="it was given 2"):
        Query(q="a", text="a")
    with pytest.raises(UsageError, match="text is empty"):
        Query(q=" ")


def test_a_small_town_is_a_place_where_photographs_were_taken_there(library: DatedLibrary) -> None:
    query = Query(q="ice in Khuzhir")
    assert understand(query, library.selector.select).query == Query(text="ice in Khuzhir")
    town = place_of(53.19, 107.34)
    assert town is not None
    file = FileInfo(library.root.id, "", "baikal.jpg", 1, 1)
    details = Details(Metadata(latitude=53.19, longitude=107.34), town_id=town.id)
    library.catalog.write([Entry(PhotographFacts(file, b"baikal", 4, 3, "JPEG"), {}, b"", details=details)])
    understood = understand(query, library.selector.select)
    assert understood.query == Query(text="ice", filters=Filters(place=("Khuzhir",)))
    assert understand(Query(q="лёд в Хужире"), library.selector.select).query.text == "лёд"
