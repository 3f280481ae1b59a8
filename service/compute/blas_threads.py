"""Keeps what numpy multiplies and FAISS compares to the thread that asks for it.

The threads of numpy's OpenBLAS look out for more to do for some 25 milliseconds after each product, those of FAISS
(OpenMP) for some after each search, and both let the thread that asks wait for one that has no core. Between two
queries that takes cores from the text tower, which has threads of its own: on two cores a text of 4.4 ms took 10.7,
and the match after it 5 instead of 2. A search is too little arithmetic to be worth that.
"""

from __future__ import annotations

import ctypes
import itertools
import sys
import threading
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from types import TracebackType

_PREFIXES, _SUFFIXES = ("scipy_", ""), ("64_", "", "_64")
"""What builds of OpenBLAS put around the names of its functions; the first of each is that of numpy's wheels."""


@cache
def one_thread() -> OneThread:
    """The context of this process, whose threads are what it limits."""
    return OneThread()


class _OfFaiss(threading.local):
    """How often a thread is inside, and how many threads FAISS had for it outside; FAISS keeps that for each thread."""

    inside = 0
    outside = 1

    def enter(self) -> None:
        # What is not loaded yet has no threads that could be in the way.
        if self.inside == 0 and "faiss" not in sys.modules:
            return
        self.inside += 1
        if self.inside == 1:
            import faiss

            self.outside = faiss.omp_get_max_threads()
            faiss.omp_set_num_threads(1)

    def leave(self) -> None:
        if self.inside == 0:
            return
        self.inside -= 1
        if self.inside == 0:
            import faiss

            faiss.omp_set_num_threads(self.outside)


class OneThread:
    """A context in which numpy multiplies on one thread, and FAISS searches on the one that has entered.

    Entered by several threads at once, it ends for numpy with the last. Where numpy multiplies with another library
    than OpenBLAS nothing changes for it.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._faiss = _OfFaiss()
        self._functions = _thread_functions()
        self._inside = 0
        self._outside = 1

    def __enter__(self) -> None:
        self._faiss.enter()
        if self._functions is None:
            return
        count, limit = self._functions
        with self._guard:
            self._inside += 1
            if self._inside == 1:
                self._outside = count()
                limit(1)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._faiss.leave()
        if self._functions is None:
            return
        with self._guard:
            self._inside -= 1
            if self._inside == 0:
                self._functions[1](self._outside)


def _thread_functions() -> tuple[Callable[[], int], Callable[[int], object]] | None:
    """How many threads the OpenBLAS of numpy uses, and the function that changes that; None for another library.

    numpy says nothing of the library that it is linked with, but the loader finds the names of that one through it.
    `threadpoolctl` would do the same for the thread that asks first and nothing for others, such as those of a
    service.
    """
    module = find_spec("numpy.linalg._umath_linalg")
    if module is None or module.origin is None:
        return None
    try:
        linked = ctypes.CDLL(module.origin)
    except OSError:
        return None
    for prefix, suffix in itertools.product(_PREFIXES, _SUFFIXES):
        name = f"{prefix}openblas_{{}}_num_threads{suffix}"
        if hasattr(linked, name.format("set")):
            return getattr(linked, name.format("get")), getattr(linked, name.format("set"))
    return None
