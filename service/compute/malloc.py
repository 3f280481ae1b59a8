"""Keep freed memory in the process for the next batch, and return that of a huge photograph to the system.

The C library returns large blocks to the operating system as soon as they are freed, but an encoder frees and
allocates the same hundreds of megabytes for every batch: new page faults took half of the time of `mini`'s photograph
tower.
"""

from __future__ import annotations

import ctypes
import platform

_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_NEVER = 2**31 - 1


def keep_memory() -> bool:
    """Make glibc keep freed blocks in this process; returns whether it does. Does nothing with other C libraries."""
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    return bool(library.mallopt(_M_MMAP_MAX, 0)) and bool(library.mallopt(_M_TRIM_THRESHOLD, _NEVER))


def give_memory_back() -> bool:
    """Return freed memory to the operating system; returns False without glibc.

    In glibc each thread keeps freed memory in its own arena, where others cannot use it: eight threads that have each
    decoded a photograph of 100 megapixels would hold three gigabytes.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    ctypes.CDLL(None).malloc_trim(0)
    return True
