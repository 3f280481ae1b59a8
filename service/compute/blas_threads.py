"""Limit numpy's products and FAISS's searches to the calling thread.

The threads of numpy's OpenBLAS spin for some 25 ms after each product, those of FAISS (OpenMP) for a few after each
search, and the calling thread has to wait for any of them that gets no core. Between two queries this takes cores from
the text tower, which has threads of its own: on two cores a text took 10.7 ms instead of 4.4, and the match after it 5
instead of 2. A search is too little arithmetic for several threads to pay off.
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
"""Prefixes and suffixes of function names in builds of OpenBLAS; those of numpy's wheels come first."""


@cache
def one_thread() -> OneThread:
    """The one `OneThread` of this process."""
    return OneThread()


class _FaissLimit(threading.local):
    """How often a thread has entered, and the number of FAISS threads before, which FAISS keeps for each thread."""

    entered = 0
    before = 1

    def enter(self) -> None:
        # If FAISS is not loaded, it has no threads yet.
        if self.entered == 0 and "faiss" not in sys.modules:
            return
        self.entered += 1
        if self.entered == 1:
            import faiss

            self.before = faiss.omp_get_max_threads()
            faiss.omp_set_num_threads(1)

    def leave(self) -> None:
        if self.entered == 0:
            return
        self.entered -= 1
        if self.entered == 0:
            import faiss

            faiss.omp_set_num_threads(self.before)


class OneThread:
    """A context in which numpy and FAISS compute on one thread.

    FAISS is limited for the thread that has entered. numpy is limited for the whole process, until the last of several
    threads leaves, and only if it uses OpenBLAS.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._faiss = _FaissLimit()
        self._functions = _thread_functions()
        self._entered = 0
        self._before = 1

    def __enter__(self) -> None:
        self._faiss.enter()
        if self._functions is None:
            return
        count, limit = self._functions
        with self._guard:
            self._entered += 1
            if self._entered == 1:
                self._before = count()
                limit(1)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._faiss.leave()
        if self._functions is None:
            return
        with self._guard:
            self._entered -= 1
            if self._entered == 0:
                self._functions[1](self._before)


def _thread_functions() -> tuple[Callable[[], int], Callable[[int], object]] | None:
    """Functions that get and set the number of OpenBLAS threads of numpy; None if it uses another library.

    numpy does not expose the library it is linked with, but the loader resolves its symbols through numpy's own module.
    `threadpoolctl` does the same, but its limit holds only for the thread that asks first, not for a service's others.
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
