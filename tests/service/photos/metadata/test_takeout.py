"""Google Takeout's JSON: date, place, people, and files that are something else."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from service.photos.metadata.takeout import MAX_BYTES, parse_takeout, read_takeout, takeout_moment
from service.photos.metadata.values import Moment
from service.store.metadata import Metadata
from tests.service.metadata_files import takeout


def parse(content: bytes) -> dict[str, Any]:
    problems: list[str] = []
    fields = parse_takeout(content, problems)
    assert problems == []
    assert fields is not None
    return fields


def test_description_people_and_place_are_read() -> None:
    fields = parse(
        takeout(
            description="On the ice\r\nof Baikal",
            people=[{"name": "Ann"}, {"name": "Ann"}, {"name": "Боб"}, {}],
            geoData={"latitude": 0.0, "longitude": 0.0, "altitude": 0.0},
            geoDataExif={"latitude": 51.9, "longitude": 104.8, "altitude": 456.0},
        )
    )
    assert read_takeout(fields, []) == Metadata(
        description="On the ice\nof Baikal", people=("Ann", "Боб"), latitude=51.9, longitude=104.8, altitude=456
    )


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        ({"timestamp": "1563107696", "formatted": "Jul 14, 2019"}, Moment(datetime(2019, 7, 14, 12, 34, 56), 0)),
        ({"timestamp": "-126230400"}, Moment(datetime(1966, 1, 1), 0)),
        ({"timestamp": "0"}, None),
        ({"timestamp": "9" * 400}, None),
        ({"timestamp": None}, None),
        ({"timestamp": "yesterday"}, None),
        ([], None),
        (None, None),
    ],
)
def test_the_date_is_in_utc(taken: object, expected: Moment | None) -> None:
    assert takeout_moment(parse(takeout(photoTakenTime=taken))) == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"description": 7, "people": "Ann", "geoData": []},
        {"people": ["Ann", None, {"name": 3}], "geoData": {"latitude": "51", "longitude": None}},
        {"geoData": {"latitude": 1000, "longitude": 1000}},
        {"geoData": {"latitude": 10**400, "longitude": 1}},
        {"geoData": {"latitude": float("nan"), "longitude": float("inf")}},
        {"description": "\ud800"},
    ],
)
def test_fields_of_another_type_are_left_out(fields: dict[str, object]) -> None:
    assert read_takeout(parse(takeout(**fields)), []) == Metadata()


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        (b"", ["its Takeout JSON is damaged"]),
        (b'{"title": ', ["its Takeout JSON is damaged"]),
        (b"[" * 100_000, ["its Takeout JSON is damaged"]),
        (b'{"title": ' + b"9" * 10_000 + b"}", ["its Takeout JSON is damaged"]),
        (b" " * (MAX_BYTES + 1), ["its Takeout JSON is larger than a megabyte"]),
        (b"[]", []),
        (json.dumps({"name": "package", "version": 1}).encode(), []),
    ],
)
def test_what_is_not_takeouts_is_left_out(content: bytes, problems: list[str]) -> None:
    said: list[str] = []
    assert (parse_takeout(content, said), said) == (None, problems)


def test_a_byte_order_mark_and_broken_characters_do_no_harm() -> None:
    assert parse(b"\xef\xbb\xbf" + takeout())["title"] == "IMG_1.jpg"
    assert parse(b'{"title": "caf\xe9"}')["title"] == "caf\ufffd"
