"""Filters from names and values, as HTTP, JSON, the command line and Python give them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import UsageError
from service.search.filter_values import FilterValue, filters_from_names
from service.store.filters import Filters, Near


@pytest.mark.parametrize(
    ("values", "filters"),
    [
        ({}, Filters()),
        ({"taken_from": "2019", "taken_to": "2019"}, Filters(taken_from=date(2019, 1, 1), taken_to=date(2019, 12, 31))),
        ({"taken_from": "2020-02"}, Filters(taken_from=date(2020, 2, 1))),
        ({"taken_to": "2020-02"}, Filters(taken_to=date(2020, 2, 29))),
        ({"taken_from": "2019-07-14"}, Filters(taken_from=date(2019, 7, 14))),
        ({"month": "7", "day": "14"}, Filters(month=7, day=14)),
        ({"month": 2, "day": 29}, Filters(month=2, day=29)),
        ({"camera": "Canon"}, Filters(camera=("Canon",))),
        ({"camera": ["canon", "nikon"], "lens": ("50mm",)}, Filters(camera=("canon", "nikon"), lens=("50mm",))),
        ({"place": "Нью-Йорк"}, Filters(place=("Нью-Йорк",))),
        ({"near": "48.85, 2.35, 5"}, Filters(near=Near(48.85, 2.35, 5))),
        ({"near": "-90,180,1e300"}, Filters(near=Near(-90, 180, 20_038))),
        ({"folder": "  Trip   to Baikal "}, Filters(folder=("Trip to Baikal",))),
        ({"keyword": ["a", "b"], "person": "Anna"}, Filters(keyword=("a", "b"), person=("Anna",))),
        ({"min_stars": 4, "label": "red"}, Filters(min_stars=4, label=("red",))),
        ({"focal_length": "50"}, Filters(focal_length=(49.5, 50.5))),
        ({"focal_length": "24-70"}, Filters(focal_length=(24, 70))),
        ({"focal_length": "24 – 70 mm"}, Filters(focal_length=(24, 70))),
        ({"format": "jpeg", "is_raw": "false"}, Filters(format=("jpeg",), is_raw=False)),
        ({"is_raw": True, "has_place": "0"}, Filters(is_raw=True, has_place=False)),
        ({"orientation": "Portrait"}, Filters(orientation="portrait")),
        ({"month": "", "camera": [], "taken_from": None, "place": [" "]}, Filters()),
    ],
)
def test_values_become_filters(values: Mapping[str, FilterValue], filters: Filters) -> None:
    assert filters_from_names(values) == filters


def test_every_filter_has_a_name() -> None:
    for field in fields(Filters):
        with pytest.raises(UsageError, match=rf"^{field.name} is .*; it must be "):
            filters_from_names({field.name: "x" * 201})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"month": "13"}, "month is 13; it must be from 1 to 12."),
        ({"month": "0"}, "month is 0; it must be from 1 to 12."),
        ({"month": "9" * 5000}, "it must be from 1 to 12."),
        ({"month": ["7", "8"]}, "month is given 2 times; give it once."),
        ({"day": "32"}, "day is 32; it must be from 1 to 31."),
        ({"month": "2", "day": "30"}, "day is 30, and month 2 is shorter."),
        ({"taken_from": "2020", "taken_to": "2019"}, "taken_from 2020 is after taken_to 2019."),
        ({"taken_from": "yesterday"}, "taken_from is yesterday; it must be a year, a month or a day, such as 2019, "),
        ({"taken_to": "2019-02-30"}, "taken_to is 2019-02-30; it must be a year, a month or a day"),
        ({"taken_to": "0000-00-00"}, "taken_to is 0000-00-00; it must be"),
        ({"near": "1000,1000,5"}, "near is 1000,1000,5; it must be LAT,LON,KM: a latitude from -90 to 90"),
        ({"near": "nan,nan,1"}, "near is nan,nan,1; it must be"),
        ({"near": "48,2,0"}, "near is 48,2,0; it must be"),
        ({"near": "48,2,inf"}, "near is 48,2,inf; it must be"),
        ({"near": "48,2"}, "near is 48,2; it must be"),
        ({"min_stars": "0"}, "min_stars is 0; it must be from 1 to 5."),
        ({"min_stars": 4.5}, "min_stars is 4.5; it must be from 1 to 5."),
        ({"focal_length": "70-24"}, "focal_length is 70-24; it must be millimetres, such as 50 or 24-70."),
        ({"focal_length": "0"}, "focal_length is 0; it must be millimetres"),
        ({"orientation": "diagonal"}, "orientation is diagonal; it must be landscape, portrait or square."),
        ({"is_raw": "maybe"}, "is_raw is maybe; it must be true or false."),
        ({"camera": "a \udcff"}, "camera is a \N{REPLACEMENT CHARACTER}; it must be a text of 1 to 200 characters."),
        ({"colour": "red"}, "There is no filter colour. The filters are camera, day, "),
        ({"label\x1b[2J": "red"}, "There is no filter label\N{REPLACEMENT CHARACTER}[2J. "),
    ],
)
def test_what_cannot_be_is_named(values: Mapping[str, FilterValue], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        filters_from_names(values)
    assert message in caught.value.message
    assert len(caught.value.message) < 500


def test_messages_name_the_parameter_for_the_command_line() -> None:
    with pytest.raises(UsageError) as caught:
        filters_from_names({"taken_from": "2020", "taken_to": "2019"})
    assert set(caught.value.parameters) == {"taken_from", "taken_to"}


NAMES = st.sampled_from([field.name for field in fields(Filters)])


@given(st.dictionaries(NAMES, st.text() | st.integers() | st.floats()))
def test_any_text_is_a_value_or_a_usage_error(values: dict[str, FilterValue]) -> None:
    try:
        assert isinstance(filters_from_names(values), Filters)
    except UsageError as error:
        assert error.message.isprintable()
