"""What a person types, taken apart into the words to search for and filters: `beach in Paris camera:canon 2019`.

English and Russian. What is understood becomes a filter and a chip; all other words stay as they were typed, and so
does what is in quotes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import fields as fields_of
from datetime import date, timedelta
from itertools import takewhile
from typing import Any, NamedTuple, get_args

from service.errors import UsageError
from service.photos.places.ordinary_words import ORDINARY_WORDS
from service.search.chips import Chip
from service.search.date_words import MAX_WORDS, DateWords, month_named, normalised, read_date
from service.search.filter_values import dates_in_order, day_in_month, is_list, read_value, shown
from service.search.periods import DATE_FORMS, Period, shortest_end, shortest_start
from service.search.query_tokens import PUNCTUATION, Token, tokens_of
from service.store.filters import NO_FILTERS, Filters, Orientation
from service.texts import check_text


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What the words of a query may name: `is_place` is whether a text is the name of a town, region or country."""

    is_place: Callable[[str], bool] = lambda text: False


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """A query: the words to search for, "" for none, what it filters, and what was understood as which filter."""

    text: str
    filters: Filters
    chips: tuple[Chip, ...] = ()


def parse_query(text: str, today: date, vocabulary: Vocabulary, filters: Filters = NO_FILTERS) -> ParsedQuery:
    """Take a query apart into words and filters.

    Args:
        text: what a person typed.
        today: what "last summer" and the like count from.
        vocabulary: what words may name.
        filters: further filters, which the result has too. Words that contradict them stay words.

    Raises:
        UsageError: the text is too long or no Unicode, a filter such as `month:13` has a value that cannot be, or two
            exclude each other.
    """
    if not text.strip():
        return ParsedQuery("", filters)
    check_text(text)
    tokens = tokens_of(text)
    parts = [_Part(index, index + 1, _read_pair(token)) for index, token in enumerate(tokens) if _is_pair(token)]
    fields = _all_fields(text, tokens, parts, filters)
    index = 0
    while index < len(tokens):
        part = _read_words(tokens, index, today, vocabulary)
        combined = None if part is None else _combined(fields, part.meaning.fields)
        if part is None or combined is None:
            index += 1
        else:
            parts.append(part)
            fields, index = combined, part.end
    parts.sort()
    return ParsedQuery(_searched(tokens, parts), Filters(**fields), tuple(_chip(text, tokens, part) for part in parts))


class _Meaning(NamedTuple):
    """What a part of a query means: fields of `Filters`, and the field and value of its chip."""

    fields: Mapping[str, Any]
    field: str
    value: str


class _Part(NamedTuple):
    """The tokens of a query from `start` up to `end` that mean a filter."""

    start: int
    end: int
    meaning: _Meaning


def _typed(text: str, tokens: Sequence[Token], part: _Part) -> str:
    last = tokens[part.end - 1]
    return text[tokens[part.start].start : last.start + len(last.typed)]


def _chip(text: str, tokens: Sequence[Token], part: _Part) -> Chip:
    return Chip(part.meaning.field, part.meaning.value, _typed(text, tokens, part))


def _searched(tokens: Sequence[Token], parts: Sequence[_Part]) -> str:
    """The words that belong to no part; "" if what is left of a filtered query is punctuation."""
    understood = {index for part in parts for index in range(part.start, part.end)}
    words = " ".join(" ".join(token.searched for index, token in enumerate(tokens) if index not in understood).split())
    if not parts:
        return words
    return words.strip(" ,;") if any(letter.isalnum() for letter in words) else ""


# -- filters together --------------------------------------------------------------------------------


def _all_fields(text: str, tokens: Sequence[Token], parts: Sequence[_Part], filters: Filters) -> dict[str, Any]:
    """The fields of filters and of all parts; raises `UsageError` where two exclude each other."""
    given = {field.name: getattr(filters, field.name) for field in fields_of(filters)}
    fields = {name: value for name, value in given.items() if value not in (None, ())}
    for number, part in enumerate(parts):
        combined = _combined(fields, part.meaning.fields)
        if combined is None:
            excluding = [each for each in parts[:number] if _combined(each.meaning.fields, part.meaning.fields) is None]
            others = [shown(_typed(text, tokens, each)) for each in excluding[:1]] or ["the other filters"]
            raise UsageError(
                f"{shown(_typed(text, tokens, part))} and {others[0]} exclude each other. Leave one of them out."
            )
        fields = combined
    return fields


def _combined(fields: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any] | None:
    """Fields that all hold; None if they exclude each other."""
    both = dict(fields)
    for name, value in more.items():
        if name not in both:
            both[name] = value
        elif name == "taken_from":
            both[name] = max(both[name], value)
        elif name == "taken_to":
            both[name] = min(both[name], value)
        elif is_list(name):
            both[name] = tuple(dict.fromkeys((*both[name], *value)))
        elif both[name] != value:
            return None
    return both if dates_in_order(both) and day_in_month(both) else None


# -- key:value ---------------------------------------------------------------------------------------

_NAMES = {
    **{name: name for name in ("camera", "lens", "focal_length", "place", "near", "folder", "keyword", "person")},
    **{name: name for name in ("min_stars", "label", "format", "orientation", "month", "day", "is_raw", "has_place")},
    **{"tag": "keyword", "stars": "min_stars", "focal": "focal_length"},
    **{"камера": "camera", "объектив": "lens", "фокусное": "focal_length", "место": "place", "рядом": "near"},
    **{"папка": "folder", "тег": "keyword", "человек": "person", "звезды": "min_stars", "метка": "label"},
    **{"формат": "format", "ориентация": "orientation", "месяц": "month", "день": "day"},
}
"""Filters by the keys that set them."""

