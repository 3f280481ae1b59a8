"""Dates and names of places as answers and tables show them."""

from __future__ import annotations

from datetime import datetime

import pytest

from service.search.metadata_columns import METADATA_COLUMNS, metadata_cells, place_names, taken_at_text
from service.store.metadata import Metadata
from service.store.records import Details
from tests.service.described import METADATA

MOMENT = datetime(2023, 7, 14, 18, 30, 5)


@pytest.mark.parametrize(
    ("offset", "text"),
    [
        (None, "2023-07-14T18:30:05"),
        (0, "2023-07-14T18:30:05+00:00"),
        (120, "2023-07-14T18:30:05+02:00"),
        (-210, "2023-07-14T18:30:05-03:30"),
        (1440, "2023-07-14T18:30:05"),
        (-(10**12), "2023-07-14T18:30:05"),
    ],
)
def test_a_date_has_its_offset_where_that_can_be(offset: int | None, text: str) -> None:
    assert taken_at_text(Metadata(taken_at=MOMENT, taken_offset=offset)) == text


def test_without_a_date_there_is_no_text() -> None:
    assert taken_at_text(Metadata(taken_offset=60)) is None


def test_names_of_a_place_that_its_file_says() -> None:
    assert place_names(Details(METADATA)) == ("Paris", "Île-de-France", "France")
    assert not any(place_names(Details()))


def test_cells_are_those_of_the_columns() -> None:
    cells = metadata_cells(None, Details())
    assert list(cells) == list(METADATA_COLUMNS)
    assert set(cells.values()) == {None}
