"""Keeps a library in step with the disk: index runs of the folders in which something has changed, until stopped.

Changes are collected until the disk is quiet, so that both ends of a move are in one run, which recognises it by
content. A file that changed a moment ago is left for the next run: it may still be being written.
"""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

from service.errors import BusyError, LibraryError, MismatchError, NotFoundError, UsageError
from service.indexing.changes import Batch, Changes, Scope, outermost
from service.indexing.decoder import Failure
from service.indexing.indexer import Event, Finished, Summary
from service.indexing.options import Postpone
from service.indexing.watch_events import POLL_S, Notice, Ran, WatchEvent, Watching, WatchOptions
from service.indexing.watched_folder import CHECK_S, ChangeSources, WatchedFolder
from service.store.catalog import Catalog
from service.store.lock import current_writer
from service.store.records import FileInfo

QUIET_S = 2.0
"""Seconds without a change after which an index run begins."""

MOST_WAIT_S = 30.0
"""Seconds of constant change after which one begins all the same."""

TICK_S = 0.5
"""Seconds between two looks for changes."""

BUSY_S = 5.0
"""Seconds after which a run is tried again while another process writes to the library."""

RETRY_S = 60.0
"""Seconds after which a run that failed is tried again."""

_MOST_REMEMBERED = 10_000
"""Failures and counts of missing photographs that are remembered, so that they are told once."""


class RunIndex(Protocol):
    """An index run of the folders of `scope`, as `Library.index`.

    `prune` and `postpone` are those of `IndexOptions`.
    """

    def __call__(self, scope: Scope, *, prune: bool, postpone: Postpone | None) -> Generator[Event, None, None]:
        """Events of the run."""


class Stop(Protocol):
    """Tells when to stop, as `threading.Event`."""

    def is_set(self) -> bool:
        """Whether to stop."""

    def wait(self, timeout: float) -> bool:
        """Wait until it is set, at most `timeout` seconds."""