_DAY = timedelta(1)
_DATES: dict[str, Callable[[Period], DateWords]] = {
    **dict.fromkeys(("date", "taken", "year", "дата", "год"), lambda days: DateWords(first=days.first, last=days.last)),
    **dict.fromkeys(("from", "since", "taken_from", "с"), lambda days: DateWords(first=days.first)),
    **dict.fromkeys(("to", "until", "taken_to", "по"), lambda days: DateWords(last=days.last)),
    **dict.fromkeys(("after", "после"), lambda days: DateWords(first=days.last + _DAY)),
    **dict.fromkeys(("before", "до"), lambda days: DateWords(last=days.first - _DAY)),
}
"""Keys of dates, and which days are meant by a period after them."""

_WORDS = {
    "is": {
        "raw": _Meaning({"is_raw": True}, "is_raw", "true"),
        **{shape: _Meaning({"orientation": shape}, "orientation", shape) for shape in get_args(Orientation)},
    },
    "has": {"place": _Meaning({"has_place": True}, "has_place", "true")},
}
"""Keys with a few words that may follow."""


def _is_pair(token: Token) -> bool:
    """Whether a token is `key:value` with a key that means something."""
    return token.key in _NAMES or token.key in _DATES or token.key in _WORDS


def _read_pair(token: Token) -> _Meaning:
    """What `key:value` means; raises `UsageError` where the value cannot be."""
    try:
        if token.key in _DATES:
            return _meaning_of_date(_read_days(_DATES[token.key], token.value))
        if token.key in _WORDS:
            return _read_word(_WORDS[token.key], token.value)
        return _read_filter(_NAMES[str(token.key)], token.value)
    except ValueError as error:
        raise UsageError(
            f"What follows the colon of {shown(token.typed)} must be {error}. Put it in quotes to search for the words."
        ) from None


def _read_word(choices: Mapping[str, _Meaning], value: str) -> _Meaning:
    if value.casefold() not in choices:
        raise ValueError(" or ".join(choices))
    return choices[value.casefold()]


def _read_filter(name: str, text: str) -> _Meaning:
    month = month_named(text) if name == "month" else None
    text = str(month or " ".join(text.split())).removesuffix("mm" if name == "focal_length" else "")
    value = read_value(name, text)
    # "yes", "1" and "true" are one value, and so are "04" and "4".
    shown_value = str(value).lower() if isinstance(value, int) else text
    return _Meaning({name: (value,) if is_list(name) else value}, name, shown_value)


def _read_days(days_of: Callable[[Period], DateWords], text: str) -> DateWords:
    """The days meant by a year, month or day, or by two of them as `2015..2018`; years also as `2015-2018`."""
    years = re.fullmatch("([0-9]{4})[-–]([0-9]{4})", text)
    first, *rest = years.groups() if years else text.split("..", 1)
    try:
        period = Period(Period.parse(first).first, Period.parse(rest[0] if rest else first).last)
        if period.first <= period.last:
            return days_of(period)
    except (ValueError, OverflowError):
        pass
    raise ValueError(DATE_FORMS)


def _meaning_of_date(found: DateWords) -> _Meaning:
    days = {"taken_from": found.first, "taken_to": found.last, "month": found.month, "day": found.day}
    fields = {name: value for name, value in days.items() if value is not None}
    if found.first and found.last:
        return _Meaning(fields, "taken", str(Period(found.first, found.last)))
    if found.first:
        return _Meaning(fields, "taken_from", shortest_start(found.first))
    if found.last:
        return _Meaning(fields, "taken_to", shortest_end(found.last))
    if found.day:
        return _Meaning(fields, "day", f"{found.month:02}-{found.day:02}")
    return _Meaning(fields, "month", str(found.month))


# -- words -------------------------------------------------------------------------------------------

_IN = frozenset(("in", "near", "around", "в", "во", "на"))
"""Words before the name of a place. Russian names after them are in the prepositional case."""

_PLACE_WORDS = 5
"""Words of the longest name of a place."""


def _read_words(tokens: Sequence[Token], start: int, today: date, vocabulary: Vocabulary) -> _Part | None:
    """The date or place that begins at a token, the longer one; None where there is none."""
    words = list(takewhile(_is_word, tokens[start : start + max(MAX_WORDS, _PLACE_WORDS + 1)]))
    found = read_date([normalised(token.word) for token in words], today, alone=len(tokens) == 1)
    place = _read_place(words[: _PLACE_WORDS + 1], vocabulary)
    if place and (found is None or len(place) >= found.words):
        name = " ".join(token.typed for token in place).strip(PUNCTUATION)
        return _Part(start, start + 1 + len(place), _Meaning({"place": (name,)}, "place", name))
    return None if found is None else _Part(start, start + found.words, _meaning_of_date(found))


def _read_place(words: Sequence[Token], vocabulary: Vocabulary) -> Sequence[Token]:
    """The words after the first, a preposition, that are the longest name of a place."""
    if words and normalised(words[0].word) in _IN:
        for end in range(len(words), 1, -1):
            name = " ".join(token.typed for token in words[1:end]).strip(PUNCTUATION)
            if name and name not in ORDINARY_WORDS and vocabulary.is_place(name):
                return words[1:end]
    return ()


def _is_word(token: Token) -> bool:
    return not token.quoted and not _is_pair(token)
