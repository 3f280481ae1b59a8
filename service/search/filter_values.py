"""Filters from names and values as the query string, JSON, the command line and Python give them."""

from __future__ import annotations

import math
import re
from calendar import monthrange
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast, get_args

from service.errors import UsageError
from service.search.periods import DATE_FORMS, Period
from service.store.filters import Filters, Near, Orientation

FilterValue = str | int | float | bool | None | Sequence[str | int | float]

_LISTS = ("camera", "lens", "place", "folder", "keyword", "person", "label", "format")
"""Filters that may have several values."""
_LONGEST = 200
_LONGEST_SHOWN = 60
_FARTHEST_KM = 20_038.0
"""Half of the equator."""
_NEAR = "LAT,LON,KM: a latitude from -90 to 90, a longitude from -180 to 180, kilometres above 0, such as 48.85,2.35,5"
_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_NUMBER = r"[0-9]{1,5}(?:\.[0-9]{1,3})?"


def filters_from_names(values: Mapping[str, FilterValue]) -> Filters:
    """Filters by their names in `Filters`; values are text, or what JSON has for it, and `""` and None are left out.

    Dates are a year, a month or a day (`2019`, `2019-07`, `2019-07-14`), of which `taken_from` takes the first day and
    `taken_to` the last; `near` is `LAT,LON,KM`, `focal_length` is `50` or `24-70`.

    Raises:
        UsageError: an unknown name or value, or two that exclude each other; names both.
    """
    fields: dict[str, Any] = {}
    texts = {name: _texts(value) for name, value in values.items()}
    for name, given in texts.items():
        if name not in _READERS:
            raise UsageError(f"There is no filter {shown(name)}. The filters are {', '.join(sorted(_READERS))}.")
        if len(given) > 1 and name not in _LISTS:
            raise UsageError(f"{name} is given {len(given)} times; give it once.", {name: name})
        for text in given:
            try:
                value = read_value(name, text)
            except ValueError as error:
                raise UsageError(f"{name} is {shown(text)}; it must be {error}.", {name: name}) from None
            fields[name] = (*fields.get(name, ()), value) if name in _LISTS else value
    if not dates_in_order(fields):
        raise UsageError(
            f"taken_from {texts['taken_from'][0]} is after taken_to {texts['taken_to'][0]}.",
            {"taken_from": "taken_from", "taken_to": "taken_to"},
        )
    if not day_in_month(fields):
        raise UsageError(
            f"day is {fields['day']}, and month {fields['month']} is shorter.", {"day": "day", "month": "month"}
        )
    return Filters(**fields)


def read_value(name: str, text: str) -> Any:
    """One value of a filter; raises `ValueError` with what it must be, such as "from 1 to 12"."""
    return _READERS[name](text.strip())


def is_list(name: str) -> bool:
    """Whether a filter may have several values."""
    return name in _LISTS


def dates_in_order(fields: Mapping[str, Any]) -> bool:
    """Whether the first day of `fields` is not after the last."""
    first, last = fields.get("taken_from"), fields.get("taken_to")
    return first is None or last is None or first <= last


def day_in_month(fields: Mapping[str, Any]) -> bool:
    """Whether the month of `fields` has their day, in leap years at least."""
    month, day = fields.get("month"), fields.get("day")
    return month is None or day is None or day <= monthrange(2000, month)[1]


def shown(text: str) -> str:
    """A value as a message shows it: short, and without characters that control a terminal."""
    printable = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text[:_LONGEST])
    return printable if len(printable) <= _LONGEST_SHOWN else f"{printable[: _LONGEST_SHOWN - 1]}…"


def _texts(value: FilterValue) -> list[str]:
    values = [value] if value is None or isinstance(value, str | int | float) else value
    texts = [str(each).lower() if isinstance(each, bool) else str(each) for each in values if each is not None]
    return [text for text in texts if text.strip()]


def _read_period(text: str) -> Period:
    try:
        return Period.parse(text)
    except ValueError:
        raise ValueError(DATE_FORMS) from None


def _whole_number(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise ValueError(f"from {least} to {most}")
        return int(text)

    return read


def _read_text(text: str) -> str:
    words = " ".join(text.split())
    if not 1 <= len(words) <= _LONGEST or (not words.isascii() and not _is_unicode(words)):
        raise ValueError(f"a text of 1 to {_LONGEST} characters")
    return words


def _is_unicode(text: str) -> bool:
    return not re.search("[\ud800-\udfff]", text)


def _read_near(text: str) -> Near:
    try:
        latitude, longitude, km = (float(number) for number in text.split(","))
    except ValueError:
        raise ValueError(_NEAR) from None
    # Comparisons with NaN are false.
    if not (abs(latitude) <= 90 and abs(longitude) <= 180 and 0 < km < math.inf):
        raise ValueError(_NEAR)
    return Near(latitude, longitude, min(km, _FARTHEST_KM))


def _read_focal_length(text: str) -> tuple[float, float]:
    found = re.fullmatch(rf"({_NUMBER})(?:\s*[-–]\s*({_NUMBER}))?\s*(?:mm)?", text, re.IGNORECASE)
    least = float(found[1]) if found else 0.0
    most = float(found[2] or least) if found else 0.0
    if not 0 < least <= most:
        raise ValueError("millimetres, such as 50 or 24-70")
    # Cameras write 49.8 for 50.
    return (least, most) if least < most else (least - 0.5, most + 0.5)


def _read_boolean(text: str) -> bool:
    if text.casefold() not in _BOOLEANS:
        raise ValueError("true or false")
    return _BOOLEANS[text.casefold()]


def _read_orientation(text: str) -> Orientation:
    if text.casefold() not in get_args(Orientation):
        raise ValueError("landscape, portrait or square")
    return cast(Orientation, text.casefold())


_READERS: dict[str, Callable[[str], Any]] = {
    "taken_from": lambda text: _read_period(text).first,
    "taken_to": lambda text: _read_period(text).last,
    "month": _whole_number(1, 12),
    "day": _whole_number(1, 31),
    "focal_length": _read_focal_length,
    "near": _read_near,
    "min_stars": _whole_number(1, 5),
    "is_raw": _read_boolean,
    "orientation": _read_orientation,
    "has_place": _read_boolean,
    **dict.fromkeys(_LISTS, _read_text),
}