class Watch:
    """Watches folders of a library and indexes what changes in them.

    Args:
        catalog: of the library.
        library: its folder.
        index: makes an index run.
        named: absolute, resolved folders to watch; without any all roots are watched, also those that are added.
        options: how.
        sources: what finds changes.
        clock: seconds that pass.
        wall_clock: seconds since 1970, as of the times of files.
    """

    def __init__(
        self,
        catalog: Catalog,
        library: Path,
        index: RunIndex,
        named: Sequence[Path],
        options: WatchOptions,
        *,
        sources: ChangeSources | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._catalog = catalog
        self._library = library
        self._index = index
        self._named = outermost(named)
        self._options = options
        self._clock = clock
        self._wall_clock = wall_clock
        self._sources = sources or ChangeSources(library, options.poll_s or POLL_S, clock)
        self._watched: dict[Path, WatchedFolder] = {}
        self._batch = Batch(QUIET_S, MOST_WAIT_S)
        self._postponed = Changes()
        self._notices: deque[str] = deque()
        self._told: Watching | None = None
        self._told_trouble = ""
        self._failures: set[tuple[str, str, int]] = set()
        self._missing: dict[Scope, int] = {}
        self._has_run = False
        self._list_folders_at = clock()

    def run(self, stop: Stop) -> Generator[WatchEvent, None, None]:
        """Index all folders, then what changes, until `stop` is set or the generator is closed.

        Raises:
            LibraryError: the first index run failed, or the library cannot be read any more.
            MismatchError: the library cannot be indexed with the model any more.
        """
        try:
            while not stop.is_set():
                self._look()
                yield from self._tell()
                if self._batch.is_complete(self._clock(), at_once=not self._has_run):
                    yield from self._index_batch()
                    yield from self._tell()
                stop.wait(TICK_S)
        except sqlite3.Error as error:
            raise LibraryError(
                f"The library {self._library} cannot be read any more ({error}). Watch its folders again when its disk "
                "is back."
            ) from None
        finally:
            for folder in self._watched.values():
                folder.close()

    def _look(self) -> None:
        """Collect what has changed, also which folders there are."""
        now = self._clock()
        if now >= self._list_folders_at:
            self._list_folders_at = now + CHECK_S
            self._list_folders()
        for folder in self._watched.values():
            self._batch.add(folder.look(), now)

    def _list_folders(self) -> None:
        roots = [root.path for root in self._catalog.roots()]
        wanted = self._named or roots
        if self._named and self._has_run:
            wanted = [folder for folder in self._named if any(folder.is_relative_to(root) for root in roots)]
        for path in self._watched.keys() - set(wanted):
            self._watched.pop(path).close()
            self._notices.append(f"{path} is no longer a folder of the library and is not watched any more.")
        for path in wanted:
            if path not in self._watched:
                self._watched[path] = WatchedFolder(
                    path,
                    self._sources,
                    always_poll=self._options.poll_s is not None,
                    has_photographs=self._has_photographs,
                    say=self._notices.append,
                    clock=self._clock,
                )

    def _has_photographs(self, folder: Path) -> bool:
        for root in self._catalog.roots():
            if folder.is_relative_to(root.path):
                below = folder.relative_to(root.path).as_posix()
                return bool(self._catalog.photographs_under(root.id, "" if below == "." else below))
        return False

    def _tell(self) -> Iterator[Notice | Watching]:
        """What there is to say, and which folders are watched once all have been indexed."""
        while self._notices:
            yield Notice(self._notices.popleft())
        watching = Watching(tuple(self._there()), tuple(path for path in self._watched if path not in self._there()))
        if watching != self._told and (self._has_run or not self._batch):
            self._told = watching
            yield watching

    def _there(self) -> list[Path]:
        return [path for path, folder in self._watched.items() if folder.is_there]

    def _index_batch(self) -> Iterator[Event | Notice | Ran]:
        """Index what has changed."""
        scope = self._batch.take().scope(self._there())
        if not scope:
            return
        for folder in self._watched.values():
            folder.cover(scope.deep)
        is_whole = not scope.flat and set(scope.deep) <= self._watched.keys()
        missing = yield from self._index_scope(scope, prune=self._options.prune and is_whole)
        if self._options.prune and not is_whole and missing:
            # Whether too much is gone is judged by all of a folder that is watched.
            folders = [*scope.deep, *scope.flat]
            whole = [path for path in self._there() if any(folder.is_relative_to(path) for folder in folders)]
            yield from self._index_scope(Scope(tuple(whole)), prune=True)

    def _index_scope(self, scope: Scope, *, prune: bool) -> Generator[Event | Ran, None, int]:
        """An index run; returns how many photographs are missing. What could not be indexed stays in the batch."""
        summary, failed = Summary(), 0
        try:
            with closing(self._index(scope, prune=prune, postpone=self._postpone if self._has_run else None)) as run:
                for event in run:
                    if isinstance(event, Failure):
                        if not self._is_new(event):
                            continue
                        failed += 1
                    yield event
                    if isinstance(event, Finished):
                        summary = event.summary
        except BusyError:
            writer = current_writer(self._library) or "another process"
            self._put_off(scope, BUSY_S, f"Waiting for {writer}, which is writing to the library.")
        except MismatchError:
            raise
        except (LibraryError, NotFoundError, UsageError) as error:
            if self._lost_a_folder():
                self._put_off(scope, 0.0, "")
            elif not self._has_run:
                raise
            else:
                self._put_off(scope, RETRY_S, f"{error.message} Trying again every {RETRY_S:g} s.")
        else:
            self._has_run = True
            self._told_trouble = ""
            self._batch.add(self._postponed, self._clock())
            self._postponed = Changes()
            known = self._missing.get(scope, 0)
            if len(self._missing) >= _MOST_REMEMBERED:
                self._missing.clear()
            self._missing[scope] = summary.missing
            yield Ran(summary, failed, max(0, summary.missing - known))
        return summary.missing

    def _put_off(self, scope: Scope, seconds: float, trouble: str) -> None:
        """Keep what could not be indexed for a later run, and say once what keeps it from being indexed."""
        now = self._clock()
        self._batch.add(scope.as_changes(), now)
        self._batch.postpone(now + seconds)
        if trouble and trouble != self._told_trouble:
            self._notices.append(trouble)
        self._told_trouble = trouble

    def _lost_a_folder(self) -> bool:
        """Whether a folder has gone away since it was last checked."""
        before = self._there()
        for folder in self._watched.values():
            changes = Changes()
            folder.check(changes)
            self._batch.add(changes, self._clock())
        return self._there() != before

    def _postpone(self, file: Path, info: FileInfo) -> bool:
        """Whether a file changed so recently that it may still be being written; its folder is then indexed again."""
        changed_s = max(info.modified_ns, info.changed_ns or 0) / 1e9
        if not 0 <= self._wall_clock() - changed_s < QUIET_S:
            return False
        self._postponed.add(file.parent, below=False)
        return True

    def _is_new(self, failure: Failure) -> bool:
        """Whether nobody has been told of a failure since the file changed."""
        try:
            modified_ns = Path(failure.path).stat().st_mtime_ns
        except OSError:
            modified_ns = 0
        told = (failure.path, failure.reason, modified_ns)
        if told in self._failures:
            return False
        if len(self._failures) >= _MOST_REMEMBERED:
            self._failures.clear()
        self._failures.add(told)
        return True
