"""How many cores this process may use, and how many threads it computes with."""

from __future__ import annotations

import os

THREADS_VARIABLE = "SMYSL_THREADS"
"""Environment variable: set for the workers of a service, which share the machine's cores."""


def usable_cores() -> int:
    """The cores that this process may use, at least one; a container or a job may have fewer than the machine."""
    if hasattr(os, "process_cpu_count"):
        return os.process_cpu_count() or 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def compute_threads() -> int:
    """Threads for encoding and search: what the environment says, else one for each usable core."""
    value = os.environ.get(THREADS_VARIABLE, "")
    return max(1, int(value)) if value.isdecimal() else usable_cores()
