"""Which places a typed name stands for.

Names are compared folded: without case, diacritics and punctuation. The table holds its folded names sorted, among
them the prepositional case of Russian ones ("в Париже"), so that a lookup is one binary search.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import cache, cached_property, reduce

import numpy as np

from service.photos.places.gazetteer import Gazetteer, gazetteer
from service.types import AnyArray, Int64Array

_LONGEST = 100
_KNOWN_HECTOMETRES = 16
"""The radius of a town of 100,000 inhabitants."""

_LETTERS = str.maketrans(
    {
        "ø": "o", "ł": "l", "đ": "d", "ð": "d", "ı": "i", "þ": "th", "æ": "ae", "œ": "oe", "ə": "a",
        **dict.fromkeys("'`´’‘ʼʻʹʺ", None),
    }
)  # fmt: skip


def fold(text: str) -> str:
    """A name without case, diacritics and punctuation: "Köln" and "koln", "Saint-Denis" and "saint denis" are one."""
    decomposed = unicodedata.normalize("NFKD", text[:_LONGEST].casefold())
    letters = "".join(letter for letter in decomposed if not unicodedata.combining(letter)).translate(_LETTERS)
    return " ".join("".join(letter if letter.isalnum() else " " for letter in letters).split())


def find_places(text: str) -> Int64Array:
    """Ids of all places that a name stands for, sorted; empty where it is no name of a place.

    A town stands for itself and its namesakes, a region or country for all that is in it. What follows a comma narrows
    it down: "Paris, Texas". Codes such as "DE" are no names.
    """
    return reduce(np.intersect1d, [_find(fold(part)) for part in text[:_LONGEST].split(",")])


def is_place(text: str, among: Callable[[], Int64Array] | None = None) -> bool:
    """Whether a part of a query should be read as a place, and not as words.

    Names of small towns and ordinary words that are names, too ("spring", "море"), are often meant as words. So a name
    counts where it is that of a country, a region, a town of 100,000 inhabitants, or a town in `among`; an ordinary
    word only with a capital letter ("Nice", "Split").

    Args:
        text: the words, such as "Paris" or "Нижнем Новгороде".
        among: returns ids of the towns where the library's photographs were taken; called only where they decide.
    """
    if "," in text:
        return len(find_places(text)) > 0
    key = fold(text)
    numbers, ordinary = _names().look_up(key)
    if len(numbers) == 0 or (ordinary and not text.strip()[:1].isupper()):
        return False
    table = gazetteer()
    towns = numbers[numbers < len(table.ids)]
    if len(towns) < len(numbers) or (table.radii[towns] >= _KNOWN_HECTOMETRES).any():
        return True
    return among is not None and bool(np.isin(table.ids[towns], among()).any())


def _find(key: str) -> Int64Array:
    """Ids of all places that a folded name stands for, sorted."""
    table = gazetteer()
    rows, regions = len(table.ids), len(table.regions)
    found = [np.empty(0, dtype=np.int64)]
    for number in _names().look_up(key)[0].tolist():
        if number < rows:
            found.append(table.ids[number : number + 1])
        elif number < rows + regions:
            found.append(table.ids[table.region_of == number - rows])
        else:
            country = number - rows - regions
            found.append(table.ids[(table.region_countries == country)[table.region_of]])
            found.append(np.array([table.countries[country].id]))
    return np.unique(np.concatenate(found))


class _Names:
    """The folded names of all places, sorted by their bytes."""

    def __init__(self, table: Gazetteer) -> None:
        self._table = table
        self._text = table.text("keys")
        self._ends = np.flatnonzero(np.frombuffer(self._text, dtype=np.uint8) == ord("\n")).astype(np.int32)

    def look_up(self, key: str) -> tuple[Int64Array, bool]:
        """What has a name: rows of towns, then regions and countries, numbered on; and whether it is a common word."""
        at = self._position(key.encode())
        if at is None:
            return np.empty(0, dtype=np.int64), False
        return self._places[self._starts[at] : self._starts[at + 1]].astype(np.int64), bool(self._ordinary[at])

    def _position(self, key: bytes) -> int | None:
        low, high = 0, len(self._ends)
        while low < high:
            middle = (low + high) // 2
            if self._line(middle) < key:
                low = middle + 1
            else:
                high = middle
        return low if low < len(self._ends) and self._line(low) == key else None

    def _line(self, number: int) -> bytes:
        start = int(self._ends[number - 1]) + 1 if number else 0
        return self._text[start : int(self._ends[number])]

    @cached_property
    def _places(self) -> AnyArray:
        return self._table.numbers("key_places")

    @cached_property
    def _starts(self) -> AnyArray:
        return np.concatenate([[0], np.cumsum(self._table.read("key_counts"), dtype=np.int32)])

    @cached_property
    def _ordinary(self) -> AnyArray:
        return self._table.read("key_ordinary")


@cache
def _names() -> _Names:
    return _Names(gazetteer())
