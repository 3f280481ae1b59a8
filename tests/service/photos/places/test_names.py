from __future__ import annotations

import numpy as np
import pytest

from service.photos.places import find_places, is_place, place_of
from service.photos.places.names import fold
from service.types import Int64Array

PARIS, PARIS_TEXAS, COLOGNE, MUNICH, MOSCOW, BERLIN = 2988507, 4717560, 2886242, 2867714, 524901, 2950159
KHUZHIR, NICE = 2022143, 2990440
GERMANY, FRANCE, UNITED_STATES = 2921044, 3017382, 6252001


def ids(text: str) -> list[int]:
    found = find_places(text)
    assert found.dtype == np.int64
    assert (np.diff(found) > 0).all()
    return found.tolist()


@pytest.mark.parametrize("text", ["Paris", "paris", " PARIS ", "Париж", "париж", "Parigi", "París"])
def test_a_town_and_its_namesakes(text: str) -> None:
    assert PARIS in ids(text)


def test_namesakes_and_what_tells_them_apart() -> None:
    assert {PARIS, PARIS_TEXAS} <= set(ids("Paris"))
    assert ids("Paris, Texas") == [PARIS_TEXAS]
    assert PARIS in ids("Paris, France")
    assert PARIS_TEXAS not in ids("Париж, Франция")
    assert ids("Paris, Japan") == []


@pytest.mark.parametrize("text", ["Köln", "koln", "Koeln", "Cologne", "Кёльн", "кельн", "Colonia"])
def test_spellings(text: str) -> None:
    assert COLOGNE in ids(text)


@pytest.mark.parametrize("text", ["München", "munchen", "Muenchen", "Munich", "Мюнхен"])
def test_umlauts(text: str) -> None:
    assert MUNICH in ids(text)


@pytest.mark.parametrize("text", ["Bavaria", "bayern", "Бавария", "Баварии", "Germany", "Deutschland", "Германия"])
def test_regions_and_countries_stand_for_their_towns(text: str) -> None:
    found = ids(text)
    assert MUNICH in found
    assert len(found) > 1000
    assert PARIS not in found


def test_a_country_stands_for_its_land_without_towns() -> None:
    assert GERMANY in ids("Germany")
    assert UNITED_STATES in ids("США")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("USA", "United States"),
        ("США", "America"),
        ("UK", "Great Britain"),
        ("Holland", "Netherlands"),
        ("Голландия", "Нидерланды"),
        ("Turkey", "Türkiye"),
        ("ОАЭ", "United Arab Emirates"),
        ("Czech Republic", "Чехия"),
        ("Burma", "Мьянма"),
        ("Крым", "Crimea"),
        ("Санкт-Петербурге", "Saint Petersburg"),
    ],
)
def test_usual_names(one: str, other: str) -> None:
    assert len(np.intersect1d(ids(one), ids(other))) > 10


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("Париже", "Париж"),
        ("Москве", "Москва"),
        ("Берлине", "Берлин"),
        ("Германии", "Германия"),
        ("Сочи", "Сочи"),
        ("Казани", "Казань"),
        ("Ярославле", "Ярославль"),
        ("Афинах", "Афины"),
        ("Мытищах", "Мытищи"),
        ("Нью-Йорке", "Нью-Йорк"),
        ("Нижнем Новгороде", "Нижний Новгород"),
        ("Ростове-на-Дону", "Ростов-на-Дону"),
        ("Новой Зеландии", "Новая Зеландия"),
        ("Иркутской области", "Иркутская область"),
        ("Бурятии", "Бурятия"),
        ("Крыму", "Крым"),
        ("Китае", "Китай"),
        ("Нидерландах", "Нидерланды"),
        ("Хужире", "Хужир"),
        ("Листвянке", "Листвянка"),
    ],
)
def test_the_prepositional_case(form: str, name: str) -> None:
    assert ids(form)
    assert len(np.intersect1d(ids(form), ids(name))) > 0


@pytest.mark.parametrize(
    "text", ["", "   ", ",", "Paris,", "'", "-", "DE", "RU", "xyzzy", "\x00", "a" * 100_000, "," * 1000, "🏝", "в", "in"]
)
def test_what_is_no_place(text: str) -> None:
    assert ids(text) == []


def test_codes_are_no_countries() -> None:
    assert FRANCE not in ids("FR")
    assert not is_place("FR")


@pytest.mark.parametrize(
    "text", ["Paris", "париже", "Bavaria", "usa", "Москве", "Sochi", "Paris, Texas", "Nice", "New Zealand", "Орле"]
)
def test_places_of_which_everybody_has_heard(text: str) -> None:
    assert is_place(text)


@pytest.mark.parametrize(
    "text",
    [
        "nice",
        "spring",
        "turkey",
        "split",
        "orange",
        "park",
        "snow",
        "море",
        "доме",
        "лесу",
        "золоте",
        "стене",
        "",
        "north",
    ],
)
def test_ordinary_words_are_no_places_without_a_capital_letter(text: str) -> None:
    assert not is_place(text)


def test_small_towns_count_where_photographs_were_taken() -> None:
    assert not is_place("хужире")
    assert is_place("хужире", lambda: np.array([KHUZHIR]))
    assert not is_place("хужире", lambda: np.array([PARIS]))
    assert not is_place("nice", lambda: np.array([NICE]))


@pytest.mark.parametrize("text", ["paris", "a red shirt", "nice", "Paris, Texas"])
def test_the_towns_of_photographs_are_asked_for_only_where_they_decide(text: str) -> None:
    def among() -> Int64Array:
        pytest.fail("not needed")

    assert is_place(text, among) == is_place(text)


def test_what_is_found_by_name_is_where_the_positions_are() -> None:
    place = place_of(48.8584, 2.2945)
    assert place is not None
    for name in (place.town, place.region, place.country):
        assert name is not None
        assert place.id in ids(name.en)
        assert place.id in ids(name.ru)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Köln", "koln"),
        ("Saint-Denis", "saint denis"),
        ("Xi’an", "xian"),
        ("Łódź", "lodz"),
        ("Tromsø", "tromso"),
        ("Straße", "strasse"),
        ("Орёл", "орел"),
        ("Ха́рьков", "харьков"),
        ("  A  b ", "a b"),
        ("Ålesund", "alesund"),
        ("Ürümqi", "urumqi"),
    ],
)
def test_fold(text: str, folded: str) -> None:
    assert fold(text) == folded
