"""Several processes that answer at one address and share the index's pages of memory, under one that looks after them.

The one above them announces the address when all answer, indexes folders, starts a worker again that died, and ends
all of them. It loads no model itself unless it indexes.
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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from uvicorn.config import STARTUP_FAILURE, Config
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from service.compute.cores import THREADS_VARIABLE, usable_cores
from service.config import Settings
from service.errors import LibraryError, SmyslError
from service.library import Library
from service.web.background_index import Indexing
from service.web.schemas import IndexingOut

if TYPE_CHECKING:
    from fastapi import FastAPI

_VARIABLE = "SMYSL_WORKER"
_MOST_DEATHS = 5
_LATELY_S = 60.0


@dataclass(frozen=True, slots=True)
class _Errand:
    """What a worker is told: the library's folder, the settings as JSON, and the folder shared with the one above."""

    library: str
    settings: str
    shared: str


def run_workers(
    library: Library,
    folders: Sequence[Path],
    listening: socket.socket,
    headers: list[tuple[str, str]],
    say: Callable[[str], None],
    on_ready: Callable[[], None],
) -> None:
    """Answer with as many processes as the library's settings say until interrupted; indexes `folders` meanwhile.

    `on_ready` is called once, when all answer; `say` hears in a sentence of a worker that had to be started again.
    Raises what kept a worker from answering, and `LibraryError` where workers end again and again.
    """
    with tempfile.TemporaryDirectory(prefix="smysl-") as shared:
        errand = _Errand(str(library.folder), library.settings.model_dump_json(), shared)
        os.environ[_VARIABLE] = json.dumps(asdict(errand))
        _share_cores(library.settings.workers)
        config = Config(
            "service.web.workers:application",
            factory=True,
            workers=library.settings.workers,
            log_level="warning",
            server_header=False,
            headers=headers,
        )
        workers = _Workers(config, [listening], say, on_ready)
        indexing = Indexing(library, folders, _Progress(Path(shared)).write)
        indexing.start()
        try:
            workers.run()
        finally:
            indexing.stop()
        if workers.failed:
            raise _fault(Path(shared))


def application() -> FastAPI:
    """The service of one worker, which the environment tells what to serve; for uvicorn."""
    from service.web.app import create_app
    from service.web.server import SWITCH_S

    errand = _Errand(**json.loads(os.environ[_VARIABLE]))
    sys.setswitchinterval(SWITCH_S)
    shared = Path(errand.shared)
    try:
        library = Library.open(Path(errand.library), Settings(**json.loads(errand.settings)))
        if library.status().model is not None:
            library.check()
    except SmyslError as error:
        (shared / f"fault-{os.getpid()}.json").write_text(json.dumps([type(error).__name__, error.message]))
        sys.exit(STARTUP_FAILURE)
    return create_app(library, progress=_Progress(shared).read)


class _Workers(Multiprocess):
    """Uvicorn's workers, which are announced, and given up where they die again and again."""

    def __init__(
        self,
        config: Config,
        sockets: list[socket.socket],
        say: Callable[[str], None],
        on_ready: Callable[[], None],
    ) -> None:
        super().__init__(config, sockets)
        self._say = say
        self._on_ready = on_ready
        self._ready = False
        self._deaths: list[float] = []
        self.failed = False

    def handle_signals(self) -> None:
        """Besides what uvicorn does, announce the service as soon as all workers answer."""
        super().handle_signals()
        if not self._ready and all(process.is_ready(timeout=1) for process in self.processes):
            self._ready = True
            self._on_ready()

    def keep_subprocess_alive(self) -> None:
        """Start a dead worker again and say so; end all where one has never answered or too many died lately.

        Uvicorn's own way asks each worker for a sign of life, and waits long for that of one that is ending.
        """
        dead = [place for place, process in enumerate(self.processes) if not process.process.is_alive()]
        now = time.monotonic()
        self._deaths = [death for death in self._deaths if now - death < _LATELY_S] + [now] * len(dead)
        if dead and (not self._ready or len(self._deaths) > _MOST_DEATHS):
            self.failed = True
            self.should_exit.set()
            return
        for place in dead:
            old = self.processes[place]
            old.kill()
            old.join()
            self.processes[place] = Process(self.config, self.sockets)
            self.processes[place].start()
            self._say(f"Worker {old.pid} ended unexpectedly (exit code {old.exitcode}) and was started again.")


class _Progress:
    """How far the index run above the workers is, in a file of the folder that they share."""

    def __init__(self, shared: Path) -> None:
        self._file = shared / "indexing.json"

    def write(self, progress: IndexingOut | None) -> None:
        """Tell the workers."""
        with suppress(OSError):
            if progress is None:
                self._file.unlink(missing_ok=True)
                return
            new = self._file.with_suffix(".new")
            new.write_text(progress.model_dump_json(), encoding="utf-8")
            new.replace(self._file)

    def read(self) -> IndexingOut | None:
        """What was told last; None where no run is going on."""
        try:
            return IndexingOut.model_validate_json(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None


def _share_cores(workers: int) -> None:
    """Let each worker compute with its share of the cores, unless the environment says with how many threads."""
    share = str(max(1, usable_cores() // workers))
    for variable in (THREADS_VARIABLE, "OMP_NUM_THREADS"):
        os.environ.setdefault(variable, share)


def _fault(shared: Path) -> SmyslError:
    """Why the workers ended, as the first of them said it."""
    kinds = {kind.__name__: kind for kind in _kinds(SmyslError)}
    for file in sorted(shared.glob("fault-*.json")):
        kind, message = json.loads(file.read_text(encoding="utf-8"))
        return kinds[kind](message)
    return LibraryError("The service's workers end as soon as they are started; what they said last stands above.")


def _kinds(kind: type[SmyslError]) -> list[type[SmyslError]]:
    return [kind, *(inner for child in kind.__subclasses__() for inner in _kinds(child))]
