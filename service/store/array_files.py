"""Files of arrays and bytes with a checksum, so that damaged or mismatched files are refused.

A JSON file that belongs to an array file holds its checksum.
"""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np

from service.store.atomic import replacing, write_bytes
from service.types import AnyArray, UInt8Array

_CHECKSUM_BYTES = 16
"""Length of the checksum at the start of a file of `write_checksummed`."""


def write_arrays(file: Path, arrays: dict[str, AnyArray]) -> str:
    """Writes named arrays as safetensors; returns the checksum of the file."""
    import xxhash
    from safetensors.numpy import save

    # Not `save_file`, whose files only their owner can read.
    content = save(arrays)
    write_bytes(file, content)
    return str(xxhash.xxh3_128_hexdigest(content))


def read_arrays(file: Path, checksum: str) -> dict[str, AnyArray]:
    """The arrays of such a file; raises `ValueError` for another checksum or numbers that are not finite."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if checksum_of(file) != checksum:
        raise ValueError(f"{file.name} beside it is damaged or of another fit")
    try:
        arrays: dict[str, AnyArray] = load_file(file)
    except SafetensorError as error:
        raise ValueError(str(error)) from None
    if not all(np.isfinite(each).all() for each in arrays.values()):
        raise ValueError(f"{file.name} holds numbers that are not finite")
    return arrays


def map_checksummed(file: Path) -> UInt8Array | None:
    """The content of a file of `write_checksummed`, memory-mapped; None if it is missing or damaged."""
    import xxhash

    try:
        with file.open("rb") as stream:
            # Loads all pages at once if the system can: page faults would cost more than all work on the content.
            if hasattr(mmap, "MAP_POPULATE"):
                flags = mmap.MAP_PRIVATE | mmap.MAP_POPULATE
                whole = mmap.mmap(stream.fileno(), 0, flags=flags, prot=mmap.PROT_READ)
            else:
                whole = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    # An empty file cannot be mapped.
    except (OSError, ValueError):
        return None
    content = np.frombuffer(whole, np.uint8)
    checksum, content = content[:_CHECKSUM_BYTES], content[_CHECKSUM_BYTES:]
    return content if checksum.tobytes() == xxhash.xxh3_128_digest(content.data) else None


def write_checksummed(file: Path, content: bytes) -> bool:
    """Writes a checksum and `content`, which can be remade, atomically; returns whether that was possible."""
    import xxhash

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as temporary, temporary.open("wb") as stream:
            stream.write(xxhash.xxh3_128_digest(content))
            stream.write(content)
    except OSError:
        return False
    return True


def checksum_of(file: Path) -> str:
    """Checksum of a file: 32 hexadecimal digits (XXH3, 128 bits)."""
    import xxhash

    digest = xxhash.xxh3_128()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def describe_error(error: Exception) -> str:
    """What is wrong with a JSON file, in a few words without a full stop, from the error of reading it."""
    return f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error).rstrip(".")
