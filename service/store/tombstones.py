"""Photographs that were taken out of the library: what people gave them is kept until they come back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from service.store.catalog import Catalog
from service.store.records import Tombstone
from service.store.sql import sqlite_id


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many photographs, ratings and kinds were erased."""

    photographs: int
    ratings: int
    kinds: int


class Tombstones:
    """The removed photographs of a catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def find(self, content_hash: bytes, image_hash: bytes | None) -> list[int]:
        """Ids of removed photographs with this content, then of those with this image data; newest first."""
        rows = self._catalog.connection.execute(
            "SELECT photograph_id, content_hash = ?1 AS same FROM tombstone WHERE content_hash = ?1 "
            "UNION SELECT photograph_id, content_hash = ?1 AS same FROM tombstone WHERE image_hash = ?2 "
            "ORDER BY same DESC, photograph_id DESC",
            (content_hash, image_hash),
        )
        return [row[0] for row in rows]

    def all(self) -> list[Tombstone]:
        """The removed photographs, last removed first."""
        rows = self._catalog.connection.execute(
            "SELECT photograph_id, path, removed_at FROM tombstone ORDER BY removed_at DESC, photograph_id"
        )
        return [Tombstone(identity, path, datetime.fromtimestamp(at, UTC)) for identity, path, at in rows]

    def forget(self, ids: Iterable[int]) -> Forgotten:
        """Erases photographs, removed ones or of the library, with all that people gave them, for good."""
        photographs = ratings = kinds = 0
        with self._catalog.change() as (connection, generation):
            for identity in map(sqlite_id, ids):
                held = connection.execute("DELETE FROM photograph WHERE id = ?", (identity,)).rowcount
                buried = connection.execute("DELETE FROM tombstone WHERE photograph_id = ?", (identity,)).rowcount
                photographs += bool(held or buried)
                ratings += connection.execute("DELETE FROM rating WHERE photograph_id = ?", (identity,)).rowcount
                kinds += connection.execute("DELETE FROM kind WHERE photograph_id = ?", (identity,)).rowcount
                if held:
                    connection.execute("INSERT OR REPLACE INTO removal VALUES (?, ?)", (identity, generation))
        return Forgotten(photographs, ratings, kinds)
