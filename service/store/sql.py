"""SQL statements of the catalog that take more than a line."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from service.store.database import BUSY_TIMEOUT_S
from service.store.records import Companion, PhotographFacts


def select_changed_vectors(fingerprints: Sequence[str], since: int) -> tuple[str, tuple[object, ...]]:
    """A statement and its values: id and one vector per fingerprint of each photograph changed after a generation."""
    columns = ", ".join(f"v{n}.data" for n in range(len(fingerprints)))
    joins = " ".join(
        f"JOIN vector v{n} ON v{n}.photograph_id = v0.photograph_id AND v{n}.fingerprint = ?"
        for n in range(1, len(fingerprints))
    )
    first, *more = fingerprints
    statement = f"SELECT v0.photograph_id, {columns} FROM vector v0 {joins} WHERE v0.fingerprint = ?"  # noqa: S608
    if not more or since == 0:
        return f"{statement} AND v0.generation > ?", (*more, first, since)
    # An `OR` over the generations of several rows would scan all photographs for the few that changed.
    changed = (
        "SELECT photograph_id FROM vector "  # noqa: S608
        f"WHERE fingerprint IN ({placeholders(fingerprints)}) AND generation > ?"
    )
    return f"{statement} AND v0.photograph_id IN ({changed})", (*more, first, *fingerprints, since)


def open_snapshot(file: Path, since: int) -> tuple[sqlite3.Connection, int, list[int]]:
    """A connection that reads one snapshot of a catalog until it is closed.

    Also returns the generation of the snapshot, and the ids removed since another.
    """
    connection = sqlite3.connect(file, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    connection.execute("BEGIN")
    (generation,) = connection.execute("SELECT value FROM setting WHERE key = 'generation'").fetchone()
    rows = connection.execute("SELECT photograph_id FROM removal WHERE generation > ?", (since,))
    return connection, int(generation), [row[0] for row in rows]


def placeholders(values: Collection[object]) -> str:
    """One question mark per value, for an `IN (...)` list."""
    return ",".join("?" * len(values))


def write_settings(connection: sqlite3.Connection, settings: Mapping[str, str]) -> None:
    """Writes settings inside the caller's transaction."""
    connection.executemany(
        "INSERT INTO setting VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", settings.items()
    )


def drop_outdated_vectors(connection: sqlite3.Connection, identity: int, content_hash: bytes, generation: int) -> None:
    """Deletes all vectors of a photograph whose content is no longer the one they were made from."""
    row = connection.execute("SELECT content_hash FROM photograph WHERE id = ?", (identity,)).fetchone()
    if row is not None and bytes(row[0]) != content_hash:
        connection.execute("DELETE FROM vector WHERE photograph_id = ?", (identity,))
        connection.execute("INSERT OR REPLACE INTO removal VALUES (?, ?)", (identity, generation))


_FACTS = (
    *("root_id", "folder", "name", "size", "modified_ns", "changed_ns"),
    *("content_hash", "image_hash", "width", "height", "format", "warning", "read_with", "generation"),
)


def write_facts(
    connection: sqlite3.Connection, facts: PhotographFacts, identity: int | None, read_with: int, generation: int
) -> int:
    """Inserts a photograph's row, or replaces what that of `identity` says; returns its id.

    An `identity` without a row is that of a removed photograph, which comes back under its id.
    """
    file = facts.file
    values = (
        *(file.root_id, file.folder, file.name, file.size, file.modified_ns, file.changed_ns),
        *(facts.content_hash, facts.image_hash, facts.width, facts.height, facts.format, facts.warning),
        *(read_with, generation),
    )
    if identity is not None:
        assignments = ", ".join(f"{column} = ?" for column in _FACTS)
        updated = connection.execute(f"UPDATE photograph SET {assignments} WHERE id = ?", (*values, identity))  # noqa: S608
        if updated.rowcount:
            return identity
        connection.execute("DELETE FROM tombstone WHERE photograph_id = ?", (identity,))
    columns = ("id", *_FACTS)
    cursor = connection.execute(
        f"INSERT INTO photograph ({', '.join(columns)}) VALUES ({placeholders(columns)})",  # noqa: S608
        (identity, *values),
    )
    return int(cursor.lastrowid or 0)


def write_companions(connection: sqlite3.Connection, identity: int, companions: Iterable[Companion]) -> None:
    """Replaces the files that belong to a photograph."""
    connection.execute("DELETE FROM companion WHERE photograph_id = ?", (identity,))
    connection.executemany(
        "INSERT OR REPLACE INTO companion VALUES (?, ?, ?, ?, ?)",
        [(identity, each.name, each.role, each.size, each.modified_ns) for each in companions],
    )


def bury(connection: sqlite3.Connection, identity: int) -> None:
    """Leaves a tombstone for a photograph that is about to be removed."""
    connection.execute(
        "INSERT OR REPLACE INTO tombstone SELECT p.id, p.content_hash, p.image_hash, "
        "rtrim(r.path, '/') || '/' || CASE p.folder WHEN '' THEN '' ELSE p.folder || '/' END || p.name, unixepoch() "
        "FROM photograph p JOIN root r ON r.id = p.root_id WHERE p.id = ?",
        (identity,),
    )


def sqlite_id(identity: int) -> int:
    """The id, or -1, which no photograph has, if it does not fit SQLite's 64-bit integers."""
    return identity if abs(identity) < 1 << 63 else -1
