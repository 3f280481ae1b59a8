"""Kinds (class labels) of the photographs of a library, such as daisy or tulip.

By default the kind of a photograph is the name of its folder, and follows moves at once. Otherwise kinds are read from
keywords or a table by `service.kinds.label_sources` and stored in the catalog. A photograph directly in a root has no
kind from its folder: the name of a whole collection says nothing about one photograph.
"""

from __future__ import annotations

import secrets
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from service.errors import UsageError
from service.store.catalog import Catalog
from service.types import Int64Array

FOLDERS, KEYWORDS, TABLE = "folders", "keywords", "table"
UNKNOWN = "unknown"
"""Shown for a photograph of an unknown kind; never the name of a kind."""

MAX_KIND_CHARACTERS = 200
_SQL_BATCH = 500


class Kinds:
    """The kinds of a catalog's photographs. A photograph has one kind or none.

    Replacing the kinds changes `stamp` but not the catalog's generation, since it does not affect searches.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    @property
    def source(self) -> str:
        """Where kinds come from: "folders", "keywords" or "table"."""
        return self._catalog.setting("kinds") or FOLDERS

    @property
    def stamp(self) -> str:
        """A random string, another one each time that kinds have been read."""
        return self._catalog.setting("kinds_stamp") or ""

    def use_folders(self) -> None:
        """Use the names of folders, and delete kinds that were read from keywords or a table."""
        self._replace(FOLDERS, {})

    def use(self, source: str, kinds: Mapping[int, str]) -> None:
        """Replace all kinds by these, by photograph id, which were read from `source`: "keywords" or "table"."""
        self._replace(source, kinds)

    def _replace(self, source: str, kinds: Mapping[int, str]) -> None:
        settings = {"kinds": source, "kinds_stamp": secrets.token_hex(8)}
        with self._catalog.transaction() as connection:
            # Those of removed photographs are kept until these come back.
            connection.execute("DELETE FROM kind WHERE photograph_id IN (SELECT id FROM photograph)")
            # A photograph may have left the library since its keywords were read.
            connection.executemany(
                "INSERT OR REPLACE INTO kind SELECT id, ? FROM photograph WHERE id = ?",
                ((kind, identity) for identity, kind in kinds.items()),
            )
            connection.executemany("INSERT OR REPLACE INTO setting VALUES (?, ?)", settings.items())

    def of(self, ids: Sequence[int]) -> dict[int, str]:
        """The kinds of photographs by id; those without one are left out."""
        found: dict[int, str] = {}
        by_folder = self.source == FOLDERS
        select = (
            "SELECT id, folder FROM photograph WHERE id"
            if by_folder
            else "SELECT photograph_id, name FROM kind WHERE photograph_id"
        )
        for start in range(0, len(ids), _SQL_BATCH):
            batch = [int(identity) for identity in ids[start : start + _SQL_BATCH]]
            marks = ",".join("?" * len(batch))
            for identity, name in self._catalog.connection.execute(f"{select} IN ({marks})", batch):
                kind = kind_of_folder(name) if by_folder else name
                if kind is not None:
                    found[identity] = kind
        return found

    def counts(self) -> dict[str, int]:
        """The number of photographs of each kind, in alphabetical order."""
        if self.source != FOLDERS:
            rows = self._catalog.connection.execute(
                "SELECT kind.name, COUNT(*) FROM kind JOIN photograph ON id = photograph_id GROUP BY kind.name"
            )
            return dict(sorted(rows))
        counts: Counter[str] = Counter()
        for folder, count in self._catalog.connection.execute(
            "SELECT folder, COUNT(*) FROM photograph GROUP BY folder"
        ):
            if (kind := kind_of_folder(folder)) is not None:
                counts[kind] += count
        return dict(sorted(counts.items()))

    def ids(self) -> Int64Array:
        """The ids (n,) of all photographs that have a kind, in ascending order."""
        if self.source != FOLDERS:
            rows = self._catalog.connection.execute(
                "SELECT photograph_id FROM kind JOIN photograph ON id = photograph_id ORDER BY photograph_id"
            )
            return np.fromiter((row[0] for row in rows), np.int64)
        rows = self._catalog.connection.execute("SELECT id, folder FROM photograph ORDER BY id")
        return np.fromiter((row[0] for row in rows if kind_of_folder(row[1]) is not None), np.int64)


def kind_of_folder(folder: str) -> str | None:
    """The kind of photographs in `folder`, a path relative to its root: the folder's name.

    None in the root itself and in a folder called “unknown”.
    """
    # Some systems write é as one character, others as two.
    name = unicodedata.normalize("NFC", folder.rpartition("/")[2]).strip()
    return name if name and name.casefold() != UNKNOWN else None


def kind_named(name: str) -> str:
    """Check and normalise the name of a kind: single spaces, NFC; raises `UsageError` for what cannot be one."""
    kind = " ".join(unicodedata.normalize("NFC", name).split())
    if not kind:
        raise UsageError("The kind is empty; name it, or leave the photograph out.")
    if len(kind) > MAX_KIND_CHARACTERS:
        raise UsageError(f"The kind has {len(kind):,} characters, and a name has at most {MAX_KIND_CHARACTERS}.")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in kind):
        raise UsageError("The kind has control characters; take them out.")
    if kind.casefold() == UNKNOWN:
        raise UsageError(f"“{kind}” cannot be a kind: it stands for photographs without one. Choose another name.")
    return kind
