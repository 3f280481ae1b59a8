"""One writer, many readers: the lock of a library, and who holds it.

The operating system's file lock goes away with the process that holds it, however it ends; the JSON
beside it only says who that is.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from service.errors import BusyError, LibraryError

_LOCK = "writer.lock"
_WHO = "writer.json"
_PATIENCE_S = 0.3
"""Seconds; a reader that looks who writes holds the lock for an instant."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes to a library; `since` is local time in ISO 8601 with its offset."""

    pid: int
    host: str
    doing: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} ({self.doing}, since {self.since})"


@contextmanager
def write_lock(folder: Path, doing: str) -> Iterator[None]:
    """Hold the library in `folder` for writing; raises `BusyError`, which says who holds it, at once."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / _LOCK, timeout=_PATIENCE_S)
    try:
        lock.acquire()
    except Timeout:
        raise _busy(folder, _who(folder)) from None
    except OSError as error:
        raise LibraryError(f"The library {folder} cannot be written to ({error.strerror or error}).") from None
    try:
        since = datetime.now().astimezone().isoformat(timespec="seconds")
        writer = Writer(os.getpid(), socket.gethostname(), doing, since)
        (folder / _WHO).write_text(json.dumps(asdict(writer)), encoding="utf-8")
        yield
    finally:
        (folder / _WHO).unlink(missing_ok=True)
        lock.release()


def check_unlocked(folder: Path) -> None:
    """Raise `BusyError` where somebody writes to the library: better before a model is loaded than after."""
    if (writer := current_writer(folder)) is not None:
        raise _busy(folder, writer)


def current_writer(folder: Path) -> Writer | None:
    """Who is writing to the library now, or None."""
    from filelock import FileLock, Timeout

    if not (folder / _WHO).exists():
        return None
    try:
        with FileLock(folder / _LOCK, timeout=0):
            # The writer was killed: its note stayed, its lock did not.
            return None
    except Timeout:
        return _who(folder)
    except OSError:
        return None


def _busy(folder: Path, writer: Writer | None) -> BusyError:
    return BusyError(
        f"The library {folder} is being written to by {writer or 'another process'}. Searching goes on; wait until "
        "that run has ended, or stop it, before starting another."
    )


def _who(folder: Path) -> Writer | None:
    try:
        return Writer(**json.loads((folder / _WHO).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
