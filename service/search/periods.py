"""Periods of whole days: a day, a month, a year, or from one day to another."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta

MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
DATE_FORMS = "a year, a month or a day, such as 2019, 2019-07 or 2019-07-14"

_FORMS = (
    re.compile(r"(?P<year>[0-9]{4})(?:[-./](?P<month>[0-9]{1,2})(?:[-./](?P<day>[0-9]{1,2}))?)?"),
    re.compile(r"(?:(?P<day>[0-9]{1,2})\.)?(?P<month>[0-9]{1,2})\.(?P<year>[0-9]{4})"),
)


@dataclass(frozen=True, slots=True)
class Period:
    """From the first to the last day, both included."""

    first: date
    last: date

    @classmethod
    def of(cls, year: int, month: int | None = None, day: int | None = None) -> Period:
        """A year, a month or a day; raises `ValueError` where the calendar has none."""
        if month is None:
            return cls(date(year, 1, 1), date(year, 12, 31))
        first = date(year, month, 1 if day is None else day)
        return cls(first, _last_of_month(first) if day is None else first)

    @classmethod
    def parse(cls, text: str) -> Period:
        """Read `2019`, `2019-07`, `2019-07-14`, `07.2019` or `14.07.2019`; raises `ValueError`."""
        for form in _FORMS:
            if found := form.fullmatch(text):
                return cls.of(*(int(found[name]) if found[name] else None for name in ("year", "month", "day")))  # type: ignore[arg-type]
        raise ValueError(text)

    def __str__(self) -> str:
        """`2019`, `2019-07`, `2019-07-14`, or two of them with a slash between, as in ISO 8601."""
        first, last = shortest_start(self.first), shortest_end(self.last)
        for text in (first, last):
            if Period.parse(text) == self:
                return text
        return f"{first}/{last}" if len(first) == len(last) else f"{self.first}/{self.last}"

    def describe(self) -> str:
        """In words with a preposition, such as `in July 2019`."""
        first, _, last = str(self).partition("/")
        if last:
            return f"from {in_words(first)} to {in_words(last)}"
        return f"{'on' if self.first == self.last else 'in'} {in_words(first)}"


def shortest_start(day: date) -> str:
    """The shortest date that begins with a day: a year, a month or the day itself."""
    if day.day > 1:
        return day.isoformat()
    return day.isoformat()[:7] if day.month > 1 else day.isoformat()[:4]


def shortest_end(day: date) -> str:
    """The shortest date that ends with a day: a year, a month or the day itself."""
    if day != _last_of_month(day):
        return day.isoformat()
    return day.isoformat()[:7] if day.month < 12 else day.isoformat()[:4]


def in_words(text: str) -> str:
    """`14 July 2019` for `2019-07-14`, and so on."""
    year, *rest = text.split("-")
    month = [MONTHS[int(rest[0]) - 1]] if rest else []
    return " ".join([*(str(int(day)) for day in rest[1:]), *month, year])


def month_counted_from(year: int, month: int) -> Period:
    """A month of a year; 0 is the December before it, 13 the January after it."""
    years, index = divmod(month - 1, 12)
    return Period.of(year + years, index + 1)


def days_before(day: date, days: int) -> date:
    """The day so many days before; the first of the calendar where it does not go back as far."""
    return day - timedelta(min(days, (day - date.min).days))


def _last_of_month(day: date) -> date:
    return day.replace(day=monthrange(day.year, day.month)[1])
