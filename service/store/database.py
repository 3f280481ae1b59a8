"""The SQLite file under the catalog: a connection for each thread (WAL), transactions and schema migrations."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.errors import LibraryError
from service.store.migrations import MIGRATIONS

BUSY_TIMEOUT_S = 30.0
"""Seconds that a writer waits for another's transaction to end."""


class Database:
    """A SQLite file. Each thread has its own connection; readers never wait for a writer (WAL)."""

    def __init__(self, file: Path) -> None:
        """Opens `file`, creating it if it is missing, and migrates it to the newest schema.

        Raises `LibraryError` for a file that is no catalog or that a newer version has written.
        """
        self.file = file
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._connections_lock = threading.Lock()
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
            if not opened:
                self.close()

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's connection, for reading."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            # A pool's threads may end before the catalog is closed, so `close` must be able to close connections
            # of other threads.
            connection = sqlite3.connect(
                self.file, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            _enable_wal(connection)
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA foreign_keys = ON")
            self._local.connection = connection
            with self._connections_lock:
                self._connections.append(connection)
        return connection

    def close(self) -> None:
        """Closes the connections of all threads."""
        with self._connections_lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
        self._local = threading.local()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commits everything written in the block, or nothing; raises `LibraryError` if the file is not writable."""
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
                # Another process may have migrated while this one waited for the lock.
                (version,) = connection.execute("PRAGMA user_version").fetchone()
                if version == len(MIGRATIONS):
                    return
                for statement in MIGRATIONS[version].split(";"):
                    connection.execute(statement)
                version += 1
                connection.execute(f"PRAGMA user_version = {version}")


def _enable_wal(connection: sqlite3.Connection) -> None:
    """Switches the file to write-ahead logging, which it remembers.

    The first switch of a new file needs exclusive access, for which SQLite does not wait by itself.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.02)
