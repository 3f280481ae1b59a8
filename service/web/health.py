"""The health check: runs model and index for real, but at most once every few seconds."""

from __future__ import annotations

import threading
import time

import anyio
import anyio.to_thread

from service.library import Library
from service.web.schemas import HealthOut

FRESH_S = 5.0
"""Seconds for which a passed check counts, unless the library has changed."""


class HealthChecker:
    """Checks one library, in threads of its own so that it does not queue behind searches."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._threads = anyio.CapacityLimiter(2)
        self._lock = threading.Lock()
        self._checked_state: tuple[object, ...] | None = None
        self._fresh_until = 0.0

    async def check(self) -> HealthOut:
        """The health of the service; raises what is wrong with the model or the index."""
        return await anyio.to_thread.run_sync(self._check, limiter=self._threads)

    def _check(self) -> HealthOut:
        catalog = self._library.catalog
        state = (catalog.setting("model"), catalog.setting("fingerprint"), catalog.generation())
        if state[0] is None:
            return HealthOut(status="empty", photographs=0)
        with self._lock:
            is_fresh = state == self._checked_state and time.monotonic() < self._fresh_until
        if not is_fresh:
            self._library.check()
            with self._lock:
                self._checked_state, self._fresh_until = state, time.monotonic() + FRESH_S
        return HealthOut(status="ok", photographs=catalog.count())
