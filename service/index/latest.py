"""A snapshot that one thread at a time refreshes while other threads use the last one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """Holds the latest snapshot; only callers before the first one wait for another thread. Thread-safe.

    Args:
        refresh: makes the newest snapshot from the last one or None; returns the same object if nothing changed.
        takes_long: whether refreshing a snapshot takes longer than a caller should wait; it is then done in a
            background thread, and the last snapshot is used meanwhile.
    """

    def __init__(self, refresh: Callable[[T | None], T], takes_long: Callable[[T], bool]) -> None:
        self._refresh = refresh
        self._takes_long = takes_long
        # Not an RLock: the background thread releases the lock that its caller has acquired.
        self._turn = threading.Lock()
        self._snapshot: T | None = None
        self._error: Exception | None = None

    def get(self) -> T:
        """The newest snapshot, or the last one while another thread makes a newer one.

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
        """Waits for any refresh to end and prevents others inside the block; yields the last snapshot, if any."""
        with self._turn:
            yield self._snapshot

    def _refresh_in_background(self) -> None:
        try:
            self._snapshot = self._refresh(self._snapshot)
        # Raised by the next `get`, since this thread has no caller.
        except Exception as error:  # noqa: BLE001
            self._error = error
        finally:
            self._turn.release()
