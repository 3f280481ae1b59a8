"""Arrays beside a JSON: written so that they are refused where they are not those that the JSON was written with."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np

from service.store.atomic import replacing, write_bytes
from service.types import AnyArray, UInt8Array

_SIGN = 16
"""Bytes of the checksum before what is signed."""


def write_arrays(file: Path, arrays: dict[str, AnyArray]) -> str:
    """Write named arrays as safetensors; returns the checksum of the file."""
    import xxhash
    from safetensors.numpy import save

    # Not its own `save_file`, which keeps the file from everybody but its owner.
    content = save(arrays)
    write_bytes(file, content)
    return str(xxhash.xxh3_128_hexdigest(content))


def read_arrays(file: Path, checksum: str) -> dict[str, AnyArray]:
    """The arrays of a file; raises `ValueError` where it is another file, damaged, or holds what is no number."""
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
            # All pages at once, where the system can: one by one they cost more than all that is done with them.
            if hasattr(mmap, "MAP_POPULATE"):
                flags = mmap.MAP_PRIVATE | mmap.MAP_POPULATE
                whole = mmap.mmap(stream.fileno(), 0, flags=flags, prot=mmap.PROT_READ)
            else:
                whole = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    # A file of no bytes cannot be mapped.
    except (OSError, ValueError):
        return None
    content = np.frombuffer(whole, np.uint8)
    sign, content = content[:_SIGN], content[_SIGN:]
    return content if sign.tobytes() == xxhash.xxh3_128_digest(content.data) else None


def write_checksummed(file: Path, content: bytes) -> bool:
    """Write `content` behind its checksum, in one step; whether the disk took it, since it can be made again."""
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
    """32 hexadecimal digits (XXH3, 128 bits) of a file's bytes."""
    import xxhash

    digest = xxhash.xxh3_128()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def describe_error(error: Exception) -> str:
    """What is wrong with a file's JSON, in a few words without a full stop."""
    return f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error).rstrip(".")
