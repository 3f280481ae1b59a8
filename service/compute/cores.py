"""How many cores there are for this process."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """The cores that this process may use, at least one; a container or a job may have fewer than the machine."""
    if hasattr(os, "process_cpu_count"):
        return os.process_cpu_count() or 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
