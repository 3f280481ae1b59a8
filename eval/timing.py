"""Measures how long a call takes, and counts progress up from several places."""

from __future__ import annotations

import time
from collections.abc import Callable

from service.types import OnProgress


def elapsed_s(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


class ProgressCounter:
    """Adds up what is done and reports (done, total) to a callback, where there is one."""

    def __init__(self, on_progress: OnProgress | None, total: int) -> None:
        self._on_progress, self._total, self._done = on_progress, total, 0

    def add(self, count: int = 1) -> None:
        """Report that `count` more are done."""
        self._done += count
        if self._on_progress is not None:
            self._on_progress(self._done, self._total)
