"""What the catalog says to SQLite in more than a line."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Mapping, Sequence

from service.store.records import Facts

PATIENCE_S = 30.0
"""Seconds that a writer waits for another's transaction to end."""


def newer(fingerprints: Sequence[str], since: int) -> tuple[str, tuple[object, ...]]:
    """A statement, and its values, for ids and one vector a fingerprint of what has changed since a generation."""
    columns = ", ".join(f"v{n}.data" for n in range(len(fingerprints)))
    joins = " ".join(
        f"JOIN vector v{n} ON v{n}.photograph_id = v0.photograph_id AND v{n}.fingerprint = ?"
        for n in range(1, len(fingerprints))
    )
    first, *more = fingerprints
    statement = f"SELECT v0.photograph_id, {columns} FROM vector v0 {joins} WHERE v0.fingerprint = ?"  # noqa: S608
    if not more or since == 0:
        return f"{statement} AND v0.generation > ?", (*more, first, since)
    # An `OR` over the generations of several rows would read all photographs for the few that have changed.
    changed = f"SELECT photograph_id FROM vector WHERE fingerprint IN ({marks(fingerprints)}) AND generation > ?"  # noqa: S608
    return f"{statement} AND v0.photograph_id IN ({changed})", (*more, first, *fingerprints, since)


def marks(values: Collection[object]) -> str:
    """As many question marks as there are values, for a list of `IN`."""
    return ",".join("?" * len(values))


def remember(connection: sqlite3.Connection, settings: Mapping[str, str]) -> None:
    """Write settings, inside a transaction of the caller's."""
    connection.executemany(
        "INSERT INTO setting VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", settings.items()
    )


def use_wal(connection: sqlite3.Connection) -> None:
    """Let readers go on beside a writer; the file remembers it.

    The first change of a new file needs it alone, and SQLite does not wait for that by itself.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.02)


def forget_old_content(connection: sqlite3.Connection, identity: int, content_hash: bytes, generation: int) -> None:
    """Drop the vectors, of every model, of content that the file no longer has."""
    row = connection.execute("SELECT content_hash FROM photograph WHERE id = ?", (identity,)).fetchone()
    if row is not None and bytes(row[0]) != content_hash:
        connection.execute("DELETE FROM vector WHERE photograph_id = ?", (identity,))
        connection.execute("INSERT OR REPLACE INTO removal VALUES (?, ?)", (identity, generation))


def write_facts(connection: sqlite3.Connection, facts: Facts, identity: int | None) -> int:
    """Add the row of a photograph, or replace that of `identity`; its id."""
    place = facts.place
    values = (
        place.root_id, place.folder, place.name, place.size, place.modified_ns,
        facts.content_hash, facts.width, facts.height, facts.format,
    )  # fmt: skip
    if identity is None:
        cursor = connection.execute(
            "INSERT INTO photograph (root_id, folder, name, size, modified_ns, content_hash, width, height, format) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            values,
        )
        return int(cursor.lastrowid or 0)
    connection.execute(
        "UPDATE photograph SET root_id = ?, folder = ?, name = ?, size = ?, modified_ns = ?, content_hash = ?, "
        "width = ?, height = ?, format = ? WHERE id = ?",
        (*values, identity),
    )
    return identity


def storable(identity: int) -> int:
    """An id as SQLite can hold it; -1, which is nobody's, for one that is too large for it."""
    return identity if abs(identity) < 1 << 63 else -1
