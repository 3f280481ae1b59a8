"""Who serves a library: the note that a service leaves in the library's folder while it answers.

A note is a JSON of a name of its own, so that several services may serve one library, and a lock file beside it. The
operating system's lock goes away with the service, however it ends, and tells a note that was left behind.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from service.store.loopback import local_address

if TYPE_CHECKING:
    from service.config import Settings

SERVICE_HEADER = "smysl-service"
"""The header of every answer of a service; its value is the token of the service's note."""

_NAME = re.compile(r"serving-([0-9a-f]{16})\.json")
_MOST_NOTES = 8
_MOST_BYTES = 4096
_PORTS = range(1, 65536)
MODEL_SETTINGS = ("model", "device", "precision", "runtime")
"""Settings on which vectors and matches depend."""


@dataclass(frozen=True, slots=True)
class RunningService:
    """A service: which process of which machine, where it listens, and with which choices it was started.

    `machine` is the machine's own name, `address` what was listened on (perhaps all addresses), `since` local time in
    ISO 8601 with its offset; `model`, `device`, `precision` and `runtime` are None where they were not chosen.
    """

    pid: int
    machine: str
    address: str
    port: int
    version: str
    since: str
    model: str | None
    device: str | None
    precision: str | None
    runtime: str | None

    @property
    def url(self) -> str:
        """The address for a person."""
        host = local_address(self.address) or self.address
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


class Note:
    """The note of one service, which `write` writes and `close` takes away; made by `noting`."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.token = secrets.token_hex(8)
        self._folder = folder
        self._settings = settings

    def write(self, port: int) -> None:
        """Say that the service answers at `port`. Where the folder cannot be written to, nobody finds it."""
        since = datetime.now().astimezone().isoformat(timespec="seconds")
        choices = {name: getattr(self._settings, name) for name in MODEL_SETTINGS}
        note = RunningService(
            os.getpid(), socket.gethostname(), self._settings.host, port, own_version(), since, **choices
        )
        with suppress(OSError):
            (self._folder / f"serving-{self.token}.json").write_text(json.dumps(asdict(note)), encoding="utf-8")

    def close(self) -> None:
        """Take the note away; to be called before the process ends, which signals may do as soon as it has stopped."""
        _remove(self._folder, self.token)


@contextmanager
def announced(folder: Path, settings: Settings) -> Iterator[Note]:
    """A note to write into the library in `folder`, held alive and taken away in the end.

    Notes that killed services left are taken away as well.
    """
    from filelock import FileLock, Timeout

    note = Note(folder, settings)
    lock = FileLock(_lock_of(folder, note.token), timeout=0)
    with suppress(OSError, Timeout):
        lock.acquire()
    for token, left in _notes(folder):
        if token != note.token and left.machine == socket.gethostname() and not _held(folder, token):
            _remove(folder, token)
    try:
        yield note
    finally:
        lock.release()
        note.close()


def running_services(folder: Path) -> list[tuple[str, RunningService]]:
    """Token and note of each service of this machine that serves the library in `folder` now, the latest first."""
    notes = [
        (token, note)
        for token, note in _notes(folder)
        if note.machine == socket.gethostname() and local_address(note.address) is not None and _held(folder, token)
    ]
    return sorted(notes, key=lambda each: each[1].since, reverse=True)


def own_version() -> str:
    """The version of this program."""
    try:
        return version("smysl")
    except PackageNotFoundError:
        return "unknown"


def _notes(folder: Path) -> list[tuple[str, RunningService]]:
    """The notes in a folder that can be read; somebody else may have written what is there."""
    try:
        names = sorted(name[1] for file in folder.iterdir() if (name := _NAME.fullmatch(file.name)))
    except OSError:
        return []
    found = []
    for token in names[:_MOST_NOTES]:
        note = _read(folder / f"serving-{token}.json")
        if note is not None:
            found.append((token, note))
    return found


def _read(file: Path) -> RunningService | None:
    try:
        # A pipe would keep its reader waiting.
        if not file.is_file() or file.stat().st_size > _MOST_BYTES:
            return None
        values = json.loads(file.read_text(encoding="utf-8"))
        note = RunningService(**values)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    words = (note.machine, note.address, note.version, note.since)
    choices = (getattr(note, name) for name in MODEL_SETTINGS)
    sound = all(isinstance(word, str) for word in words) and all(isinstance(each, str | None) for each in choices)
    return note if sound and type(note.port) is int and note.port in _PORTS else None


def _held(folder: Path, token: str) -> bool:
    """Whether the service that left a note is there: whether somebody holds its lock."""
    from filelock import FileLock, Timeout

    file = _lock_of(folder, token)
    if not file.is_file():
        return False
    try:
        with FileLock(file, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False


def _lock_of(folder: Path, token: str) -> Path:
    return folder / f"serving-{token}.lock"


def _remove(folder: Path, token: str) -> None:
    for file in (folder / f"serving-{token}.json", _lock_of(folder, token)):
        with suppress(OSError):
            file.unlink(missing_ok=True)
