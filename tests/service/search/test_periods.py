"""Periods of whole days: read, written and described."""

from __future__ import annotations

from datetime import date

import pytest

from service.search.periods import Period, month_counted_from, shortest_end, shortest_start


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2019", date(2019, 1, 1), date(2019, 12, 31)),
        ("2020-02", date(2020, 2, 1), date(2020, 2, 29)),
        ("2019-7", date(2019, 7, 1), date(2019, 7, 31)),
        ("2019-07-14", date(2019, 7, 14), date(2019, 7, 14)),
        ("2019/07/14", date(2019, 7, 14), date(2019, 7, 14)),
        ("14.07.2019", date(2019, 7, 14), date(2019, 7, 14)),
        ("07.2019", date(2019, 7, 1), date(2019, 7, 31)),
    ],
)
def test_a_period_is_a_year_a_month_or_a_day(text: str, first: date, last: date) -> None:
    assert Period.parse(text) == Period(first, last)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0000",
        "19",
        "2019-13",
        "2019-00",
        "2019-07-00",
        "2019-02-29",
        "20190714",
        "2019-07-14T10:00",
        "٢٠١٩",
        " 2019",
    ],
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Period.parse(text)


@pytest.mark.parametrize(
    ("first", "last", "text", "words"),
    [
        ("2019", "2019", "2019", "in 2019"),
        ("2019-07", "2019-07", "2019-07", "in July 2019"),
        ("2019-07-14", "2019-07-14", "2019-07-14", "on 14 July 2019"),
        ("2015", "2018", "2015/2018", "from 2015 to 2018"),
        ("2019-06", "2019-08", "2019-06/2019-08", "from June 2019 to August 2019"),
        ("2019", "2019-03", "2019-01-01/2019-03-31", "from 1 January 2019 to 31 March 2019"),
        ("2019-01-01", "2019-01-01", "2019-01-01", "on 1 January 2019"),
        ("2019-12-31", "2020-01-01", "2019-12-31/2020-01-01", "from 31 December 2019 to 1 January 2020"),
    ],
)
def test_a_period_is_written_as_short_as_it_can_be(first: str, last: str, text: str, words: str) -> None:
    period = Period(Period.parse(first).first, Period.parse(last).last)
    assert (str(period), period.describe()) == (text, words)


def test_the_shortest_dates_begin_and_end_with_a_day() -> None:
    assert [shortest_start(date(2020, *day)) for day in ((1, 1), (7, 1), (7, 2))] == ["2020", "2020-07", "2020-07-02"]
    assert [shortest_end(date(2020, *day)) for day in ((12, 31), (2, 29), (2, 28))] == ["2020", "2020-02", "2020-02-28"]


def test_months_are_counted_over_the_ends_of_a_year() -> None:
    assert [str(month_counted_from(2020, month)) for month in (0, 1, 12, 13)] == [
        *("2019-12", "2020-01", "2020-12", "2021-01"),
    ]
