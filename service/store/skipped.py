"""What the last walk of each folder left out, and why, so that every file is indexed or named with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from service.store.catalog import Catalog


class SkippedRow(NamedTuple):
    """A file or folder that is not indexed.

    Attributes:
        path: below its root; that of a folder ends with a slash.
        reason: a stable code.
        detail: a sentence about this one; None where the reason says all.
    """

    path: str
    reason: str
    detail: str | None


class SkippedFiles:
    """What is not indexed of the roots of a catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def replace(self, root_id: int, folder: str, rows: Iterable[SkippedRow], *, below: bool = True) -> None:
        """Replaces what is remembered of `folder`, a path below a root ("" is the root itself).

        Args:
            root_id: of the root.
            folder: the path.
            rows: what was left out of it now.
            below: also of all folders below it.
        """
        where = _UNDER if below else f"{_UNDER} AND {_DIRECTLY}"
        new = {row.path: row for row in rows}
        if set(new.values()) == set(self._select(root_id, folder, where)):
            return
        with self._catalog.transaction() as connection:
            connection.execute(f"DELETE FROM skipped WHERE root_id = ?1 AND {where}", (root_id, folder))  # noqa: S608
            connection.executemany(
                "INSERT OR REPLACE INTO skipped VALUES (?, ?, ?, ?)", [(root_id, *row) for row in new.values()]
            )

    def add(self, root_id: int, rows: Iterable[SkippedRow]) -> None:
        """Adds files that turned out to be unreadable."""
        with self._catalog.transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO skipped VALUES (?, ?, ?, ?)", [(root_id, *row) for row in rows]
            )

    def all(self) -> list[tuple[Path, SkippedRow]]:
        """The root and what was left out of it, by root and path."""
        rows = self._catalog.connection.execute(
            "SELECT r.path, s.path, s.reason, s.detail FROM skipped s JOIN root r ON r.id = s.root_id "
            "ORDER BY r.id, s.path"
        )
        return [(Path(root), SkippedRow(*row)) for root, *row in rows]

    def _select(self, root_id: int, folder: str, where: str) -> list[SkippedRow]:
        rows = self._catalog.connection.execute(
            f"SELECT path, reason, detail FROM skipped WHERE root_id = ?1 AND {where}",  # noqa: S608
            (root_id, folder),
        )
        return [SkippedRow(*row) for row in rows]


_UNDER = "(?2 = '' OR path = ?2 OR substr(path, 1, length(?2) + 1) = ?2 || '/')"
"""A folder itself, and what is below it; LIKE would ignore case."""

_DIRECTLY = "instr(rtrim(substr(path, CASE ?2 WHEN '' THEN 1 ELSE length(?2) + 2 END), '/'), '/') = 0"
"""Of these the folder itself, and what is directly in it; paths of folders end with a slash."""
