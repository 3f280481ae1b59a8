"""Which photograph of the catalog a file in a folder is: by its name, or by a name that means the same."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from service.store.records import KnownFile
from service.texts import fold


class KnownFiles:
    """The catalog's photographs of one folder, found by names on the disk.

    Args:
        known: the photographs by the names under which they were indexed.
        listed: the names of all photographs' files that the folder has now.
    """

    def __init__(self, known: Mapping[str, KnownFile], listed: Collection[str]) -> None:
        self._known = known
        gone = [name for name in known if name not in listed]
        self._by_companion = {each.name: known[name] for name in gone for each in known[name].companions}
        self._by_spelling = {fold(name): known[name] for name in gone}

    def __contains__(self, name: str) -> bool:
        """Whether a photograph was indexed under this very name."""
        return name in self._known

    def find(self, name: str, companions: Sequence[str] = ()) -> KnownFile | None:
        """The photograph of the file `name` and of the files that belong to it, or None.

        A photograph keeps its id where its RAW file was indexed before the JPEG came, where only its RAW file is left,
        and where its name is spelt with other capitals or composed in another way (NFC, NFD).
        """
        if (same := self._known.get(name)) is not None:
            return same
        for companion in companions:
            if (same := self._known.get(companion)) is not None:
                return same
        return self._by_companion.get(name) or self._by_spelling.get(fold(name))
