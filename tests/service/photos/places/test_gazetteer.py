from __future__ import annotations

import numpy as np
import pytest

from service.photos.places import Name, Place, place_named
from service.photos.places.gazetteer import TABLE, gazetteer


def test_the_file_is_small_and_names_its_sources() -> None:
    assert TABLE.stat().st_size < 6_000_000
    about = str(gazetteer().read("about"))
    licences = TABLE.with_name("LICENCES.md").read_text(encoding="utf-8")
    for source in ("GeoNames", "CC BY 4.0", "Unicode License", "Natural Earth"):
        assert source in about
        assert source in licences


def test_a_place_by_its_id() -> None:
    assert place_named(2950159) == Place(
        2950159, Name("Berlin", "Берлин"), Name("State of Berlin", "Берлин"), Name("Germany", "Германия"), "DE"
    )
    assert place_named(np.int64(2017370)) == Place(2017370, None, None, Name("Russia", "Россия"), "RU")


@pytest.mark.parametrize("place_id", [0, -1, 1, 10**12, -(10**30), 10**30])
def test_ids_of_no_place(place_id: int) -> None:
    assert place_named(place_id) is None


def test_names_are_not_repeated() -> None:
    place = Place(1, Name("Singapore", "Сингапур"), None, Name("Singapore", "Сингапур"), "SG")
    assert place.names() == ("Singapore",)
    place = Place(1, Name("Moscow", "Москва"), Name("Moscow", "Москва"), Name("Russia", "Россия"), "RU")
    assert place.names("ru") == ("Москва", "Россия")


def test_every_row_belongs_to_a_town_that_has_a_name() -> None:
    table = gazetteer()
    named = table.read("named")
    ids = table.ids[named]
    assert len(np.unique(ids)) == len(ids)
    assert np.isin(table.ids, ids).all()
    assert len(table.read("region")) == len(named)
    assert int(table.region_of.max()) < len(table.regions)
    lines = table.text("names").split(b"\n")[:-1]
    assert [bool(line) for line in lines] == named.tolist()


def test_most_towns_that_people_go_to_have_a_russian_name() -> None:
    table = gazetteer()
    large = np.flatnonzero(table.read("named") & (table.radii >= 35))  # half a million inhabitants
    places = [place_named(table.ids[row]) for row in large]
    russian = [place for place in places if place and place.town and place.town.ru != place.town.en]
    assert len(russian) / len(places) > 0.9
