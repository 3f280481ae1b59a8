"""One writer, many readers: the lock of a library, and which process holds it.

The operating system releases the file lock when the process ends, in whatever way; the JSON file beside it only says
which process that is.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from service.errors import BusyError, LibraryError

LOCK_FILE = "writer.lock"
_WRITER = "writer.json"
_TIMEOUT_S = 0.3
"""Seconds; `current_writer` holds the lock for an instant."""


@dataclass(frozen=True, slots=True, config=ConfigDict(strict=True, extra="forbid"))
class Writer:
    """The process that writes to a library; `since` is local time in ISO 8601 with its offset."""

    pid: int
    host: str
    doing: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} ({self.doing}, since {self.since})"


@contextmanager
def write_lock(folder: Path, doing: str) -> Iterator[None]:
    """Holds the write lock of the library in `folder`; raises `BusyError`, naming the holder, if it is taken."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK_FILE, timeout=_TIMEOUT_S)
    try:
        lock.acquire()
    except Timeout:
        raise _busy(folder, _read_writer(folder)) from None
    except OSError as error:
        raise _not_writable(folder, error) from None
    try:
        since = datetime.now().astimezone().isoformat(timespec="seconds")
        writer = Writer(os.getpid(), socket.gethostname(), doing, since)
        try:
            (folder / _WRITER).write_text(json.dumps(asdict(writer)), encoding="utf-8")
        except OSError as error:
            raise _not_writable(folder, error) from None
        yield
    finally:
        (folder / _WRITER).unlink(missing_ok=True)
        lock.release()


def check_unlocked(folder: Path) -> None:
    """Raises `BusyError` if another process writes to the library, before time is spent on loading a model."""
    if (writer := current_writer(folder)) is not None:
        raise _busy(folder, writer)


def current_writer(folder: Path) -> Writer | None:
    """The process that is writing to the library, or None."""
    from filelock import FileLock, Timeout

    if not (folder / _WRITER).exists():
        return None
    try:
        with FileLock(folder / LOCK_FILE, timeout=0):
            # The writer was killed: its file is still there, but the lock is free.
            return None
    except Timeout:
        return _read_writer(folder)
    except OSError:
        return None


def _not_writable(folder: Path, error: OSError) -> LibraryError:
    return LibraryError(f"The library {folder} cannot be written to ({error.strerror or error}).")


def _busy(folder: Path, writer: Writer | None) -> BusyError:
    return BusyError(
        f"The library {folder} is being written to by {writer or 'another process'}. Searching goes on; wait until "
        "that run has ended, or stop it, before starting another."
    )


def _read_writer(folder: Path) -> Writer | None:
    try:
        return TypeAdapter(Writer).validate_json((folder / _WRITER).read_bytes())
    except (OSError, ValueError):
        return None
