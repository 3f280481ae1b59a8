"""A catalog and index runs over folders of painted photographs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from service.indexing.decoder import EncodingTask
from service.indexing.indexer import Event, Finished, Summary, update_catalog
from service.indexing.options import IndexOptions
from service.store.catalog import Catalog
from service.store.ratings import Ratings, make_rating
from tests.service.colours import ColourEncoder, paint


class IndexedFolders:
    """A catalog and index runs over folders of photographs."""

    def __init__(self, folder: Path) -> None:
        self.photographs = folder / "photographs"
        self.photographs.mkdir()
        self.catalog = Catalog(folder / "catalog.sqlite")
        self.encoder = ColourEncoder()

    def events(self, *folders: Path, batch_size: int = 2, **options: Any) -> Iterator[Event]:
        roots = [self.catalog.add_root(folder) for folder in folders or (self.photographs,)]
        tasks = [EncodingTask.main(self.encoder)]
        yield from update_catalog(self.catalog, tasks, roots, IndexOptions(batch_size=batch_size, threads=2, **options))

    def index(self, *folders: Path, **options: Any) -> Summary:
        summary = [event.summary for event in self.events(*folders, **options) if isinstance(event, Finished)]
        assert self.orphans() == (0, 0)
        return summary[0]

    def ids(self) -> dict[str, int]:
        """Id of each photograph by its path below its root."""
        records = self.catalog.records(list(range(1, 1000)))
        return {record.relative: record.id for record in records.values()}

    def orphans(self) -> tuple[int, int]:
        """How many rows have no vector, and how many vectors no row."""
        connection = sqlite3.connect(self.catalog.file)
        try:
            rows = "SELECT COUNT(*) FROM photograph WHERE id NOT IN (SELECT photograph_id FROM vector)"
            vectors = "SELECT COUNT(*) FROM vector WHERE photograph_id NOT IN (SELECT id FROM photograph)"
            return connection.execute(rows).fetchone()[0], connection.execute(vectors).fetchone()[0]
        finally:
            connection.close()


def counts(summary: Summary) -> dict[str, int]:
    """The counts of a summary that are not zero."""
    names = ("added", "changed", "moved", "revived", "unchanged", "removed", "missing")
    facts = {name: getattr(summary, name) for name in names} | {"failed": len(summary.failed)}
    return {name: count for name, count in facts.items() if count}


def paint_many(indexed: IndexedFolders, count: int) -> list[Path]:
    return [paint(indexed.photographs / f"{n:02}.png", (n * 9 % 256, n * 40 % 256, n)) for n in range(count)]


def rate(indexed: IndexedFolders, identity: int) -> None:
    Ratings(indexed.catalog).add(make_rating(identity, "a flower", fits=True))


def rated(indexed: IndexedFolders) -> list[int]:
    return [rating.photograph_id for rating in Ratings(indexed.catalog).select()]
