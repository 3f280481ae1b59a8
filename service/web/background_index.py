"""The index run of a service, in a thread beside the request handlers, and its progress."""

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

_STOP_TIMEOUT_S = 8.0
"""How long `stop` waits for the run to end; Docker kills a container after ten seconds."""


class BackgroundIndex:
    """An index run of `folders` in a thread.

    `on_change` is called with the progress after each step, and with None when the run has succeeded.
    """

    def __init__(
        self,
        library: Library,
        folders: Sequence[Path],
        on_change: Callable[[IndexingOut | None], None] = lambda progress: None,
    ) -> None:
        self._library = library
        self._folders = list(folders)
        self._on_change = on_change
        self._progress: IndexingOut | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="index", daemon=True)

    def start(self) -> None:
        """Start the thread; without folders do nothing."""
        if self._folders:
            self._progress = IndexingOut(done=0, total=0, failed=0, error=None)
            self._thread.start()

    def stop(self) -> None:
        """End the run after the batch that is being encoded; waits for that for a few seconds."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_TIMEOUT_S)

    def progress(self) -> IndexingOut | None:
        """Progress of the run, or why it failed; None before it has started and after it has succeeded."""
        return self._progress

    def _run(self) -> None:
        log = logging.getLogger("smysl")
        progress = self._progress
        assert progress is not None  # noqa: S101 - `start` sets it
        try:
            encoder = self._library.encoder_to_index(say=log.info)
            for event in self._library.index(self._folders, encoder=encoder):
                self._handle(event, progress, log)
                if self._stopping.is_set():
                    break
        except SmyslError as error:
            log.error(error.message)
            progress.error = error.message
        except Exception:
            # Nothing above this thread would report the exception.
            log.exception("the index run failed")
            progress.error = "The index run failed because of a bug in smysl; see the log of the service."
        self._on_change(self._progress)

    def _handle(self, event: Event, progress: IndexingOut, log: logging.Logger) -> None:
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
        self._on_change(self._progress)
