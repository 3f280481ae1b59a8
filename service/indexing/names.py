"""Names of files: extension, encoding, and finding them whatever their case and Unicode normalization."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from service.texts import fold

_Value = TypeVar("_Value")


_MOST = 20
"""Values under one name. Only a hostile folder has more, and comparing each with each would take hours."""


class NameIndex(Generic[_Value]):
    """Values by name. They are found by the same spelling, else by one of other case or Unicode normalization."""

    def __init__(self) -> None:
        self._exact: dict[str, list[_Value]] = {}
        self._folded: dict[str, list[_Value]] = {}

    def add(self, name: str, value: _Value) -> None:
        """Files a value under a name, after those that are there; does nothing if there are 20."""
        for index, key in ((self._exact, name), (self._folded, fold(name))):
            values = index.setdefault(key, [])
            if len(values) < _MOST:
                values.append(value)

    def find(self, name: str) -> Sequence[_Value]:
        """The values under a name, in the order in which they were added."""
        return self._exact[name] if name in self._exact else self._folded.get(fold(name), [])


def suffix_of(name: str) -> str:
    """The extension in lower case, with its dot; "" if there is none."""
    stem, dot, suffix = name.rpartition(".")
    return dot + suffix.lower() if stem and suffix else ""


def stem_of(name: str) -> str:
    """The name without its extension."""
    # The extension in lower case may be longer than the one in the name.
    return name.rpartition(".")[0] if suffix_of(name) else name


def is_utf8(name: str) -> bool:
    """Whether a name as the system gives it is valid UTF-8."""
    try:
        return name.isascii() or bool(name.encode("utf-8"))
    except UnicodeEncodeError:
        return False
