"""The attributes of a library: loaded, brought up to date with its catalog, published, saved."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from service.index.attributes.columns import Attributes
from service.index.attributes.encoding import empty_attributes, updated
from service.index.attributes.files import read_attributes, write_attributes
from service.index.latest import Latest
from service.store.attributes import attribute_changes, count_changed
from service.store.catalog import Catalog

_QUICK = 5_000
"""Changed photographs that are read within the time that a search may wait, about 50 ms."""
_LARGE = 500_000
"""Photographs from which on even a small change takes as long, since the columns are copied."""


class AttributeIndex:
    """Publishes what filters ask, made of the catalog and saved beside it. Safe to use from several threads."""

    def __init__(self, folder: Path, catalog: Catalog) -> None:
        self._folder = folder
        self._catalog = catalog
        self._latest = Latest(self._refresh, self._takes_long)

    def get(self) -> Attributes:
        """The attributes of all photographs, up to date unless bringing them so takes long or is under way."""
        return self._latest.get()

    def save(self) -> None:
        """Brings the attributes up to date and writes them; without success the next process reads the catalog."""
        with self._latest.turn() as last:
            attributes = self._refresh(last)
            write_attributes(self._folder, attributes)

    def turn(self) -> AbstractContextManager[Attributes | None]:
        """Waits for any update to end and prevents others inside the block."""
        return self._latest.turn()

    def _refresh(self, last: Attributes | None) -> Attributes:
        if last is None:
            last = read_attributes(self._folder) or empty_attributes()
        generation = self._catalog.generation()
        if self._catalog.stamp(last.generation) != last.stamp:
            # Another catalog or an older copy has replaced the one that it was made from.
            last = empty_attributes()
        if generation == last.generation:
            return last
        generation, removed, chunks = attribute_changes(self._catalog, last.generation)
        return updated(last, removed, chunks, generation, self._catalog.stamp(generation))

    def _takes_long(self, last: Attributes) -> bool:
        if self._catalog.generation() == last.generation:
            return False
        return len(last) > _LARGE or count_changed(self._catalog, last.generation, _QUICK + 1) > _QUICK
