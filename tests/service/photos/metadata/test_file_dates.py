"""Dates in the names of files."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from service.photos.metadata.file_dates import date_in_name
from service.photos.metadata.values import Moment

NOON = datetime(2019, 7, 14, 12, 34, 56)


@pytest.mark.parametrize(
    "name",
    [
        "IMG_20190714_123456.jpg",
        "PXL_20190714_123456789.jpg",
        "PXL_20190714_123456789.MP.jpg",
        "MVIMG_20190714_123456.jpg",
        "20190714_123456.heic",
        "20190714123456.jpg",
        "Screenshot_20190714-123456_Chrome.png",
        "Screenshot_2019-07-14-12-34-56-789_com.app.png",
        "2019-07-14 12.34.56.jpg",
        "2019-07-14_12-34-56.jpg",
        "2019-07-14 12.34.56-1.jpg",
        "2019-07-14T12:34:56.jpg",
        "Screenshot 2019-07-14 at 12.34.56.png",
        "Screen Shot 2019-07-14 at 12.34.56 PM.png",
        "WhatsApp Image 2019-07-14 at 12.34.56.jpeg",
        "signal-2019-07-14-123456.jpg",
        "signal-2019-07-14-12-34-56-789.jpg",
        "photo_2019-07-14_12-34-56.jpg",
        "Photo 2019_07_14 12_34_56.jpg",
        "IMG_1_20190714_123456_(2).jpg",
    ],
)
def test_dates_with_a_time_are_read(name: str) -> None:
    assert date_in_name(name) == Moment(NOON)


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("Screen Shot 2019-07-14 at 9.41.05 PM.png", datetime(2019, 7, 14, 21, 41, 5)),
        ("Screenshot 2019-07-14 at 12.41.05\u202fAM.png", datetime(2019, 7, 14, 0, 41, 5)),
    ],
)
def test_halves_of_the_day_are_read(name: str, time: datetime) -> None:
    assert date_in_name(name) == Moment(time)


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("IMG-20190714-WA0001.jpg", datetime(2019, 7, 14)),
        ("VID-20190714-WA0001.jpg", datetime(2019, 7, 14)),
        ("IMG_20190714.jpg", datetime(2019, 7, 14)),
        ("2019-07-14 Lake Baikal.jpg", datetime(2019, 7, 14)),
        ("Omsk 1954-07-14.tif", datetime(1954, 7, 14)),
        ("1854-07-14.tif", datetime(1854, 7, 14)),
        # No such hour: the day remains.
        ("IMG_20190714_993456.jpg", datetime(2019, 7, 14)),
    ],
)
def test_days_are_read(name: str, day: datetime) -> None:
    assert date_in_name(name) == Moment(day, has_clock=False)


@pytest.mark.parametrize(
    "name",
    [
        "IMG_0412.jpg",
        "DSC01234.ARW",
        "19540714.jpg",
        "20191314_123456.jpg",
        "20190230.jpg",
        "21070714_123456.jpg",
        "20990714.jpg",
        "1825-01-01.jpg",
        "123420190714567.jpg",
        "1920x1080.jpg",
        "6f1ed002ab5595859014ebf0951522d9.jpg",
        "０１２３４５６７.jpg",
        "",
        "1" * 100_000,
        "2019-07-14" * 10_000 + "x",
    ],
)
def test_numbers_that_are_no_date_are_not_read(name: str) -> None:
    moment = date_in_name(name)
    assert moment is None or name.startswith("2019-07-142019")


def test_tomorrow_may_be_another_zones_today() -> None:
    today = datetime.now()
    assert date_in_name(f"IMG_{today + timedelta(hours=23):%Y%m%d_%H%M%S}.jpg") is not None
    assert date_in_name(f"IMG_{today + timedelta(days=3):%Y%m%d_%H%M%S}.jpg") is None
