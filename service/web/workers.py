"""Several worker processes that serve one address and share the memory pages of the index, and their supervisor.

The supervisor announces the address once all workers answer, indexes folders, restarts workers that die and stops all
of them at the end. It loads no model unless it indexes.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uvicorn.config import STARTUP_FAILURE, Config
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from service import errors
from service.compute.cores import THREADS_VARIABLE, usable_cores
from service.config import Settings
from service.errors import LibraryError, SmyslError
from service.library import Library
from service.store.atomic import replacing
from service.types import Say
from service.web.background_index import BackgroundIndex
from service.web.background_schemas import BackgroundOut

if TYPE_CHECKING:
    from fastapi import FastAPI

_VARIABLE = "SMYSL_WORKER"
"""Passes the library's folder, the settings and the folder that all processes share on to the workers, as JSON."""
_MAX_DEATHS = 5
_DEATH_WINDOW_S = 60.0


def run_workers(
    library: Library,
    folders: Sequence[Path],
    listening: socket.socket,
    options: dict[str, Any],
    say: Say,
    on_ready: Callable[[], None],
) -> None:
    """Serve with as many processes as the library's settings say until interrupted, and index `folders` meanwhile.

    Args:
        library: The library to serve; each worker opens its own.
        folders: Folders to index in the supervisor.
        listening: The bound socket that all workers accept connections on.
        options: Options of uvicorn, such as the headers of every response.
        say: Called with a sentence when a worker has been restarted.
        on_ready: Called once, when all workers answer.

    Raises:
        SmyslError: The error that kept a worker from starting.
        LibraryError: Workers die again and again.
    """
    with tempfile.TemporaryDirectory(prefix="smysl-") as shared:
        os.environ[_VARIABLE] = json.dumps([str(library.folder), library.settings.model_dump(mode="json"), shared])
        _share_cores(library.settings.workers)
        config = Config(
            "service.web.workers:application",
            factory=True,
            workers=library.settings.workers,
            **options,
        )
        supervisor = _Supervisor(config, [listening], say, on_ready)
        indexing = BackgroundIndex(library, folders, _SharedState(Path(shared)).write)
        indexing.start()
        try:
            supervisor.run()
        finally:
            indexing.stop()
        if supervisor.failed:
            raise _startup_error(Path(shared))


def application() -> FastAPI:
    """The application of one worker; uvicorn calls this in the worker's process."""
    from service.web.app import create_app, prepare_process

    folder, settings, shared = json.loads(os.environ[_VARIABLE])
    try:
        library = Library.open(Path(folder), Settings(**settings))
        prepare_process(library)
    except SmyslError as error:
        fault = Path(shared) / f"fault-{os.getpid()}.json"
        fault.write_text(json.dumps([type(error).__name__, error.message]), encoding="utf-8")
        sys.exit(STARTUP_FAILURE)
    return create_app(library, background=_SharedState(Path(shared)).read)


class _Supervisor(Multiprocess):
    """Uvicorn's supervisor, which also reports when all workers answer and gives up when they keep dying."""

    def __init__(
        self,
        config: Config,
        sockets: list[socket.socket],
        say: Say,
        on_ready: Callable[[], None],
    ) -> None:
        super().__init__(config, sockets)
        self._say = say
        self._on_ready = on_ready
        self._ready = False
        self._deaths: list[float] = []
        self.failed = False

    def handle_signals(self) -> None:
        """Besides handling signals, call `on_ready` as soon as all workers answer; uvicorn calls this in its loop."""
        super().handle_signals()
        if not self._ready and all(process.is_ready(timeout=1) for process in self.processes):
            self._ready = True
            self._on_ready()

    def keep_subprocess_alive(self) -> None:
        """Restart dead workers; stop all if one dies before all have answered, or if too many died recently.

        Replaces uvicorn's method, which pings each worker and waits long for one that is shutting down.
        """
        dead = [index for index, process in enumerate(self.processes) if not process.process.is_alive()]
        now = time.monotonic()
        self._deaths = [death for death in self._deaths if now - death < _DEATH_WINDOW_S] + [now] * len(dead)
        if dead and (not self._ready or len(self._deaths) > _MAX_DEATHS):
            self.failed = True
            self.should_exit.set()
            return
        for index in dead:
            old = self.processes[index]
            old.kill()
            old.join()
            self.processes[index] = Process(self.config, self.sockets)
            self.processes[index].start()
            self._say(f"Worker {old.pid} ended unexpectedly (exit code {old.exitcode}) and was restarted.")


class _SharedState:
    """State of the supervisor's index runs, in a file that the workers read."""

    def __init__(self, shared: Path) -> None:
        self._file = shared / "background.json"

    def write(self, state: BackgroundOut) -> None:
        """Replace the state."""
        # Written after every batch, into a temporary folder that no process reads after a crash.
        with suppress(OSError), replacing(self._file, sync=False) as temporary:
            temporary.write_text(state.model_dump_json(), encoding="utf-8")

    def read(self) -> BackgroundOut:
        """The state last written."""
        try:
            return BackgroundOut.model_validate_json(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return BackgroundOut()


def _share_cores(workers: int) -> None:
    """Give each worker its share of the cores, unless the environment sets the number of threads."""
    share = str(max(1, usable_cores() // workers))
    for variable in (THREADS_VARIABLE, "OMP_NUM_THREADS"):
        os.environ.setdefault(variable, share)


def _startup_error(shared: Path) -> SmyslError:
    """The error that the first failed worker left in the shared folder."""
    for file in sorted(shared.glob("fault-*.json")):
        name, message = json.loads(file.read_text(encoding="utf-8"))
        error: SmyslError = getattr(errors, name)(message)
        return error
    return LibraryError("The workers of the service keep ending as soon as they have started; see their log above.")
