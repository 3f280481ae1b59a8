"""Kinds: what the photographs of a library are of, such as daisy or tulip, and where that is known from.

A kind comes from the folder that a photograph lies in, which is the default and always current, or from keywords or
a table, which are read once by `service.kinds.label_sources` and kept in the catalog. A photograph right in a folder that
was indexed has no kind from its folder: what a person calls the whole collection says nothing of one photograph.
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
"""What a photograph is called whose kind nobody knows; never the name of a kind."""

MOST_KIND_CHARACTERS = 200
_AT_ONCE = 500


class Kinds:
    """The kinds of a catalog's photographs. A photograph has one kind or none.

    Making other kinds current makes no new generation, since it changes nothing that can be found; `stamp` changes
    with it.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    @property
    def source(self) -> str:
        """Where kinds come from: "folders", "keywords" or "table"."""
        return self._catalog.setting("kinds") or FOLDERS

    @property
    def stamp(self) -> str:
        """Another one whenever kinds have been read anew, from the same source or another."""
        return self._catalog.setting("kinds_stamp") or ""

    def use_folders(self) -> None:
        """Take kinds from folders again; what was read from keywords or a table is dropped."""
        self._replace(FOLDERS, {})

    def use(self, source: str, kinds: Mapping[int, str]) -> None:
        """Make kinds by photographs' ids, which were read from `source`, the library's only ones."""
        self._replace(source, kinds)

    def _replace(self, source: str, kinds: Mapping[int, str]) -> None:
        settings = {"kinds": source, "kinds_stamp": secrets.token_hex(8)}
        with self._catalog.transaction() as connection:
            connection.execute("DELETE FROM kind")
            # A photograph may have left the library since its keywords were read.
            connection.executemany(
                "INSERT INTO kind SELECT id, ? FROM photograph WHERE id = ?",
                ((kind, identity) for identity, kind in kinds.items()),
            )
            connection.executemany("INSERT OR REPLACE INTO setting VALUES (?, ?)", settings.items())

    def of(self, ids: Sequence[int]) -> dict[int, str]:
        """The kinds of photographs by id; those without one are left out."""
        found: dict[int, str] = {}
        by_folder = self.source == FOLDERS
        asked = (
            "SELECT id, folder FROM photograph WHERE id IN"
            if by_folder
            else "SELECT photograph_id, name FROM kind WHERE photograph_id IN"
        )
        for start in range(0, len(ids), _AT_ONCE):
            some = [int(identity) for identity in ids[start : start + _AT_ONCE]]
            marks = ",".join("?" * len(some))
            rows = self._catalog.connection.execute(f"{asked} ({marks})", some)
            for identity, said in rows:
                kind = kind_of_folder(said) if by_folder else said
                if kind is not None:
                    found[identity] = kind
        return found

    def counts(self) -> dict[str, int]:
        """How many photographs there are of each kind, by name in alphabetical order."""
        if self.source != FOLDERS:
            rows = self._catalog.connection.execute("SELECT name, COUNT(*) FROM kind GROUP BY name")
            return dict(sorted(rows))
        counts: Counter[str] = Counter()
        for folder, count in self._catalog.connection.execute(
            "SELECT folder, COUNT(*) FROM photograph GROUP BY folder"
        ):
            if (kind := kind_of_folder(folder)) is not None:
                counts[kind] += count
        return dict(sorted(counts.items()))

    def ids(self) -> Int64Array:
        """The ids (n,) of all photographs that have a kind, rising."""
        if self.source != FOLDERS:
            rows = self._catalog.connection.execute("SELECT photograph_id FROM kind ORDER BY photograph_id")
            return np.fromiter((row[0] for row in rows), np.int64)
        rows = self._catalog.connection.execute("SELECT id, folder FROM photograph ORDER BY id")
        return np.fromiter((row[0] for row in rows if kind_of_folder(row[1]) is not None), np.int64)


def kind_of_folder(folder: str) -> str | None:
    """The kind of what lies in a folder below its root, by the folder's own name; None in the root itself.

    Neither has a folder called “unknown” a kind.
    """
    # One system writes é as one character, another as two.
    name = unicodedata.normalize("NFC", folder.rpartition("/")[2]).strip()
    return name if name and name.casefold() != UNKNOWN else None


def kind_named(name: str) -> str:
    """The name of a kind with its white space made single spaces; raises `UsageError` for what cannot be one."""
    kind = " ".join(unicodedata.normalize("NFC", name).split())
    if not kind:
        raise UsageError("The kind is empty; name it, or leave the photograph out.")
    if len(kind) > MOST_KIND_CHARACTERS:
        raise UsageError(f"The kind has {len(kind):,} characters, and at most {MOST_KIND_CHARACTERS} are a name.")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in kind):
        raise UsageError("The kind holds characters that are no text (control characters).")
    if kind.casefold() == UNKNOWN:
        raise UsageError(f"“{kind}” is no kind: it is what photographs without one are called.")
    return kind
