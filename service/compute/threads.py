"""How many threads this process computes with."""

from __future__ import annotations

import os

from service.compute.cores import usable_cores

VARIABLE = "SMYSL_THREADS"
"""Environment variable: set for the workers of a service, which share the machine's cores."""


def threads() -> int:
    """Threads for a tower: what the environment says, else one for each core that this process may use."""
    said = os.environ.get(VARIABLE, "")
    return max(1, int(said)) if said.isdecimal() else usable_cores()
