"""Arrays beside a JSON: written so that they are refused where they are not those that the JSON was written with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def write_arrays(file: Path, arrays: dict[str, NDArray[Any]]) -> str:
    """Write named arrays as safetensors; returns the checksum of the file."""
    from safetensors.numpy import save

    part = file.with_name(f"{file.name}.part")
    # Not its own `save_file`, which keeps the file from everybody but its owner.
    part.write_bytes(save(arrays))
    part.replace(file)
    return checksum_of(file)


def read_arrays(file: Path, checksum: str) -> dict[str, NDArray[Any]]:
    """The arrays of a file; raises `ValueError` where it is another file, damaged, or holds what is no number."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if checksum_of(file) != checksum:
        raise ValueError(f"{file.name} beside it is damaged or of another fit")
    try:
        arrays: dict[str, NDArray[Any]] = load_file(file)
    except SafetensorError as error:
        raise ValueError(str(error)) from None
    if not all(np.isfinite(each).all() for each in arrays.values()):
        raise ValueError(f"{file.name} holds numbers that are not finite")
    return arrays


def checksum_of(file: Path) -> str:
    """32 hexadecimal digits (XXH3, 128 bits) of a file's bytes."""
    import xxhash

    digest = xxhash.xxh3_128()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def fault_of(error: Exception) -> str:
    """What is wrong with a file's JSON, in a few words without a full stop."""
    return f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error).rstrip(".")
