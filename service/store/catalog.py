"""SQLite: schema, migrations, transactions; photographs, their vectors and thumbnails, settings. What people
said of them is written and read by `service.store.ratings`.

The catalog is the truth of a library; the FAISS index is derived from it. Each transaction that changes
what can be found raises the catalog's generation by one and stamps it on the rows that it wrote, so that
an index of an older generation can be brought up to date by reading only what is new.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from service.errors import LibraryError, NotFoundError
from service.store.migrations import MIGRATIONS
from service.store.records import Entry, Known, Place, Record, Root
from service.store.sql import PATIENCE_S, forget_old_content, marks, newer, remember, storable, use_wal, write_facts
from service.types import Float16Array, Float32Array, Int64Array

_AT_ONCE = 500
"""Values of one IN (...) list; SQLite allows more, this keeps statements short."""

Chunk = tuple[Int64Array, list[Float16Array]]
"""Ids (n,) and vectors (n, dimension) of each of some fingerprints."""


class Catalog:
    """The SQLite file of a library. Each thread gets a connection of its own; readers never wait (WAL)."""

    def __init__(self, file: Path) -> None:
        """Open `file`, which is made where it is missing, and bring its schema up to date.

        Raises `LibraryError` for a file that is no catalog or that a newer version has written.
        """
        self.file = file
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._guard = threading.Lock()
        self._counted: tuple[tuple[int, str | None], int] | None = None
        opened = False
        try:
            self._migrate()
            opened = True
        except sqlite3.OperationalError as error:
            raise LibraryError(f"The catalog {file} cannot be opened: {error}.") from None
        except sqlite3.DatabaseError as error:
            raise LibraryError(
                f"{file} is not a catalog that can be read ({error}). Restore it from a copy, or choose another "
                "library folder and index again."
            ) from None
        finally:
            # What could not be opened is not left open.
            if not opened:
                self.close()

    # -- connections and transactions ---------------------------------------------------------------

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's connection, for reading."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            # Threads of a pool end before the catalog does; `close` closes their connections.
            connection = sqlite3.connect(self.file, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False)
            use_wal(connection)
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA foreign_keys = ON")
            self._local.connection = connection
            with self._guard:
                self._connections.append(connection)
        return connection

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._guard:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
        self._local = threading.local()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All that is written inside, or nothing; raises `LibraryError` where the file cannot be written."""
        connection = self.connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except BaseException as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError):
                raise LibraryError(f"The catalog {self.file} cannot be written ({error}); nothing was lost.") from None
            raise

    @contextmanager
    def _change(self) -> Iterator[tuple[sqlite3.Connection, int]]:
        """A transaction that makes a new generation."""
        with self.transaction() as connection:
            generation = self.generation() + 1
            yield connection, generation
            connection.execute("UPDATE setting SET value = ? WHERE key = 'generation'", (str(generation),))
            connection.execute("INSERT OR REPLACE INTO history VALUES (?, ?)", (generation, secrets.token_hex(8)))

    def _migrate(self) -> None:
        connection = self.connection
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise LibraryError(
                f"The catalog {self.file} was written by a newer smysl (schema {version}, this one knows "
                f"{len(MIGRATIONS)}). Upgrade smysl."
            )
        while version < len(MIGRATIONS):
            with self.transaction():
                # Another process may have been faster while this one waited for the lock.
                (version,) = connection.execute("PRAGMA user_version").fetchone()
                if version == len(MIGRATIONS):
                    return
                for statement in MIGRATIONS[version].split(";"):
                    connection.execute(statement)
                version += 1
                connection.execute(f"PRAGMA user_version = {version}")

    # -- settings and roots -------------------------------------------------------------------------

    def setting(self, key: str) -> str | None:
        """A setting that the library remembers, or None."""
        row = self.connection.execute("SELECT value FROM setting WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def remember(self, **settings: str) -> None:
        """Write settings, all in one transaction."""
        with self.transaction() as connection:
            remember(connection, settings)

    def generation(self) -> int:
        """How many times the photographs or vectors have been changed."""
        return int(self.setting("generation") or 0)

    def stamp(self, generation: int) -> str | None:
        """What tells a generation from one of the same number in another catalog, or in an older copy of this one.

        "" before the first change, None for a generation that this catalog has not seen.
        """
        if generation == 0:
            return ""
        row = self.connection.execute("SELECT stamp FROM history WHERE generation = ?", (generation,)).fetchone()
        return None if row is None else str(row[0])

    def roots(self) -> list[Root]:
        """The folders that the library was pointed at, in the order in which that happened."""
        return [Root(row[0], Path(row[1])) for row in self.connection.execute("SELECT id, path FROM root ORDER BY id")]

    def add_root(self, folder: Path) -> tuple[Root, str]:
        """The root that holds `folder` (absolute, resolved), and the folder's path below it.

        A folder inside a known root belongs to that root. A folder around known roots takes their
        photographs over, so that no file is ever in the library twice.
        """
        roots = self.roots()
        for root in roots:
            if folder.is_relative_to(root.path):
                return root, _relative(folder, root.path)
        with self.transaction() as connection:
            connection.execute("INSERT INTO root (path) VALUES (?)", (str(folder),))
            (identity,) = connection.execute("SELECT last_insert_rowid()").fetchone()
            for inner in roots:
                if inner.path.is_relative_to(folder):
                    prefix = _relative(inner.path, folder)
                    connection.execute(
                        "UPDATE photograph SET root_id = ?1, "
                        "folder = CASE folder WHEN '' THEN ?2 ELSE ?2 || '/' || folder END WHERE root_id = ?3",
                        (identity, prefix, inner.id),
                    )
                    connection.execute("DELETE FROM root WHERE id = ?", (inner.id,))
        return Root(identity, folder), ""

    # -- photographs --------------------------------------------------------------------------------

    def known_in(self, root_id: int, folder: str, fingerprints: Collection[str] = ()) -> dict[str, Known]:
        """The photographs directly in a folder, by name; they are complete with a vector of each of `fingerprints`."""
        rows = self.connection.execute(
            "SELECT name, id, size, modified_ns, (SELECT COUNT(*) FROM vector WHERE photograph_id = id "  # noqa: S608
            f"AND fingerprint IN ({marks(fingerprints)})) FROM photograph WHERE root_id = ? AND folder = ?",
            (*fingerprints, root_id, folder),
        )
        return {row[0]: Known(row[1], row[2], row[3], row[4] == len(fingerprints)) for row in rows}

    def ids_under(self, root_id: int, folder: str) -> list[tuple[int, str]]:
        """Id and folder of every photograph in `folder` of a root or anywhere below it ("" is all)."""
        # LIKE would take Trip and trip for one name.
        return self.connection.execute(
            "SELECT id, folder FROM photograph WHERE root_id = ?1 "
            "AND (?2 = '' OR folder = ?2 OR substr(folder, 1, length(?2) + 1) = ?2 || '/')",
            (root_id, folder),
        ).fetchall()

    def with_content(self, content_hash: bytes) -> list[Record]:
        """The photographs whose files have this content."""
        return self._records("p.content_hash = ?", (content_hash,))

    def write(self, entries: Sequence[Entry]) -> list[int]:
        """Add or replace photographs with facts, vectors and thumbnail in one transaction; their ids.

        Vectors of other fingerprints stay where the content is the same.
        """
        ids = []
        with self._change() as (connection, generation):
            for entry in entries:
                if entry.id is not None:
                    forget_old_content(connection, entry.id, entry.facts.content_hash, generation)
                identity = write_facts(connection, entry.facts, entry.id)
                connection.executemany(
                    "INSERT OR REPLACE INTO vector VALUES (?, ?, ?, ?)",
                    [
                        (identity, fingerprint, generation, np.ascontiguousarray(vector, np.float16).tobytes())
                        for fingerprint, vector in entry.vectors.items()
                    ],
                )
                connection.execute("INSERT OR REPLACE INTO thumbnail VALUES (?, ?)", (identity, entry.thumbnail))
                ids.append(identity)
        return ids

    def place(self, identity: int, place: Place) -> None:
        """Say where a photograph's file is now, with what size and time; its content is as it was."""
        with self.transaction() as connection:
            connection.execute(
                "UPDATE photograph SET root_id = ?, folder = ?, name = ?, size = ?, modified_ns = ? WHERE id = ?",
                (place.root_id, place.folder, place.name, place.size, place.modified_ns, identity),
            )

    def remove(self, ids: Iterable[int]) -> int:
        """Take photographs out of the library (never off the disk); how many there were."""
        removed = 0
        with self._change() as (connection, generation):
            for identity in ids:
                cursor = connection.execute("DELETE FROM photograph WHERE id = ?", (identity,))
                removed += cursor.rowcount
                connection.execute("INSERT OR REPLACE INTO removal VALUES (?, ?)", (identity, generation))
        return removed

    def count(self) -> int:
        """How many photographs there are; counted once a generation, since SQLite takes 40 ms to count a million."""
        generation = self.generation()
        # Another catalog in the place of this one has other stamps.
        now = (generation, self.stamp(generation))
        if self._counted is None or self._counted[0] != now:
            (count,) = self.connection.execute("SELECT COUNT(*) FROM photograph").fetchone()
            self._counted = (now, int(count))
        return self._counted[1]

    def record(self, identity: int) -> Record:
        """One photograph; raises `NotFoundError` where there is none with this id."""
        found = self._records("p.id = ?", (storable(identity),))
        if not found:
            raise NotFoundError(f"There is no photograph {identity} in this library.")
        return found[0]

    def records(self, ids: Sequence[int]) -> dict[int, Record]:
        """Photographs by id; ids that are gone are left out."""
        found: dict[int, Record] = {}
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            found.update({record.id: record for record in self._records(f"p.id IN ({marks(some)})", some)})
        return found

    def thumbnail(self, identity: int) -> bytes:
        """The JPEG made when the photograph was indexed; raises `NotFoundError`."""
        row = self.connection.execute(
            "SELECT jpeg FROM thumbnail WHERE photograph_id = ?", (storable(identity),)
        ).fetchone()
        if row is None:
            raise NotFoundError(f"There is no photograph {identity} in this library.")
        return bytes(row[0])

    def _records(self, condition: str, values: Sequence[object]) -> list[Record]:
        rows = self.connection.execute(
            "SELECT p.id, r.path, p.folder, p.name, p.size, p.modified_ns, p.width, p.height, p.format "  # noqa: S608
            f"FROM photograph p JOIN root r ON r.id = p.root_id WHERE {condition} ORDER BY p.id",
            tuple(values),
        )
        return [Record(row[0], Path(row[1]), *row[2:]) for row in rows]

    # -- vectors ------------------------------------------------------------------------------------

    def vector(self, identity: int, fingerprint: str) -> Float32Array:
        """The vector (dimension,) of one photograph; raises `NotFoundError`."""
        row = self.connection.execute(
            "SELECT data FROM vector WHERE photograph_id = ? AND fingerprint = ?", (storable(identity), fingerprint)
        ).fetchone()
        if row is None:
            raise NotFoundError(f"There is no photograph {identity} in this library.")
        return np.frombuffer(row[0], np.float16).astype(np.float32)

    def changes(
        self, fingerprints: Sequence[str], since: int, chunk: int = 8192
    ) -> tuple[int, list[int], Iterator[Chunk]]:
        """What a reader of the vectors of `fingerprints` at generation `since` has missed, as one consistent snapshot.

        Returns the catalog's generation, the ids removed, and chunks of ids (n,) and, for each of the fingerprints,
        vectors (n, dimension): those of photographs that have them all and of which one was added or replaced. The
        chunks must be read to their end: the snapshot lives until then.
        """
        connection = sqlite3.connect(self.file, timeout=PATIENCE_S, isolation_level=None)
        connection.execute("BEGIN")
        (generation,) = connection.execute("SELECT value FROM setting WHERE key = 'generation'").fetchone()
        rows = connection.execute("SELECT photograph_id FROM removal WHERE generation > ?", (since,))
        removed = [row[0] for row in rows]
        statement, values = newer(fingerprints, since)

        def chunks() -> Iterator[Chunk]:
            try:
                cursor = connection.execute(statement, values)
                while rows := cursor.fetchmany(chunk):
                    ids, *columns = zip(*rows, strict=True)
                    yield (
                        np.array(ids, np.int64),
                        [np.frombuffer(b"".join(data), np.float16).reshape(len(data), -1) for data in columns],
                    )
            finally:
                connection.close()

        return int(generation), removed, chunks()

    def count_newer(self, fingerprints: Sequence[str], since: int, most: int) -> int:
        """How many vectors of `fingerprints` were written after the generation `since`; counted up to `most`."""
        (count,) = self.connection.execute(
            f"SELECT COUNT(*) FROM (SELECT 1 FROM vector WHERE fingerprint IN ({marks(fingerprints)}) "  # noqa: S608
            "AND generation > ? LIMIT ?)",
            (*fingerprints, since, most),
        ).fetchone()
        return int(count)

    def fingerprints_of(self, identity: int) -> set[str]:
        """Of what one photograph has vectors."""
        rows = self.connection.execute("SELECT fingerprint FROM vector WHERE photograph_id = ?", (storable(identity),))
        return {row[0] for row in rows}

    def count_with(self, fingerprints: Sequence[str]) -> int:
        """How many photographs have a vector of each of `fingerprints`, at least one."""
        first, *more = fingerprints
        also = "".join(
            f" AND EXISTS (SELECT 1 FROM vector w{n} WHERE w{n}.photograph_id = v.photograph_id "  # noqa: S608
            f"AND w{n}.fingerprint = ?)"
            for n in range(len(more))
        )
        row = self.connection.execute(
            f"SELECT COUNT(*) FROM vector v WHERE v.fingerprint = ?{also}",  # noqa: S608
            (first, *more),
        ).fetchone()
        return int(row[0])

    def adopt(self, model: str, fingerprint: str, keep: Collection[str] = (), **settings: str) -> None:
        """Make `model` the library's model and drop all vectors but its own and those of `keep`.

        `settings` are written in the same transaction.
        """
        with self._change() as (connection, generation):
            remember(connection, {**settings, "model": model, "fingerprint": fingerprint, "dropped": str(generation)})
            kept = {fingerprint, *keep}
            connection.execute(f"DELETE FROM vector WHERE fingerprint NOT IN ({marks(kept)})", tuple(kept))  # noqa: S608

    def drop(self, fingerprint: str, **settings: str) -> None:
        """Drop the vectors of `fingerprint` and write `settings` in one transaction."""
        with self._change() as (connection, generation):
            remember(connection, {**settings, "dropped": str(generation)})
            connection.execute("DELETE FROM vector WHERE fingerprint = ?", (fingerprint,))

    def dropped(self) -> int:
        """The generation in which vectors last went while their photographs stayed; 0 where none ever did.

        What was derived before may hold vectors that the catalog no longer has.
        """
        return int(self.setting("dropped") or 0)


def _relative(inner: Path, outer: Path) -> str:
    relative = inner.relative_to(outer).as_posix()
    return "" if relative == "." else relative
