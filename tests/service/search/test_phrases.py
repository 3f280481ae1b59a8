"""What a person types, taken apart into words and filters."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import fields
from datetime import date
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.errors import UsageError
from service.search.chips import describe_labels
from service.search.filter_values import filters_from_names
from service.search.phrases import ParsedQuery, Vocabulary, parse_query
from service.store.filters import Filters, Near

TODAY = date(2025, 11, 28)
"""A Friday."""
PLACES = ("paris", "paris, texas", "new york", "new york city", "париже", "санкт-петербурге", "van", "june lake")
VOCABULARY = Vocabulary(is_place=lambda text: text.casefold() in PLACES)


def parse(text: str) -> ParsedQuery:
    return parse_query(text, TODAY, VOCABULARY)


def filters_of(query: ParsedQuery) -> dict[str, Any]:
    """The filters that are set; days as text."""
    set_filters = {field.name: getattr(query.filters, field.name) for field in fields(Filters)}
    return {
        name: str(value) if isinstance(value, date) else value
        for name, value in set_filters.items()
        if value not in (None, ())
    }


def days(first: str, last: str) -> dict[str, str]:
    return {"taken_from": first, "taken_to": last}


YEAR_2019 = days("2019-01-01", "2019-12-31")


@pytest.mark.parametrize(
    ("typed", "text", "filters"),
    [
        ("beach 2019", "beach", YEAR_2019),
        ("beach in 2019", "beach", YEAR_2019),
        ("пляж 2019", "пляж", YEAR_2019),
        ("пляж в 2019 году", "пляж", YEAR_2019),
        ("Пляж, 2019 г.", "Пляж", YEAR_2019),
        ("2019 beach 2019", "beach", YEAR_2019),
        ("July 2023", "", days("2023-07-01", "2023-07-31")),
        ("июль 2023", "", days("2023-07-01", "2023-07-31")),
        ("dogs in July of 2023", "dogs", days("2023-07-01", "2023-07-31")),
        ("в июле 2023 года", "", days("2023-07-01", "2023-07-31")),
        ("feb 2024", "", days("2024-02-01", "2024-02-29")),
        ("2019-07", "", days("2019-07-01", "2019-07-31")),
        ("dog 07.2019", "dog", days("2019-07-01", "2019-07-31")),
        ("2019-07-14", "", days("2019-07-14", "2019-07-14")),
        ("14.07.2019", "", days("2019-07-14", "2019-07-14")),
        ("14 July 2019", "", days("2019-07-14", "2019-07-14")),
        ("on July 14, 2019", "", days("2019-07-14", "2019-07-14")),
        ("the 14th of July 2019", "", days("2019-07-14", "2019-07-14")),
        ("14 июля 2019 года", "", days("2019-07-14", "2019-07-14")),
        ("2015-2018", "", days("2015-01-01", "2018-12-31")),
        ("cats in 2015-2018", "cats", days("2015-01-01", "2018-12-31")),
        ("коты в 2015–2018 годах", "коты", days("2015-01-01", "2018-12-31")),
        ("cats 2015 – 2018", "cats", days("2015-01-01", "2018-12-31")),
        ("from 2015 to 2018", "", days("2015-01-01", "2018-12-31")),
        ("between 2015 and 2018", "", days("2015-01-01", "2018-12-31")),
        ("с 2015 по 2018 год", "", days("2015-01-01", "2018-12-31")),
        ("photos from the 1990s", "photos", days("1990-01-01", "1999-12-31")),
        ("в 1990-х годах", "", days("1990-01-01", "1999-12-31")),
        ("summer 2019", "", days("2019-06-01", "2019-08-31")),
        ("in the summer of 2019", "", days("2019-06-01", "2019-08-31")),
        ("летом 2019 года", "", days("2019-06-01", "2019-08-31")),
        ("winter 2019", "", days("2018-12-01", "2019-02-28")),
        ("since 2019", "", {"taken_from": "2019-01-01"}),
        ("after July 2019", "", {"taken_from": "2019-08-01"}),
        ("before 2020", "", {"taken_to": "2019-12-31"}),
        ("until 2020", "", {"taken_to": "2020-12-31"}),
        ("до 2020 года", "", {"taken_to": "2019-12-31"}),
        ("после 14.07.2019", "", {"taken_from": "2019-07-15"}),
    ],
)
def test_days_months_and_years(typed: str, text: str, filters: Mapping[str, Any]) -> None:
    query = parse(typed)
    assert (query.text, filters_of(query)) == (text, filters)


@pytest.mark.parametrize(
    ("typed", "filters"),
    [
        ("today", days("2025-11-28", "2025-11-28")),
        ("сегодня", days("2025-11-28", "2025-11-28")),
        ("yesterday", days("2025-11-27", "2025-11-27")),
        ("вчера", days("2025-11-27", "2025-11-27")),
        ("позавчера", days("2025-11-26", "2025-11-26")),
        ("this week", days("2025-11-24", "2025-11-30")),
        ("last week", days("2025-11-17", "2025-11-23")),
        ("на прошлой неделе", days("2025-11-17", "2025-11-23")),
        ("last month", days("2025-10-01", "2025-10-31")),
        ("в этом месяце", days("2025-11-01", "2025-11-30")),
        ("last year", days("2024-01-01", "2024-12-31")),
        ("в прошлом году", days("2024-01-01", "2024-12-31")),
        ("last summer", days("2025-06-01", "2025-08-31")),
        ("прошлым летом", days("2025-06-01", "2025-08-31")),
        ("last autumn", days("2024-09-01", "2024-11-30")),
        ("this autumn", days("2025-09-01", "2025-11-30")),
        ("last winter", days("2024-12-01", "2025-02-28")),
        ("last July", days("2025-07-01", "2025-07-31")),
        ("в прошлом декабре", days("2024-12-01", "2024-12-31")),
        ("last 7 days", days("2025-11-21", "2025-11-28")),
        ("за последние 2 недели", days("2025-11-14", "2025-11-28")),
    ],
)
def test_dates_relative_to_today(typed: str, filters: Mapping[str, Any]) -> None:
    query = parse(f"dog {typed}")
    assert (query.text, filters_of(query)) == ("dog", filters)


@pytest.mark.parametrize(
    ("today", "month"),
    [(date(2025, 1, 1), "2024-12"), (date(2024, 3, 31), "2024-02")],
)
def test_the_last_month_is_that_before_the_first_and_the_31st(today: date, month: str) -> None:
    assert parse_query("last month", today, VOCABULARY).chips[0].value == month


@pytest.mark.parametrize(
    ("typed", "text", "filters"),
    [
        ("dog in July", "dog", {"month": 7}),
        ("собака в июле", "собака", {"month": 7}),
        ("every July", "", {"month": 7}),
        ("каждый июль", "", {"month": 7}),
        ("July", "", {"month": 7}),
        ("8 марта", "", {"month": 3, "day": 8}),
        ("party on the 4th of July", "party", {"month": 7, "day": 4}),
        ("every December 25", "", {"month": 12, "day": 25}),
        ("29 February", "", {"month": 2, "day": 29}),
        ("month:7 day:14", "", {"month": 7, "day": 14}),
        ("month:july", "", {"month": 7}),
        ("месяц:июль", "", {"month": 7}),
        ("July 2019 every May", "", days("2019-07-01", "2019-07-31") | {"month": 5}),
    ],
)
def test_months_and_days_of_any_year(typed: str, text: str, filters: Mapping[str, Any]) -> None:
    query = parse(typed)
    assert (query.text, filters_of(query)) == (text, filters)


@pytest.mark.parametrize(
    ("typed", "text", "filters"),
    [
        ("in Paris", "", {"place": ("Paris",)}),
        ("a dog in paris", "a dog", {"place": ("paris",)}),
        ("собака в Париже", "собака", {"place": ("Париже",)}),
        ("near Paris.", "", {"place": ("Paris",)}),
        ("in Paris, Texas", "", {"place": ("Paris, Texas",)}),
        ("in New York City at night", "at night", {"place": ("New York City",)}),
        ("в Санкт-Петербурге в 2019", "", {"place": ("Санкт-Петербурге",)} | YEAR_2019),
        ("in June Lake", "", {"place": ("June Lake",)}),
        ("in Van", "", {"place": ("Van",)}),
        ("a dog in van", "a dog in van", {}),
        ("in Narnia", "in Narnia", {}),
        ("Paris", "Paris", {}),
        ('place:"New York" snow', "snow", {"place": ("New York",)}),
        ("near:48.85,2.35,5", "", {"near": Near(48.85, 2.35, 5)}),
        ("has:place", "", {"has_place": True}),
    ],
)
def test_places(typed: str, text: str, filters: Mapping[str, Any]) -> None:
    query = parse(typed)
    assert (query.text, filters_of(query)) == (text, filters)


@pytest.mark.parametrize(
    ("typed", "filters"),
    [
        ("camera:canon", {"camera": ("canon",)}),
        ("camera:canon,", {"camera": ("canon",)}),
        ('camera:"Canon EOS",', {"camera": ("Canon EOS",)}),
        ("near:48.85,2.35,5;", {"near": Near(48.85, 2.35, 5)}),
        ("CAMERA:canon camera:nikon", {"camera": ("canon", "nikon")}),
        ('lens:"50mm f/1.8"', {"lens": ("50mm f/1.8",)}),
        ("lens:“50mm”", {"lens": ("50mm",)}),
        ('folder:"Trip to Baikal"', {"folder": ("Trip to Baikal",)}),
        ('папка:"Поездка на Байкал"', {"folder": ("Поездка на Байкал",)}),
        (r'folder:"the \"old\" one"', {"folder": ('the "old" one',)}),
        ("keyword:dog tag:snow", {"keyword": ("dog", "snow")}),
        ("person:Anna", {"person": ("Anna",)}),
        ("label:red", {"label": ("red",)}),
        ("stars:4", {"min_stars": 4}),
        ("min-stars:4", {"min_stars": 4}),
        ("format:raw", {"format": ("raw",)}),
        ("is:raw", {"is_raw": True}),
        ("orientation:portrait", {"orientation": "portrait"}),
        ("is:Landscape", {"orientation": "landscape"}),
        ("focal:50mm", {"focal_length": (49.5, 50.5)}),
        ("focal_length:24-70", {"focal_length": (24.0, 70.0)}),
        ("before:2020", {"taken_to": "2019-12-31"}),
        ("after:2019-06", {"taken_from": "2019-07-01"}),
        ("from:2019 to:2020-06", days("2019-01-01", "2020-06-30")),
        ("date:2019-07-14", days("2019-07-14", "2019-07-14")),
        ("date:2019..2020-06", days("2019-01-01", "2020-06-30")),
        ("year:2015-2018", days("2015-01-01", "2018-12-31")),
        ("год:2019", YEAR_2019),
        ("after:2019-06 before:2020", days("2019-07-01", "2019-12-31")),
        ("2019 after:2019-06", days("2019-07-01", "2019-12-31")),
    ],
)
def test_keys(typed: str, filters: Mapping[str, Any]) -> None:
    query = parse(f"{typed} boat")
    assert (query.text, filters_of(query)) == ("boat", filters)


@pytest.mark.parametrize(
    "typed",
    [
        "a red car",
        "foo:bar",
        "camera: canon",
        "time:12:30",
        "http://example.org/2019",
        "Blade Runner 2049",
        "area 51",
        "1500",
        "people march in the rain",
        "it may rain",
        "14 dogs",
        "31 February",
        "30.02.2019",
        "2019-13",
        "2018-1066",
        "$2000",
        "1920x1080",
        "1950s cars",
        "4 stars",
        "dog -snow",
        "dog OR cat",
        "-camera:canon",
        'a sign "no parking',
        'camera:"canon',
        '6" pipe and 4" pipe',
        "...",
        "шёл снег",
        "שלום 51",
    ],
)
def test_what_is_not_understood_stays_as_it_is(typed: str) -> None:
    assert parse(typed) == ParsedQuery(typed, Filters(), ())


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ('"beach 2019"', "beach 2019"),
        ('"beach"  "in Paris"', "beach in Paris"),
        ("«пляж 2019»", "пляж 2019"),
        ('"camera:canon"', "camera:canon"),
        ('"beach 2019", "in Paris"', "beach 2019 in Paris"),
        (r'"a \"b\" \\ c"', r'a "b" \ c'),
        ('""', ""),
        ("  a \t red\ncar ", "a red car"),
        ("", ""),
        (" \n ", ""),
    ],
)
def test_what_is_in_quotes_stays_words(typed: str, text: str) -> None:
    assert parse(typed) == ParsedQuery(text, Filters(), ())


def test_chips_say_what_was_understood_as_what() -> None:
    query = parse('a dog in Paris, July 2023 camera:"Canon EOS"')
    assert query.text == "a dog"
    assert [(chip.field, chip.value, chip.text) for chip in query.chips] == [
        ("place", "Paris", "in Paris,"),
        ("taken", "2023-07", "July 2023"),
        ("camera", "Canon EOS", 'camera:"Canon EOS"'),
    ]
    assert describe_labels(chip.label for chip in query.chips) == (
        "Taken in Paris; taken in July 2023; camera Canon EOS. Quote the words to search for them as they are."
    )


@pytest.mark.parametrize(
    ("typed", "label"),
    [
        ("before:2020", "taken until the end of 2019"),
        ("before:2020-01-15", "taken until 14 January 2020"),
        ("after:2019-06", "taken from July 2019 on"),
        ("every July", "taken in July of any year"),
        ("8 марта", "taken on 8 March of any year"),
        ("day:14", "taken on day 14 of any month"),
        ("near:48.85,2.35,5", "taken within 5 km of 48.85,2.35"),
        ("lens:50mm", "lens 50mm"),
        ("focal:50mm", "50 mm"),
        ("folder:Baikal", "in the folder Baikal"),
        ("tag:dog", "keyword dog"),
        ("person:Anna", "with Anna"),
        ("stars:4", "4 stars or more"),
        ("stars:01", "1 star or more"),
        ("label:red", "label red"),
        ("format:heic", "format heic"),
        ("is:square", "square"),
        ("is:raw", "RAW"),
        ("is_raw:yes", "RAW"),
        ("is_raw:0", "not RAW"),
        ("has:place", "with a place"),
        ("has_place:TRUE", "with a place"),
    ],
)
def test_every_chip_has_a_label(typed: str, label: str) -> None:
    assert [chip.label for chip in parse(typed).chips] == [label]


def test_a_chip_s_value_is_a_value_of_its_filter() -> None:
    query = parse("focal:24-70 stars:4 is:raw has:place is:portrait near:1,2,3 month:7 tag:a before:2020-06 since 2019")
    values = {chip.field: chip.value for chip in query.chips}
    assert filters_from_names(values) == query.filters


@pytest.mark.parametrize("typed", ["2018 2019", "a 2018 beach 2019"])
def test_of_two_bare_years_the_second_stays_a_word(typed: str) -> None:
    query = parse(typed)
    assert query.text == typed.replace("2018 ", "")
    assert filters_of(query) == days("2018-01-01", "2018-12-31")


def test_a_year_that_contradicts_a_key_stays_a_word() -> None:
    query = parse("2018 beach after:2019")
    assert (query.text, filters_of(query)) == ("2018 beach", {"taken_from": "2020-01-01"})


def test_further_filters_are_combined_with_those_of_the_words() -> None:
    further = Filters(taken_from=date(2019, 6, 1), camera=("nikon",), is_raw=False)
    query = parse_query("beach 2019 2021 camera:canon", TODAY, VOCABULARY, further)
    assert query.text == "beach 2021"
    assert filters_of(query) == days("2019-06-01", "2019-12-31") | {"camera": ("nikon", "canon"), "is_raw": False}
    assert [chip.text for chip in query.chips] == ["2019", "camera:canon"]
    assert parse_query(" ", TODAY, VOCABULARY, further) == ParsedQuery("", further)
    with pytest.raises(UsageError, match="is:raw and the other filters exclude each other"):
        parse_query("is:raw", TODAY, VOCABULARY, further)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("before:abc", "before:abc must be a year, a month or a day, such as 2019, 2019-07 or 2019-07-14."),
        ("dog month:13", "What follows the colon of month:13 must be from 1 to 12. Put it in quotes to search for"),
        ("near:1000,1000,5", "near:1000,1000,5 must be LAT,LON,KM"),
        ("near:nan,nan,1", "near:nan,nan,1 must be LAT,LON,KM"),
        ("from:2020 to:2019", "to:2019 and from:2020 exclude each other. Leave one of them out."),
        ("date:2020..2019", "must be a year, a month or a day"),
        ("date:2020..", "must be a year, a month or a day"),
        ("before:0001", "must be a year, a month or a day"),
        ("after:9999", "must be a year, a month or a day"),
        ("month:2 day:31", "day:31 and month:2 exclude each other"),
        ("stars:4 stars:5", "stars:5 and stars:4 exclude each other"),
        ("stars:9", "stars:9 must be from 1 to 5"),
        ("has:dog", "has:dog must be place"),
        ("is:dog", "is:dog must be raw or landscape or portrait or square"),
        ('camera:""', 'camera:"" must be a text of 1 to 200 characters'),
        (f"month:{'9' * 500}", "… must be from 1 to 12"),
        ("x" * 10_000, "The text has 10,000 characters"),
        ("a \udcff cat", "The text is not Unicode"),
    ],
)
def test_a_value_that_cannot_be_is_named(typed: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(typed)
    assert message in caught.value.message
    assert caught.value.message.isprintable()


WORDS = st.text(string.ascii_letters + "абвгдё ,.!?-", max_size=60)
SPOKEN = (
    "in в last every July июле 2019 2049 14 14.07.2019 Paris New York OR to from since year год summer days camera: "
    "camera:canon near: nan,nan,1 month:13 is:raw before:9999-99-99 1e999 99999999999999999 ٢٠١٩ ７月"
)
PIECES = st.sampled_from([*SPOKEN.split(), '"', "“", "»", "-", "\\", "\x00", "\u202e"])


@given(st.text() | st.lists(PIECES | st.text(max_size=5)).map(" ".join) | st.lists(PIECES).map("".join))
@example("in " * 333)
@example('"' * 1000)
@example('camera:"' * 120)
@example(".,;" * 300)
@example('"",' * 300)
@example("camera:,")
def test_any_text_is_a_query_or_a_usage_error(text: str) -> None:
    try:
        query = parse(text)
    except UsageError as error:
        assert error.message.isprintable()
        return
    assert all(chip.text in text for chip in query.chips)
    assert bool(query.filters) == bool(query.chips)
    if not query.chips and '"' not in text:
        assert len(query.text) <= len(text)


@given(WORDS.filter(lambda text: not parse(text).chips))
def test_text_in_which_nothing_is_understood_is_unchanged(text: str) -> None:
    assert parse(text).text == " ".join(text.split())


def test_a_query_without_a_chip_s_text_is_a_query_without_its_filter() -> None:
    typed = "a dog in Paris, July 2019 camera:canon every May"
    query = parse(typed)
    for chip in query.chips:
        without = parse(typed.replace(chip.text, "", 1))
        assert without.text == query.text
        assert [each.text for each in without.chips] == [each.text for each in query.chips if each != chip]


def test_the_longest_query_looks_each_word_up_a_few_times_only() -> None:
    looked_up: list[str] = []

    def is_place(name: str) -> bool:
        looked_up.append(name)
        return False

    for text in ("in Paris " * 111, "2019 " * 200, '" ' * 500, "14 july " * 125, "in " * 333):
        looked_up.clear()
        parse_query(text, date(2026, 11, 28), Vocabulary(is_place))
        assert len(looked_up) <= 10 * len(text.split())


def test_a_date_counts_before_a_place_with_fewer_words() -> None:
    vocabulary = Vocabulary(is_place=lambda text: text == "May")
    assert filters_of(parse_query("beach in May 2019", TODAY, vocabulary)) == days("2019-05-01", "2019-05-31")
    assert filters_of(parse_query("beach in May", TODAY, vocabulary)) == {"month": 5}
    assert filters_of(parse_query("beach near May 2019", TODAY, vocabulary)) == {"place": ("May",), **YEAR_2019}
