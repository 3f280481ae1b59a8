"""Dates in ordinary words, in English and Russian: "in July 2023", "last summer", "14 июля 2019", "на прошлой неделе".

Words are compared in lower case, and `ё` as `е`. A year counts from the oldest photograph to the next year, so that
"Blade Runner 2049" has none.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache

from service.search.periods import Period, days_before, month_counted_from

FIRST_YEAR = 1826
"""Of the oldest photograph that is known."""
MAX_WORDS = 7
"""Words of the longest date."""


@dataclass(frozen=True, slots=True)
class DateWords:
    """A date in the first words of a text.

    Attributes:
        words: how many words that are.
        first, last: first and last day; None for no bound.
        month, day: of any year.
    """

    words: int = 0
    first: date | None = None
    last: date | None = None
    month: int | None = None
    day: int | None = None


def read_date(words: Sequence[str], today: date, *, alone: bool = False) -> DateWords | None:
    """The longest date at the beginning of words that are `normalised`; None where they begin with no date.

    `alone` is whether these are all words: then the name of a month is enough.
    """
    text = " ".join(words[:MAX_WORDS])
    if not _clue().search(text):
        return None
    if alone and (month := month_named(text)):
        return DateWords(1, month=month)
    longest = None
    for pattern, read in _patterns():
        if found := pattern.match(text):
            count = found[0].count(" ") + 1
            # The calendar may have no such day, and photographs no such year.
            with suppress(ValueError, OverflowError):
                if longest is None or count > longest.words:
                    longest = replace(read(found, today), words=count)
    return longest


def month_named(text: str) -> int | None:
    """The number of a month by its name; None for another text."""
    return next((number for number, names in enumerate(_MONTHS, 1) if re.fullmatch(names, normalised(text))), None)


def normalised(word: str) -> str:
    """A word as it is compared."""
    return word.casefold().replace("ё", "е")


def check_year(year: int, today: date) -> None:
    """Raise `ValueError` for a year in which no photograph was taken."""
    if not FIRST_YEAR <= year <= today.year + 1:
        raise ValueError(year)


# -- words -------------------------------------------------------------------------------------------

_MONTHS = (
    "january|jan|январ[ьяе]|янв",
    "february|feb|феврал[ьяе]|фев",
    "march|mar|март[ае]?|мар",
    "april|apr|апрел[ьяе]|апр",
    "may|ма[йяе]",
    "june|jun|июн[ьяе]?",
    "july|jul|июл[ьяе]?",
    "august|aug|август[ае]?|авг",
    "september|sept?|сентябр[ьяе]|сент?",
    "october|oct|октябр[ьяе]|окт",
    "november|nov|ноябр[ьяе]|нояб?",
    "december|dec|декабр[ьяе]|дек",
)
_SEASONS = ("winter|зим(?:а|ы|ой)", "spring|весн(?:а|ы|ой)", "summer|лет(?:о|а|ом)", "autumn|fall|осен(?:ь|и|ью)")
_UNITS = ("days?|день|дня|дней", "weeks?|недел[яюие]|недель", "months?|месяц(?:а|е|ев)?", "years?|год[ау]?|лет")

_MONTH = f"(?P<month>{'|'.join(_MONTHS)})"
_SEASON = f"(?P<season>{'|'.join(_SEASONS)})"
_UNIT = f"(?P<unit>{'|'.join(_UNITS)})"
_WHOLE_UNIT = "(?P<unit>week|недел[яюие]|month|месяца?е?|year|год[ау]?)"
_DAY = "(?:the )?(?P<day>[0-9]{1,2})(?:st|nd|rd|th|-?го)?"
_YEAR = "(?P<year>[0-9]{4})(?: (?:года|году|год|г))?"
_NUMERIC = r"(?P<numeric>[0-9]{4}[-./][0-9]{1,2}(?:[-./][0-9]{1,2})?|(?:[0-9]{1,2}\.)?[0-9]{2}\.[0-9]{4})"
_LAST = "(?:last|прошл(?:ый|ая|ое|ой|ом|ым|ую))"
_THIS = "(?:this|эт(?:от|а|о|ой|ом|им|у))"

# -- what they mean ----------------------------------------------------------------------------------


def _number_of(word: str, names: Sequence[str]) -> int:
    return next(number for number, each in enumerate(names) if re.fullmatch(each, word))


def _period(found: re.Match[str], today: date) -> Period:
    """The year, month or day that a match of one of `_DATES` names."""
    parts = found.groupdict()
    if parts.get("numeric"):
        period = Period.parse(parts["numeric"])
    else:
        month = month_named(parts["month"]) if "month" in parts else None
        period = Period.of(int(parts["year"]), month, int(parts["day"]) if "day" in parts else None)
    check_year(period.first.year, today)
    return period


def _within(found: re.Match[str], today: date) -> DateWords:
    return _all_of(_period(found, today))


def _since(found: re.Match[str], today: date) -> DateWords:
    return DateWords(first=_period(found, today).first)


def _until(found: re.Match[str], today: date) -> DateWords:
    return DateWords(last=_period(found, today).last)


def _after(found: re.Match[str], today: date) -> DateWords:
    return DateWords(first=_period(found, today).last + timedelta(1))


def _before(found: re.Match[str], today: date) -> DateWords:
    return DateWords(last=_period(found, today).first - timedelta(1))


def _all_of(period: Period) -> DateWords:
    return DateWords(first=period.first, last=period.last)


def _years(found: re.Match[str], today: date) -> DateWords:
    first, last = int(found["from"]), int(found["to"])
    check_year(first, today)
    check_year(last, today)
    if first > last:
        raise ValueError(first)
    return DateWords(first=date(first, 1, 1), last=date(last, 12, 31))


def _decade(found: re.Match[str], today: date) -> DateWords:
    first = int(found["decade"])
    check_year(first, today)
    return DateWords(first=date(first, 1, 1), last=date(first + 9, 12, 31))


def _month_of_any_year(found: re.Match[str], today: date) -> DateWords:
    return DateWords(month=month_named(found["month"]))


def _day_of_any_year(found: re.Match[str], today: date) -> DateWords:
    month, day = month_named(found["month"]) or 1, int(found["day"])
    if not 1 <= day <= monthrange(2000, month)[1]:
        raise ValueError(day)
    return DateWords(month=month, day=day)


def _season(found: re.Match[str], today: date) -> DateWords:
    check_year(int(found["year"]), today)
    return _all_of(_season_of(_number_of(found["season"], _SEASONS), int(found["year"])))


def _season_of(number: int, year: int) -> Period:
    """Three months; a winter begins in the December of the year before."""
    return Period(month_counted_from(year, 3 * number).first, month_counted_from(year, 3 * number + 2).last)


def _last_or_this(*, ended: bool) -> Callable[[re.Match[str], date], DateWords]:
    """The reader of the latest season or month by name that has `ended`, or else begun."""

    def read(found: re.Match[str], today: date) -> DateWords:
        years = range(today.year + 1, today.year - 2, -1)
        parts = found.groupdict()
        if "season" in parts:
            number = _number_of(parts["season"], _SEASONS)
            periods: Iterator[Period] = (_season_of(number, year) for year in years)
        else:
            periods = (Period.of(year, month_named(parts["month"])) for year in years)
        return _all_of(next(each for each in periods if (each.last < today if ended else each.first <= today)))

    return read


def _unit(back: int) -> Callable[[re.Match[str], date], DateWords]:
    """The reader of the week, month or year so many before this one; weeks begin on Monday."""

    def read(found: re.Match[str], today: date) -> DateWords:
        unit = _number_of(found["unit"], _UNITS)
        if unit == 3:
            return _all_of(Period.of(today.year - back))
        if unit == 2:
            return _all_of(month_counted_from(today.year, today.month - back))
        monday = days_before(today, today.weekday() + 7 * back)
        return DateWords(first=monday, last=monday + timedelta(6))

    return read


def _last_units(found: re.Match[str], today: date) -> DateWords:
    """So many days, weeks, months or years up to today."""
    count, unit = int(found["count"]), _number_of(found["unit"], _UNITS)
    days = count * (1, 7, 30, 365)[unit]
    return DateWords(first=days_before(today, days), last=today)


def _day(back: int) -> Callable[[re.Match[str], date], DateWords]:
    return lambda found, today: _all_of(Period(days_before(today, back), days_before(today, back)))


_DATES = (
    f"{_DAY} (?:of )?{_MONTH} (?:of )?{_YEAR}",
    f"{_MONTH} {_DAY} {_YEAR}",
    f"{_MONTH} (?:of )?{_YEAR}",
    _NUMERIC,
    _YEAR,
)
_BOUNDS = (
    ("(?:in |on |of |from |во? |за |от )?", _within),
    ("(?:since |с |со |начиная с )", _since),
    ("(?:until |till |up to )", _until),
    ("(?:after |после )", _after),
    ("(?:before |до )", _before),
)
_TO = r"(?:\.\.|-|–|—| - | – | — | to | through | по )"
_SENTENCES: tuple[tuple[str, Callable[[re.Match[str], date], DateWords]], ...] = (
    *((bound + form, read) for bound, read in _BOUNDS for form in _DATES),
    (rf"(?:in |from |с |во? |за )?(?P<from>[0-9]{{4}}){_TO}(?P<to>[0-9]{{4}})(?: (?:год(?:а|ы|ах)?|гг))?", _years),
    ("between (?P<from>[0-9]{4}) and (?P<to>[0-9]{4})", _years),
    ("между (?P<from>[0-9]{4}) и (?P<to>[0-9]{4})(?: годами)?", _years),
    # Without these words a decade is a style: "1950s cars".
    ("(?:in|from|of|during) the (?P<decade>[0-9]{3}0)'?s", _decade),
    ("(?:во?|из) (?P<decade>[0-9]{3}0)(?:-?е|-?х)(?: (?:годы|годов|годах|гг))?", _decade),
    (f"(?:in|during|every|each|во?|кажд(?:ый|ого|ом)) {_MONTH}", _month_of_any_year),
    (f"(?:on |every |each |кажд(?:ый|ое|ого) )?{_DAY} (?:of )?{_MONTH}", _day_of_any_year),
    (f"(?:on |every |each )?{_MONTH} {_DAY}", _day_of_any_year),
    (f"(?:in |during )?(?:the )?{_SEASON} (?:of )?{_YEAR}", _season),
    (f"(?:во? )?{_LAST} {_SEASON}", _last_or_this(ended=True)),
    (f"(?:во? )?{_THIS} {_SEASON}", _last_or_this(ended=False)),
    (f"(?:in |во? )?{_LAST} {_MONTH}", _last_or_this(ended=True)),
    (f"(?:in |во? )?{_THIS} {_MONTH}", _last_or_this(ended=False)),
    (f"(?:во? |на )?{_LAST} {_WHOLE_UNIT}", _unit(1)),
    (f"(?:во? |на )?{_THIS} {_WHOLE_UNIT}", _unit(0)),
    (f"(?:(?:in |during |over )?(?:the )?(?:last|past)|за последни[ех]) (?P<count>[0-9]{{1,4}}) {_UNIT}", _last_units),
    ("today|сегодня", _day(0)),
    ("yesterday|вчера", _day(1)),
    ("(?:the )?day before yesterday|позавчера", _day(2)),
)


@cache
def _clue() -> re.Pattern[str]:
    """Matches something that every date has: a digit, or the name of a month, a season, a unit or a day."""
    names = "|".join((*_MONTHS, *_SEASONS, *_UNITS, "today|сегодня|yesterday|вчера|позавчера"))
    return re.compile(rf"[0-9]|\b(?:{names})\b")


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], Callable[[re.Match[str], date], DateWords]], ...]:
    """Compiled when the first text has a clue, since that takes 20 ms of a search in a new process."""
    return tuple((re.compile(f"(?:{sentence})(?= |$)"), read) for sentence, read in _SENTENCES)
