"""The index run of a service: in a thread beside the answers, and how far it is."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from service.errors import SmyslError
from service.indexing.decoder import Failure
from service.indexing.indexer import Advanced, Event, Finished, Scanned
from service.library import Library
from service.web.schemas import IndexingOut

_PATIENCE_S = 8.0
"""Seconds that an index run has to come to an end when the service stops; a container's engine waits ten."""


class Indexing:
    """An index run of `folders` in a thread. `tell` hears how far it is after each step, None when it is over."""

    def __init__(
        self,
        library: Library,
        folders: Sequence[Path],
        tell: Callable[[IndexingOut | None], None] = lambda progress: None,
    ) -> None:
        self._library = library
        self._folders = list(folders)
        self._tell = tell
        self._progress: IndexingOut | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="index", daemon=True)

    def start(self) -> None:
        """Begin, where there are folders."""
        if self._folders:
            self._progress = IndexingOut(done=0, total=0, failed=0, error=None)
            self._thread.start()

    def stop(self) -> None:
        """End after the photographs that are being encoded, which is waited for a few seconds."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_PATIENCE_S)

    def progress(self) -> IndexingOut | None:
        """How far it is; None before it began and after it ended well."""
        return self._progress

    def _run(self) -> None:
        log = logging.getLogger("uvicorn.error")
        progress = self._progress
        assert progress is not None  # noqa: S101 - `start` sets it
        try:
            encoder = self._library.encoder_to_index(say=log.info)
            for event in self._library.index(self._folders, encoder=encoder):
                self._follow(event, progress, log)
                if self._stopping.is_set():
                    break
        except SmyslError as error:
            log.error(error.message)
            progress.error = error.message
        except Exception:
            # A thread has nobody above it who would say that it is dead.
            log.exception("the index run ended")
            progress.error = "The index run ended by a fault in smysl; the service's log says which."
        self._tell(self._progress)

    def _follow(self, event: Event, progress: IndexingOut, log: logging.Logger) -> None:
        if isinstance(event, Scanned):
            progress.total = event.to_read
        elif isinstance(event, Advanced):
            progress.done = event.done
        elif isinstance(event, Failure):
            progress.failed += 1
            log.warning("%s: %s", event.path, event.reason)
        elif isinstance(event, Finished):
            log.info("indexed: %d added, %d changed", event.summary.added, event.summary.changed)
            self._progress = None
        self._tell(self._progress)
