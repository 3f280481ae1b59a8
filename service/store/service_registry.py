"""Which services serve a library: each leaves a note in the library's folder, by which commands find it.

A note is a JSON file with a lock file beside it. Each service has its own, so several may serve one library. The
operating system releases the lock when the service ends in whatever way, so a note without a locked file is stale.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from service.store.loopback import local_address

if TYPE_CHECKING:
    from service.config import Settings

SERVICE_HEADER = "smysl-service"
"""The header of each response of a service; its value is the token in the name of the service's note."""

MODEL_SETTINGS = ("model", "device", "precision", "runtime")
"""Settings on which vectors and matches depend."""

_NOTE_NAME = re.compile(r"serving-([0-9a-f]{16})\.json")
_MOST_NOTES = 8
_MOST_BYTES = 4096


@dataclass(frozen=True, slots=True, config=ConfigDict(strict=True, extra="forbid"))
class RunningService:
    """The content of a note: the process, its machine, where it listens, and the settings it was started with.

    `machine` is the host name, `address` what the service listens on (perhaps all addresses), `since` local time in
    ISO 8601 with its offset. `model`, `device`, `precision` and `runtime` are None if they were not set.
    """

    pid: int
    machine: str
    address: str
    port: Annotated[int, Field(ge=1, le=65535)]
    version: str
    since: str
    model: str | None
    device: str | None
    precision: str | None
    runtime: str | None

    @property
    def url(self) -> str:
        """The URL to show to a person."""
        host = local_address(self.address) or self.address
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


class ServiceNote:
    """The note of this service, made by `announced`."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.token = secrets.token_hex(8)
        self._folder = folder
        self._settings = settings

    def write(self, port: int) -> None:
        """Writes that the service answers at `port`; if the folder is not writable, no command finds the service."""
        since = datetime.now().astimezone().isoformat(timespec="seconds")
        chosen = {name: getattr(self._settings, name) for name in MODEL_SETTINGS}
        host = self._settings.host
        service = RunningService(os.getpid(), socket.gethostname(), host, port, own_version(), since, **chosen)
        with suppress(OSError):
            _note_file(self._folder, self.token).write_text(json.dumps(asdict(service)), encoding="utf-8")

    def close(self) -> None:
        """Deletes the note; called as soon as the service stops, since a signal may end the process right after."""
        _delete(self._folder, self.token)


@contextmanager
def announced(folder: Path, settings: Settings) -> Iterator[ServiceNote]:
    """A note of this service in the library's `folder`, locked inside the block and deleted after it.

    Also deletes the notes of services that were killed.
    """
    from filelock import FileLock, Timeout

    note = ServiceNote(folder, settings)
    lock = FileLock(_lock_file(folder, note.token), timeout=0)
    with suppress(OSError, Timeout):
        lock.acquire()
    for token, other in _read_notes(folder):
        if token != note.token and other.machine == socket.gethostname() and not _is_running(folder, token):
            _delete(folder, token)
    try:
        yield note
    finally:
        lock.release()
        note.close()


def running_services(folder: Path) -> list[tuple[str, RunningService]]:
    """Token and note of each service on this machine that serves the library in `folder`, the latest first."""
    notes = [
        (token, service)
        for token, service in _read_notes(folder)
        if service.machine == socket.gethostname()
        and local_address(service.address) is not None
        and _is_running(folder, token)
    ]
    return sorted(notes, key=lambda note: note[1].since, reverse=True)


def own_version() -> str:
    """The version of this program."""
    try:
        return version("smysl")
    except PackageNotFoundError:
        return "unknown"


def _read_notes(folder: Path) -> list[tuple[str, RunningService]]:
    """Token and content of each valid note; the folder may hold anything that matches the name."""
    try:
        tokens = sorted(name[1] for file in folder.iterdir() if (name := _NOTE_NAME.fullmatch(file.name)))
    except OSError:
        return []
    services = {token: _read_note(_note_file(folder, token)) for token in tokens[:_MOST_NOTES]}
    return [(token, service) for token, service in services.items() if service is not None]


def _read_note(file: Path) -> RunningService | None:
    try:
        # Reading a named pipe would block.
        if not file.is_file() or file.stat().st_size > _MOST_BYTES:
            return None
        return TypeAdapter(RunningService).validate_json(file.read_bytes())
    except (OSError, ValueError):
        return None


def _is_running(folder: Path, token: str) -> bool:
    """Whether the service of a note still runs, that is, holds its lock."""
    from filelock import FileLock, Timeout

    file = _lock_file(folder, token)
    if not file.is_file():
        return False
    try:
        with FileLock(file, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False


def _note_file(folder: Path, token: str) -> Path:
    return folder / f"serving-{token}.json"


def _lock_file(folder: Path, token: str) -> Path:
    return folder / f"serving-{token}.lock"


def _delete(folder: Path, token: str) -> None:
    for file in (_note_file(folder, token), _lock_file(folder, token)):
        with suppress(OSError):
            file.unlink(missing_ok=True)
