"""The catalog of a library: photographs, their vectors and thumbnails, roots and settings, in one SQLite file.

The catalog is the source of truth; the FAISS index is derived from it. Each transaction that changes search results
increases the catalog's generation by one and writes it to the rows that it touched, so an index of an older
generation catches up by reading only newer rows. Ratings live in the same file (`service.store.ratings`).
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from service.errors import NotFoundError
from service.store.database import Database
from service.store.metadata_rows import select_metadata, write_metadata
from service.store.records import (
    Companion,
    Details,
    Entry,
    FileUpdate,
    KnownFile,
    Record,
    Root,
    RootOptions,
)
from service.store.roots import (
    find_root,
    insert_root,
    move_root,
    read_roots,
    relative_folder,
    remove_root,
    set_root_options,
)
from service.store.sql import (
    bury,
    drop_outdated_vectors,
    open_snapshot,
    placeholders,
    select_changed_vectors,
    sqlite_id,
    write_companions,
    write_facts,
    write_settings,
)
from service.types import Float16Array, Float32Array, Int64Array

CATALOG_FILE = "catalog.sqlite"
"""Name of the catalog in the folder of a library."""

READER_VERSION = 1
"""Counted up when more is read from files than before; what an older version read is read again, but not encoded."""

_IN_LIST = 500
"""Values of one `IN (...)` list; SQLite allows more, this keeps statements short."""

VectorChunk = tuple[Int64Array, list[Float16Array]]
"""Ids (n,), and for each requested fingerprint the vectors (n, dimension)."""


class Catalog(Database):
    """The SQLite file of a library."""

    def __init__(self, file: Path) -> None:
        """Opens or creates `file`; raises `LibraryError` as `Database` does."""
        self._cached_count: tuple[tuple[int, str | None], int] | None = None
        super().__init__(file)

    @contextmanager
    def change(self) -> Iterator[tuple[sqlite3.Connection, int]]:
        """A transaction that creates a new generation."""
        with self.transaction() as connection:
            generation = self.generation() + 1
            yield connection, generation
            connection.execute("UPDATE setting SET value = ? WHERE key = 'generation'", (str(generation),))
            connection.execute("INSERT OR REPLACE INTO history VALUES (?, ?)", (generation, secrets.token_hex(8)))

    # -- settings, generations and roots ------------------------------------------------------------

    def setting(self, key: str) -> str | None:
        """The value of a setting, or None."""
        row = self.connection.execute("SELECT value FROM setting WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def save_settings(self, **settings: str) -> None:
        """Writes settings in one transaction."""
        with self.transaction() as connection:
            write_settings(connection, settings)

    def generation(self) -> int:
        """The number of transactions so far that changed photographs or vectors."""
        return int(self.setting("generation") or 0)

    def stamp(self, generation: int) -> str | None:
        """A random token of a generation, different for the same number in another or a restored catalog.

        "" for generation 0, None for a generation that this catalog does not have.
        """
        if generation == 0:
            return ""
        row = self.connection.execute("SELECT stamp FROM history WHERE generation = ?", (generation,)).fetchone()
        return None if row is None else str(row[0])

    def roots(self) -> list[Root]:
        """The indexed folders, in the order in which they were added."""
        return read_roots(self.connection)

    def root_at(self, folder: Path) -> Root:
        """The root with this path (absolute); raises `NotFoundError`."""
        return find_root(self.connection, folder)

    def photographs_by_root(self) -> dict[int, int]:
        """The number of photographs of each root that has any, by the root's id."""
        return dict(self.connection.execute("SELECT root_id, COUNT(*) FROM photograph GROUP BY root_id"))

    def add_root(self, folder: Path) -> tuple[Root, str]:
        """Adds `folder` (absolute, resolved) unless a root contains it; returns its root and its path below that.

        A new root takes over the photographs of roots inside it, so that no file is in the library twice.
        """
        roots = self.roots()
        for root in roots:
            if folder.is_relative_to(root.path):
                return root, relative_folder(folder, root.path)
        if any(root.path.is_relative_to(folder) for root in roots):
            with self.change() as (connection, generation):
                return insert_root(connection, folder, generation), ""
        with self.transaction() as connection:
            return insert_root(connection, folder), ""

    def set_root_options(self, root_id: int, options: RootOptions) -> None:
        """Remembers how a root is walked."""
        with self.transaction() as connection:
            set_root_options(connection, root_id, options)

    def move_root(self, root: Root, folder: Path) -> None:
        """Records that a root is now at `folder` (absolute, resolved); raises `UsageError` if roots would overlap."""
        with self.change() as (connection, generation):
            move_root(connection, root, folder, generation)

    def remove_root(self, root: Root) -> int:
        """Takes a root and its photographs out of the library, as `remove` does; returns how many there were."""
        with self.change() as (connection, generation):
            return remove_root(connection, root, generation)

    # -- photographs --------------------------------------------------------------------------------

    def files_in(self, root_id: int, folder: str, fingerprints: Collection[str] = ()) -> dict[str, KnownFile]:
        """The photographs directly in a folder, by name; complete are those with a vector of each fingerprint."""
        companions: dict[int, list[Companion]] = {}
        for identity, *companion in self.connection.execute(
            "SELECT c.photograph_id, c.name, c.role, c.size, c.modified_ns FROM companion c "
            "JOIN photograph p ON p.id = c.photograph_id WHERE p.root_id = ? AND p.folder = ?",
            (root_id, folder),
        ):
            companions.setdefault(identity, []).append(Companion(*companion))
        rows = self.connection.execute(
            "SELECT name, id, size, modified_ns, changed_ns, read_with, (SELECT COUNT(*) FROM vector "  # noqa: S608
            f"WHERE photograph_id = id AND fingerprint IN ({placeholders(fingerprints)})) "
            "FROM photograph WHERE root_id = ? AND folder = ?",
            (*fingerprints, root_id, folder),
        )
        return {
            name: KnownFile(
                identity, size, modified_ns, vectors == len(fingerprints), changed_ns, read_with,
                tuple(companions.get(identity, ())),
            )
            for name, identity, size, modified_ns, changed_ns, read_with, vectors in rows
        }  # fmt: skip

    def photographs_under(self, root_id: int, folder: str) -> list[tuple[int, str]]:
        """Id and folder of each photograph in `folder` of a root or in its subfolders; "" is the root itself."""
        # LIKE would ignore case.
        return self.connection.execute(
            "SELECT id, folder FROM photograph WHERE root_id = ?1 "
            "AND (?2 = '' OR folder = ?2 OR substr(folder, 1, length(?2) + 1) = ?2 || '/')",
            (root_id, folder),
        ).fetchall()

    def records_with_content(self, content_hash: bytes) -> list[Record]:
        """The photographs whose files have this content hash."""
        return self._records("p.content_hash = ?", (content_hash,))

    def records_with_image(self, image_hash: bytes) -> list[Record]:
        """The photographs whose files hold image data with this hash."""
        return self._records("p.image_hash = ?", (image_hash,))

    def is_up_to_date(self, identity: int) -> bool:
        """Whether this version's reader read the photograph's file, so that nothing more is to be had from it."""
        row = self.connection.execute("SELECT read_with FROM photograph WHERE id = ?", (identity,)).fetchone()
        return row is not None and row[0] == READER_VERSION

    def write(self, entries: Sequence[Entry]) -> list[int]:
        """Adds or replaces photographs with all that is known of them in one transaction; returns their ids.

        Vectors of other fingerprints are kept if the content, or its image data, is unchanged.
        """
        ids = []
        with self.change() as (connection, generation):
            for entry in entries:
                if entry.id is not None and not entry.same_image:
                    drop_outdated_vectors(connection, entry.id, entry.facts.content_hash, generation)
                identity = write_facts(connection, entry.facts, entry.id, READER_VERSION, generation)
                connection.executemany(
                    "INSERT OR REPLACE INTO vector VALUES (?, ?, ?, ?)",
                    [
                        (identity, fingerprint, generation, np.ascontiguousarray(vector, np.float16).tobytes())
                        for fingerprint, vector in entry.vectors.items()
                    ],
                )
                connection.execute("INSERT OR REPLACE INTO thumbnail VALUES (?, ?)", (identity, entry.thumbnail))
                if entry.preview is None:
                    connection.execute("DELETE FROM preview WHERE photograph_id = ?", (identity,))
                else:
                    connection.execute("INSERT OR REPLACE INTO preview VALUES (?, ?)", (identity, entry.preview))
                _write_details(connection, identity, entry.details)
                ids.append(identity)
        return ids

    def update_files(self, updates: Sequence[FileUpdate]) -> None:
        """Records new locations, times and details of photographs whose pixels are unchanged, in one transaction."""
        if not updates:
            return
        with self.change() as (connection, generation):
            for update in updates:
                file = update.file
                connection.execute(
                    "UPDATE photograph SET root_id = ?, folder = ?, name = ?, size = ?, modified_ns = ?, "
                    "changed_ns = ?, content_hash = ?, image_hash = ?, read_with = ?, generation = ? WHERE id = ?",
                    (file.root_id, file.folder, file.name, file.size, file.modified_ns, file.changed_ns,
                     update.content_hash, update.image_hash, READER_VERSION, generation, update.id),
                )  # fmt: skip
                _write_details(connection, update.id, update.details)

    def remove(self, ids: Iterable[int]) -> int:
        """Takes photographs out of the library (never off the disk); returns how many there were.

        Each leaves a tombstone under which ratings and kinds are kept, and comes back under its id with its file.
        """
        removed = 0
        with self.change() as (connection, generation):
            for identity in ids:
                bury(connection, identity)
                cursor = connection.execute("DELETE FROM photograph WHERE id = ?", (identity,))
                removed += cursor.rowcount
                connection.execute("INSERT OR REPLACE INTO removal VALUES (?, ?)", (identity, generation))
        return removed

    def count(self) -> int:
        """The number of photographs, cached per generation: SQLite takes 40 ms to count a million."""
        generation = self.generation()
        # With the stamp, because another catalog may have replaced the file.
        key = (generation, self.stamp(generation))
        if self._cached_count is None or self._cached_count[0] != key:
            (count,) = self.connection.execute("SELECT COUNT(*) FROM photograph").fetchone()
            self._cached_count = (key, int(count))
        return self._cached_count[1]

    def record(self, identity: int) -> Record:
        """The photograph with this id; raises `NotFoundError`."""
        found = self._records("p.id = ?", (sqlite_id(identity),))
        if not found:
            raise NotFoundError(f"There is no photograph {identity} in this library.")
        return found[0]

    def records(self, ids: Sequence[int]) -> dict[int, Record]:
        """Photographs by id, without ids that no longer exist."""
        found: dict[int, Record] = {}
        for start in range(0, len(ids), _IN_LIST):
            part = [sqlite_id(identity) for identity in ids[start : start + _IN_LIST]]
            found.update({record.id: record for record in self._records(f"p.id IN ({placeholders(part)})", part)})
        return found

    def thumbnail(self, identity: int) -> bytes:
        """The thumbnail (JPEG) made when the photograph was indexed; raises `NotFoundError`."""
        row = self.connection.execute(
            "SELECT jpeg FROM thumbnail WHERE photograph_id = ?", (sqlite_id(identity),)
        ).fetchone()
        if row is None:
            raise NotFoundError(f"There is no photograph {identity} in this library.")
        return bytes(row[0])

    def preview(self, identity: int) -> bytes:
        """The larger JPEG made when the photograph was indexed, or its thumbnail; raises `NotFoundError`."""
        row = self.connection.execute(
            "SELECT jpeg FROM preview WHERE photograph_id = ?", (sqlite_id(identity),)
        ).fetchone()
        return self.thumbnail(identity) if row is None else bytes(row[0])

    def details(self, ids: Sequence[int]) -> dict[int, Details]:
        """Metadata and companions of photographs, by id; those of which nothing was read yet are left out."""
        found: dict[int, Details] = {}
        for start in range(0, len(ids), _IN_LIST):
            part = ids[start : start + _IN_LIST]
            companions: dict[int, list[Companion]] = {}
            for identity, *companion in self.connection.execute(
                "SELECT photograph_id, name, role, size, modified_ns FROM companion "  # noqa: S608
                f"WHERE photograph_id IN ({placeholders(part)})",
                tuple(part),
            ):
                companions.setdefault(identity, []).append(Companion(*companion))
            found.update(
                (identity, Details(metadata, tuple(companions.get(identity, ())), town_id))
                for identity, (metadata, town_id) in select_metadata(self.connection, part).items()
            )
        return found

    def _records(self, condition: str, values: Sequence[object]) -> list[Record]:
        rows = self.connection.execute(
            "SELECT p.id, r.path, p.folder, p.name, p.size, p.modified_ns, p.width, p.height, p.format, "  # noqa: S608
            "p.content_hash, p.warning, p.read_with "
            f"FROM photograph p JOIN root r ON r.id = p.root_id WHERE {condition} ORDER BY p.id",
            tuple(values),
        )
        return [Record(row[0], Path(row[1]), *row[2:]) for row in rows]

    # -- vectors ------------------------------------------------------------------------------------

    def vector(self, identity: int, fingerprint: str) -> Float32Array:
        """The vector (dimension,) of one photograph; raises `NotFoundError`."""
        row = self.connection.execute(
            "SELECT data FROM vector WHERE photograph_id = ? AND fingerprint = ?", (sqlite_id(identity), fingerprint)
        ).fetchone()
        if row is None:
            raise NotFoundError(f"There is no photograph {identity} in this library.")
        return np.frombuffer(row[0], np.float16).astype(np.float32)

    def changes(
        self, fingerprints: Sequence[str], since: int, chunk: int = 8192
    ) -> tuple[int, list[int], Iterator[VectorChunk]]:
        """What has changed since a generation, for a reader of the vectors of `fingerprints`, as one snapshot.

        Returns the current generation, the ids removed since, and chunks of at most `chunk` photographs that have a
        vector of each fingerprint and of which at least one was added or replaced since. The chunks must be read to
        their end, which ends the snapshot.
        """
        connection, generation, removed = open_snapshot(self.file, since)
        statement, values = select_changed_vectors(fingerprints, since)

        def chunks() -> Iterator[VectorChunk]:
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

        return generation, removed, chunks()

    def count_newer(self, fingerprints: Sequence[str], since: int, most: int) -> int:
        """The number of vectors of `fingerprints` written after generation `since`, counted up to `most`."""
        (count,) = self.connection.execute(
            f"SELECT COUNT(*) FROM (SELECT 1 FROM vector WHERE fingerprint IN ({placeholders(fingerprints)}) "  # noqa: S608
            "AND generation > ? LIMIT ?)",
            (*fingerprints, since, most),
        ).fetchone()
        return int(count)

    def fingerprints_of(self, identity: int) -> set[str]:
        """The fingerprints of which a photograph has a vector."""
        rows = self.connection.execute("SELECT fingerprint FROM vector WHERE photograph_id = ?", (sqlite_id(identity),))
        return {row[0] for row in rows}

    def count_with_vectors(self, fingerprints: Sequence[str]) -> int:
        """The number of photographs that have a vector of each of `fingerprints` (at least one)."""
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

    def switch_model(self, model: str, fingerprint: str, keep: Collection[str] = (), **settings: str) -> None:
        """Makes `model` the library's model and deletes all vectors but those of `fingerprint` and `keep`.

        `settings` are written in the same transaction.
        """
        with self.change() as (connection, generation):
            own = {"model": model, "fingerprint": fingerprint, "dropped": str(generation)}
            write_settings(connection, {**settings, **own})
            kept = {fingerprint, *keep}
            connection.execute(f"DELETE FROM vector WHERE fingerprint NOT IN ({placeholders(kept)})", tuple(kept))  # noqa: S608

    def drop_vectors(self, fingerprint: str, **settings: str) -> None:
        """Deletes the vectors of `fingerprint` and writes `settings` in one transaction."""
        with self.change() as (connection, generation):
            write_settings(connection, {**settings, "dropped": str(generation)})
            connection.execute("DELETE FROM vector WHERE fingerprint = ?", (fingerprint,))

    def vectors_dropped_at(self) -> int:
        """The last generation that deleted vectors but kept their photographs; 0 if there is none.

        An index of an earlier generation may hold vectors that the catalog no longer has.
        """
        return int(self.setting("dropped") or 0)


def _write_details(connection: sqlite3.Connection, identity: int, details: Details) -> None:
    write_metadata(connection, identity, details.metadata, details.town_id)
    write_companions(connection, identity, details.companions)
