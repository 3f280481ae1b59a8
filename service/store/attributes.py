"""What searches filter and order by, read from the catalog as rows: everything, or what has changed since."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from service.store.catalog import Catalog
from service.store.sql import open_snapshot, placeholders


class AttributeRow(NamedTuple):
    """What can be filtered and ordered by, of one photograph; what is not known is None.

    Attributes:
        id: of the photograph.
        root: path of its root.
        folder: path of its folder below the root, with forward slashes.
        width, height: pixels of the upright photograph.
        format: of its file, such as "JPEG".
        has_raw: whether a RAW file belongs to it; a photograph that is a RAW file itself may have none.
        taken_at: seconds since 1970 on the clock of the place (`service.store.metadata_rows.seconds_of`).
        camera, lens, label: names.
        focal_length: millimetres.
        latitude, longitude: degrees.
        town_id: of the nearest town.
        country, region, town: names written in the file.
        stars: -1 to 5.
        keywords, people: names.
    """

    id: int
    root: str
    folder: str
    width: int
    height: int
    format: str
    has_raw: bool
    taken_at: int | None
    camera: str | None
    lens: str | None
    label: str | None
    focal_length: float | None
    latitude: float | None
    longitude: float | None
    town_id: int | None
    country: str | None
    region: str | None
    town: str | None
    stars: int | None
    keywords: tuple[str, ...]
    people: tuple[str, ...]


_SELECT = (
    "SELECT p.id, p.root_id, p.folder, p.width, p.height, p.format, "
    "EXISTS (SELECT 1 FROM companion c WHERE c.photograph_id = p.id AND c.role = 'raw'), "
    "m.taken_at, m.camera_id, m.lens_id, m.label_id, m.focal_length, m.latitude, m.longitude, m.town_id, "
    "m.country_id, m.region_id, m.written_town_id, m.stars "
    "FROM photograph p LEFT JOIN metadata m ON m.photograph_id = p.id "
)


def attribute_changes(
    catalog: Catalog, since: int, chunk: int = 8192
) -> tuple[int, list[int], Iterator[list[AttributeRow]]]:
    """What has changed in the catalog since a generation, as one snapshot; since 0 everything.

    Returns the current generation, the ids removed since, and chunks of rows added or replaced since, by ascending
    id. The chunks must be read to their end, which ends the snapshot.
    """
    connection, generation, removed = open_snapshot(catalog.file, since)

    def chunks() -> Iterator[list[AttributeRow]]:
        try:
            roots = dict(connection.execute("SELECT id, path FROM root"))
            condition = "WHERE p.generation > ? ORDER BY p.id" if since else "ORDER BY p.id"
            cursor = connection.execute(_SELECT + condition, (since,) if since else ())
            terms = _Terms(connection)
            while rows := cursor.fetchmany(chunk):
                words = _words(connection, [row[0] for row in rows], terms)
                yield [_row(row, roots[row[1]], terms, words) for row in rows]
        finally:
            connection.close()

    return generation, removed, chunks()


def count_changed(catalog: Catalog, since: int, most: int) -> int:
    """The number of photographs added or replaced after a generation, counted up to `most`."""
    (count,) = catalog.connection.execute(
        "SELECT COUNT(*) FROM (SELECT 1 FROM photograph WHERE generation > ? LIMIT ?)", (since, most)
    ).fetchone()
    return int(count)


class _Terms(dict[int | None, str | None]):
    """Names by the ids of the table `term`, each read once."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__({None: None})
        self._connection = connection

    def __missing__(self, identity: int) -> str:
        (name,) = self._connection.execute("SELECT name FROM term WHERE id = ?", (identity,)).fetchone()
        self[identity] = str(name)
        return str(name)


def _words(connection: sqlite3.Connection, ids: Sequence[int], terms: _Terms) -> dict[int, tuple[list[str], list[str]]]:
    """Keywords and people of photographs with ascending `ids`, by id."""
    statement = "SELECT photograph_id, is_person, term_id FROM keyword WHERE photograph_id "
    if ids[-1] - ids[0] < 2 * len(ids):
        rows = connection.execute(f"{statement}BETWEEN ? AND ?", (ids[0], ids[-1]))
    else:
        rows = connection.execute(f"{statement}IN ({placeholders(ids)})", tuple(ids))
    found: dict[int, tuple[list[str], list[str]]] = {}
    for identity, is_person, term in rows:
        found.setdefault(identity, ([], []))[is_person].append(str(terms[term]))
    return found


def _row(row: Sequence[Any], root: str, terms: _Terms, words: dict[int, tuple[list[str], list[str]]]) -> AttributeRow:
    (identity, _, folder, width, height, file_format, has_raw, taken_at, camera, lens, label, focal_length, latitude,
     longitude, town_id, country, region, town, stars) = row  # fmt: skip
    keywords, people = words.get(identity, ((), ()))
    return AttributeRow(
        identity, root, folder, width, height, file_format, bool(has_raw), taken_at, terms[camera], terms[lens],
        terms[label], focal_length, latitude, longitude, town_id, terms[country], terms[region], terms[town], stars,
        tuple(keywords), tuple(people),
    )  # fmt: skip
