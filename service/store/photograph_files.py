"""From files that a person names to photographs of the catalog, however the names are composed (NFC, NFD)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from service.store.catalog import Catalog
from service.store.paths import real_path
from service.store.records import KnownFile, Record, Root
from service.store.roots import relative_folder


def photograph_at(catalog: Catalog, file: Path) -> Record | None:
    """The photograph indexed from this path, even if the file is gone; None if there is none."""
    (identity,) = find_photographs(catalog, [file])
    return None if identity is None else catalog.record(identity)


def photographs_at(catalog: Catalog, path: Path) -> list[int]:
    """The ids of the photograph indexed from a file, or of all photographs in a folder and below it."""
    lookup = _Lookup(catalog)
    found = lookup.find(path)
    return lookup.find_below(path) if found is None else [found]


def find_photographs(catalog: Catalog, files: Sequence[Path]) -> list[int | None]:
    """The ids of the photographs that were indexed from these files, or to which they belong; None for others."""
    lookup = _Lookup(catalog)
    return [lookup.find(file) for file in files]


def composed(text: str) -> str:
    """Text in the form in which a letter with its accent is one character (NFC)."""
    return unicodedata.normalize("NFC", text)


def _indexable(path: Path) -> Path | None:
    """The real path; None where it cannot be resolved or not be written in UTF-8, so that it was never indexed."""
    try:
        real = real_path(path)
        str(real).encode()
    except (OSError, ValueError):
        return None
    return real


class _Lookup:
    """Finds photographs by path; asks the catalog once for each folder."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._roots = [(root, Path(composed(str(root.path)))) for root in catalog.roots()]
        self._ids_in: dict[Path, dict[str, int]] = {}

    def find(self, file: Path) -> int | None:
        real = _indexable(file)
        if real is None:
            return None
        if real.parent not in self._ids_in:
            self._ids_in[real.parent] = dict(self._photographs_in(real.parent))
        ids = self._ids_in[real.parent]
        return ids.get(real.name, ids.get(composed(real.name)))

    def find_below(self, path: Path) -> list[int]:
        folder = _indexable(path)
        if folder is None:
            return []
        for root, below in self._places(folder):
            if ids := self._under(root, below):
                return ids
        return [
            identity for root, _ in self._roots if root.path.is_relative_to(folder) for identity in self._under(root)
        ]

    def _under(self, root: Root, below: str = "") -> list[int]:
        return [identity for identity, _ in self._catalog.photographs_under(root.id, below)]

    def _photographs_in(self, folder: Path) -> Iterable[tuple[str, int]]:
        """Names and ids in a folder: composed names first, so that a name that is there exactly replaces its like."""
        found = [known for root, below in reversed(self._places(folder)) for known in self._known(root, below)]
        yield from ((composed(name), identity) for name, identity in found)
        yield from found

    def _places(self, folder: Path) -> list[tuple[Root, str]]:
        """Roots and paths below them that `folder` may mean, the most likely first."""
        spelt = Path(composed(str(folder)))
        exact = [
            (root, relative_folder(folder, root.path)) for root, _ in self._roots if folder.is_relative_to(root.path)
        ]
        like = [(root, relative_folder(spelt, path)) for root, path in self._roots if spelt.is_relative_to(path)]
        decomposed = [(root, unicodedata.normalize("NFD", below)) for root, below in like]
        return [*dict.fromkeys((*exact, *like, *decomposed))]

    def _known(self, root: Root, below: str) -> Iterable[tuple[str, int]]:
        known: dict[str, KnownFile] = self._catalog.files_in(root.id, below)
        yield from ((companion.name, each.id) for each in known.values() for companion in each.companions)
        yield from ((name, each.id) for name, each in known.items())
