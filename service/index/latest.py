"""The latest snapshot of something that changes: one thread brings it up to date while the others use the last one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """Publishes snapshots; nobody but the first caller ever waits for one. Safe to use from several threads.

    Args:
        refresh: Makes the newest snapshot out of the last one, or out of None; the same object where nothing changed.
        takes_long: Whether refreshing a snapshot takes longer than a caller should wait. It is then done in a thread
            of its own, and the last snapshot is used meanwhile.
    """

    def __init__(self, refresh: Callable[[T | None], T], takes_long: Callable[[T], bool]) -> None:
        self._refresh = refresh
        self._takes_long = takes_long
        # A plain lock: a thread that refreshes in the background releases what its caller has acquired.
        self._turn = threading.Lock()
        self._snapshot: T | None = None
        self._error: Exception | None = None

    def get(self) -> T:
        """The newest snapshot, or the last one where another thread is making a newer one.

        Raises:
            Exception: what `refresh` raised, here or in the background since the last call.
        """
        last = self._snapshot
        if not self._turn.acquire(blocking=last is None) and last is not None:
            return last
        background = False
        try:
            last = self._snapshot
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            if last is not None and self._takes_long(last):
                threading.Thread(target=self._refresh_in_background, name="refresh", daemon=True).start()
                background = True
                return last
            self._snapshot = self._refresh(last)
            return self._snapshot
        finally:
            if not background:
                self._turn.release()

    @contextmanager
    def turn(self) -> Iterator[T | None]:
        """Wait until no thread refreshes, and keep others from it meanwhile; yields the last snapshot, if any."""
        with self._turn:
            yield self._snapshot

    def _refresh_in_background(self) -> None:
        try:
            self._snapshot = self._refresh(self._snapshot)
        # The next caller raises it: nobody is above this thread.
        except Exception as error:  # noqa: BLE001
            self._error = error
        finally:
            self._turn.release()
