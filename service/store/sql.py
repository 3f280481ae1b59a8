"""SQL statements of the catalog that take more than a line."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence

from service.store.records import PhotographFacts


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


def write_facts(connection: sqlite3.Connection, facts: PhotographFacts, identity: int | None) -> int:
    """Inserts a photograph's row, or updates that of `identity`; returns its id."""
    file = facts.file
    values = (
        file.root_id, file.folder, file.name, file.size, file.modified_ns,
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


def sqlite_id(identity: int) -> int:
    """The id, or -1, which no photograph has, if it does not fit SQLite's 64-bit integers."""
    return identity if abs(identity) < 1 << 63 else -1
