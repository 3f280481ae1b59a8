"""Count the cores that this process may use, and the threads that it computes with."""

from __future__ import annotations

import os

THREADS_VARIABLE = "SMYSL_THREADS"
"""Environment variable with the threads of a process; set for a service's workers, which share the machine's cores."""


def usable_cores() -> int:
    """Cores that this process may use, at least 1; in a container or a batch job these may be fewer than there are."""
    if hasattr(os, "process_cpu_count"):
        return os.process_cpu_count() or 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def compute_threads() -> int:
    """Threads for encoding and search: `SMYSL_THREADS` if it is set, else one for each usable core."""
    value = os.environ.get(THREADS_VARIABLE, "")
    return max(1, int(value)) if value.isdecimal() else usable_cores()
