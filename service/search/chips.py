"""Chips: which words of a query were understood as a filter."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from service.search.periods import MONTHS, Period, in_words


@dataclass(frozen=True, slots=True)
class Chip:
    """A part of a query that was understood as a filter.

    Attributes:
        field: name of the filter, as in `Filters`; "taken" for `taken_from` and `taken_to` together.
        value: as `filters_from_names` takes it. Of "taken" it is a year, a month or a day, or two with a slash between;
            of "day" with a month it is month and day, such as "07-14".
        text: the part as it was typed; a query without it is a query without this filter.
    """

    field: str
    value: str
    text: str

    @property
    def label(self) -> str:
        """The filter in words, such as "taken in July 2023"."""
        return _LABELS[self.field](self.value)


def describe_labels(labels: Iterable[str]) -> str:
    """A sentence from the labels of chips, on how a query was understood and how to search for the words instead."""
    understood = "; ".join(dict.fromkeys(labels))
    return f"{understood[:1].upper()}{understood[1:]}. Quote the words to search for them as they are."


def _taken(value: str) -> str:
    first, _, last = value.partition("/")
    return f"taken {Period(Period.parse(first).first, Period.parse(last or first).last).describe()}"


def _taken_from(value: str) -> str:
    return f"taken from {in_words(value)} on"


def _taken_to(value: str) -> str:
    end = "" if value.count("-") == 2 else "the end of "
    return f"taken until {end}{in_words(value)}"


def _month(value: str) -> str:
    return f"taken in {MONTHS[int(value) - 1]} of any year"


def _day(value: str) -> str:
    *month, day = value.split("-")
    if month:
        return f"taken on {int(day)} {MONTHS[int(month[0]) - 1]} of any year"
    return f"taken on day {int(day)} of any month"


def _near(value: str) -> str:
    point, _, km = value.rpartition(",")
    return f"taken within {km.strip()} km of {point}"


_LABELS: dict[str, Callable[[str], str]] = {
    "taken": _taken,
    "taken_from": _taken_from,
    "taken_to": _taken_to,
    "month": _month,
    "day": _day,
    "near": _near,
    "camera": "camera {}".format,
    "lens": "lens {}".format,
    "focal_length": "{} mm".format,
    "place": "taken in {}".format,
    "folder": "in the folder {}".format,
    "keyword": "keyword {}".format,
    "person": "with {}".format,
    "min_stars": lambda value: f"{value} {'star' if value == '1' else 'stars'} or more",
    "label": "label {}".format,
    "format": "format {}".format,
    "orientation": "{}".format,
    "is_raw": lambda value: "RAW" if value == "true" else "not RAW",
    "has_place": lambda value: "with a place" if value == "true" else "without a place",
}
