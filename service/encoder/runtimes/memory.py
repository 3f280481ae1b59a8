"""Whether a model fits into this machine's memory, to run and to convert."""

from __future__ import annotations

from pathlib import Path

from service.encoder.models import bytes_on_disk
from service.errors import ModelError

_CONVERSION_FACTOR = 3.5
"""Peak memory of a conversion in sizes of the model: torch's network, the graph and the compiled graph."""


def check_fits_into_memory(name: str) -> None:
    """Raise `ModelError` where a model on this machine is larger than its memory."""
    size, memory = bytes_on_disk(name), _memory("MemTotal")
    if memory is not None and size > memory:
        raise ModelError(
            f"The model {name} takes {size / 1e9:.0f} GB and this machine has {memory / 1e9:.0f} GB of memory; choose "
            "a smaller one, `smysl models` lists what there is."
        )


def too_little_to_convert(name: str) -> str | None:
    """Why there is too little free memory to convert a model, as half a sentence; None where there is enough."""
    needed, free = _CONVERSION_FACTOR * bytes_on_disk(name), _memory("MemAvailable")
    if free is None or needed < free:
        return None
    return f"converting it takes about {needed / 1e9:.0f} GB of memory and {free / 1e9:.0f} GB are free"


def _memory(entry: str) -> int | None:
    """Bytes of the entry "MemTotal" or "MemAvailable" of /proc/meminfo; None where the system has no such entry."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    sizes = [int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{entry}:")]
    return sizes[0] if sizes else None
