"""Filters on places that are looked up by a photograph's position."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from service.index.attributes import AttributeIndex
from service.search.query import Query
from service.search.selection import OfflinePlaces, Selector
from service.search.understanding import understand
from service.store.catalog import Catalog
from service.store.filters import Filters
from service.store.metadata import Metadata
from service.store.records import Details, Entry, FileInfo, PhotographFacts

PARIS, MOSCOW = 2988507, 524901
"""Ids of GeoNames."""


@pytest.fixture
def selector(tmp_path: Path) -> Iterator[Selector]:
    """Photographs in Paris, in Moscow, in a town that only its file names, and nowhere."""
    catalog = Catalog(tmp_path / "catalog.sqlite")
    root, _ = catalog.add_root(tmp_path)
    places = [
        Details(Metadata(taken_at=datetime(2019, 7, 1)), town_id=PARIS),
        Details(Metadata(country="Россия"), town_id=MOSCOW),
        Details(Metadata(town="Twin Peaks")),
        Details(),
    ]
    catalog.write(
        [
            Entry(
                PhotographFacts(FileInfo(root.id, "", f"{number}.jpg", 1, 1), bytes([number]), 4, 3, "JPEG"),
                {},
                b"",
                details=details,
            )
            for number, details in enumerate(places)
        ]
    )
    yield Selector(AttributeIndex(tmp_path, catalog), OfflinePlaces())
    catalog.close()


@pytest.mark.parametrize(
    ("place", "ids"),
    [
        ("paris", [1]),
        ("Париж", [1]),
        ("Франция", [1]),
        ("Ile de France", [1]),
        ("Russia", [2]),
        ("Twin peaks", [3]),
        ("nowhere at all", []),
    ],
)
def test_places_are_found_in_english_in_russian_and_as_written(selector: Selector, place: str, ids: list[int]) -> None:
    assert selector.select(Filters(place=(place,))).ids.tolist() == ids


def test_places_are_counted_by_what_the_file_says_or_else_by_position(selector: Selector) -> None:
    counts = selector.facets(Filters(), 10).counts
    assert {each.value for each in counts["country"]} == {"France", "Россия"}
    assert {each.value for each in counts["town"]} == {"Paris", "Twin Peaks"}
    assert {each.value: each.count for each in counts["has_place"]} == {True: 3, False: 1}


def test_words_may_name_a_place(selector: Selector) -> None:
    understood = understand(Query(q="beach in Paris"), selector.select)
    assert understood.query == Query(text="beach", filters=Filters(place=("Paris",)))
    elsewhere = understand(Query(q="beach in Madrid"), selector.select)
    assert elsewhere.query == Query(text="beach in Madrid")
