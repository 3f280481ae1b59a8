"""The index runs of a service, in a thread beside the request handlers: one when it starts, and those of a watch."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from service.errors import SmyslError
from service.indexing.decoder import Failure, Flaw
from service.indexing.indexer import Advanced, Finished, Scanned
from service.indexing.watch_events import Notice, WatchEvent, Watching, WatchOptions
from service.library import Library
from service.web.background_schemas import BackgroundOut, IndexingOut, LastRunOut

_STOP_TIMEOUT_S = 8.0
"""How long `stop` waits for a run to end; Docker kills a container after ten seconds."""


class BackgroundIndex:
    """Index runs of a library in a thread. The library's settings say whether its folders are watched.

    Args:
        library: to index.
        folders: to index at the start, and to watch; without any, all roots are watched.
        on_change: called with the state after each step.
    """

    def __init__(
        self,
        library: Library,
        folders: Sequence[Path],
        on_change: Callable[[BackgroundOut], None] = lambda state: None,
    ) -> None:
        self._library = library
        self._folders = list(folders)
        self._on_change = on_change
        self._state = BackgroundOut()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="index", daemon=True)
        self._log = logging.getLogger("smysl")

    def start(self) -> None:
        """Start the thread, if there is anything to index or to watch."""
        if self._folders or self._library.settings.watch:
            if self._folders:
                self._state = BackgroundOut(indexing=_progress())
            self._thread.start()

    def stop(self) -> None:
        """End a run after the batch that is being encoded; waits for that for a few seconds."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_TIMEOUT_S)

    def state(self) -> BackgroundOut:
        """The run that is going on or has failed, what is watched, and the last run."""
        return self._state

    def _run(self) -> None:
        log = self._log
        try:
            with closing(self._events()) as events:
                for event in events:
                    self._handle(event)
                    if self._stopping.is_set():
                        break
        except SmyslError as error:
            log.error(error.message)
            self._fail(error.message)
        except Exception:
            # Nothing above this thread would report the exception.
            log.exception("the index run failed")
            self._fail("The index run failed because of a bug in smysl; see the log of the service.")

    def _events(self) -> Generator[WatchEvent, None, None]:
        library = self._library
        if not library.settings.watch:
            yield from library.index(self._folders, encoder=library.encoder_to_index(say=self._log.info))
            return
        yield from library.watch(
            self._folders,
            WatchOptions(poll_s=library.settings.poll),
            load=lambda: library.encoder_to_index(say=self._log.info),
            stop=self._stopping,
        )

    def _handle(self, event: WatchEvent) -> None:
        progress = self._state.indexing or _progress()
        if isinstance(event, Scanned):
            self._change(indexing=progress.model_copy(update={"total": event.to_read}))
        elif isinstance(event, Advanced):
            self._change(indexing=progress.model_copy(update={"done": event.done}))
        elif isinstance(event, Failure):
            self._log.warning("%s: %s", event.path, event.reason)
            self._change(indexing=progress.model_copy(update={"failed": progress.failed + 1}))
        elif isinstance(event, Flaw):
            self._log.info("%s: %s", event.path, event.sentence)
        elif isinstance(event, Finished):
            self._log.info("indexed: %d added, %d changed", event.summary.added, event.summary.changed)
            self._change(indexing=None, last_run=LastRunOut.of(event.summary, datetime.now(UTC)))
        elif isinstance(event, Notice):
            self._log.warning(event.sentence)
            if self._state.last_run is not None:
                # Nothing else says that a later run has failed.
                self._change(indexing=None)
        elif isinstance(event, Watching):
            # Folders that are all away are not indexed at the start.
            self._change(indexing=None, watching=list(map(str, event.folders)), away=list(map(str, event.away)))

    def _change(self, **changes: object) -> None:
        self._state = self._state.model_copy(update=changes)
        self._on_change(self._state)

    def _fail(self, message: str) -> None:
        progress = self._state.indexing or _progress()
        self._change(indexing=progress.model_copy(update={"error": message}), watching=[], away=[])


def _progress() -> IndexingOut:
    return IndexingOut(done=0, total=0, failed=0, error=None)
