"""Which JSON of a Google Takeout describes which photographs, by the names in one folder.

Google names the JSON after the photograph, `A.jpg.json` or `A.jpg.supplemental-metadata.json`, and cuts what stands
before `.json` to 46 characters. A second file of the same name is `A(1).jpg`, described by `A.jpg(1).json` or
`A.jpg.supplemental-metadata(1).json`. An edited version, `A-edited.jpg`, shares the JSON of its original.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence

from service.indexing.names import NameIndex, stem_of, suffix_of

_SUPPLEMENT = "supplemental-metadata"

_LONGEST = 46
"""Characters of a JSON's name before `.json`, after which it is cut. Bytes are counted here, which are no fewer."""

_COMPARED = 100
"""Long names that are compared with one that was cut: more that begin alike are not worth their time."""

_NUMBERED = re.compile(r"(.+)(\(\d{1,6}\))", re.DOTALL)

_EDITED = (
    *("-edited", "-effects", "-smile", "-mix", "-collage", "-edytowane", "-bearbeitet", "-bewerkt", "-編集済み"),
    *("-modificato", "-modifié", "-ha editado", "-editat"),
)
"""What Google appends to the name of an edited version, by the language of the account."""


class TakeoutNames:
    """Finds the photographs that a JSON describes among those of a folder; `photographs` are names of files."""

    def __init__(self, photographs: Iterable[str]) -> None:
        self._titles: NameIndex[str] = NameIndex()
        self._edited: NameIndex[str] = NameIndex()
        self._long: list[tuple[str, str, str]] = []
        for name in photographs:
            stem, suffix = stem_of(name), name[len(stem_of(name)) :]
            base, number = _without_number(stem)
            self._titles.add(name, name)
            if number:
                self._titles.add(f"{base}{suffix}{number}", name)
            if len(name.encode()) > _LONGEST:
                self._long.append((f"{base}{suffix}", number, name))
            if base.endswith(_EDITED):
                self._edited.add(f"{base.rpartition('-')[0]}{number}", name)
        self._long.sort()

    def described_by(self, name: str) -> Sequence[str]:
        """The photograph that the JSON called `name` describes; several if their names differ in case alone."""
        base, number = _without_number(stem_of(name))
        for title in _titles_of(base):
            found = self._titles.find(f"{title}{number}")
            if found:
                return found
        return self._cut(base, number) if len(base.encode()) >= _LONGEST else ()

    def edited_of(self, name: str) -> list[str]:
        """The edited versions of the photograph that the JSON called `name` describes."""
        base, number = _without_number(stem_of(name))
        return [
            edited
            for title in _titles_of(base)
            if suffix_of(title)
            for edited in self._edited.find(f"{stem_of(title)}{number}")
        ]

    def _cut(self, base: str, number: str) -> Sequence[str]:
        """The photograph whose long name starts with `base`; none if several do."""
        start = bisect_left(self._long, (base, "", ""))
        found = [
            name
            for title, its_number, name in self._long[start : start + _COMPARED]
            if title.startswith(base) and its_number == number
        ]
        return found if len(found) == 1 else ()


def _titles_of(base: str) -> list[str]:
    """The names of files that a JSON's name, without its number and extension, may stand for."""
    start, dot, end = base.rpartition(".")
    return [base, start] if dot and _SUPPLEMENT.startswith(end.lower()) else [base]


def _without_number(name: str) -> tuple[str, str]:
    numbered = _NUMBERED.fullmatch(name)
    return (numbered[1], numbered[2]) if numbered else (name, "")
