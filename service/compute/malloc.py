"""Keeps the memory of one batch for the next, and gives that of a huge photograph back.

The C library gives large blocks back to the operating system as soon as they are free, and a tower frees and
asks for the same hundreds of megabytes with every batch: fetching the pages anew took half of the time of
`mini`'s photograph tower.
"""

from __future__ import annotations

import ctypes
import platform

_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_NEVER = 2**31 - 1


def keep_memory() -> bool:
    """Ask glibc to keep freed blocks for this process; whether it does. Other C libraries are left alone."""
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    return bool(library.mallopt(_M_MMAP_MAX, 0)) and bool(library.mallopt(_M_TRIM_THRESHOLD, _NEVER))


def give_memory_back() -> bool:
    """Let the operating system have what is free in this process; whether glibc is there to do so.

    Each thread has a store of its own, and kept memory of one is of no use to the others: eight threads that have
    each decoded a photograph of 100 megapixels would hold three gigabytes.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    ctypes.CDLL(None).malloc_trim(0)
    return True
