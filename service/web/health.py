"""Whether the service is well: that its model and its index answer, asked so seldom that it costs nothing."""

from __future__ import annotations

import threading
import time

import anyio
import anyio.to_thread

from service.library import Library
from service.web.schemas import HealthOut

FRESH_S = 5.0
"""Seconds for which a model and an index that answered are not asked again, unless the library has changed."""


class HealthChecker:
    """Looks after one library. What it asks does not wait behind searches for a thread."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._threads = anyio.CapacityLimiter(2)
        self._guard = threading.Lock()
        self._well: tuple[object, ...] | None = None
        self._until = 0.0

    async def check(self) -> HealthOut:
        """How the service is; raises what is wrong with the model or the index."""
        return await anyio.to_thread.run_sync(self._check, limiter=self._threads)

    def _check(self) -> HealthOut:
        catalog = self._library.catalog
        known = (catalog.setting("model"), catalog.setting("fingerprint"), catalog.generation())
        if known[0] is None:
            return HealthOut(status="empty", photographs=0)
        with self._guard:
            asked_lately = known == self._well and time.monotonic() < self._until
        if not asked_lately:
            self._library.check()
            with self._guard:
                self._well, self._until = known, time.monotonic() + FRESH_S
        return HealthOut(status="ok", photographs=catalog.count())
