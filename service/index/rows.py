"""Vectors as rows of float16, in memory or mapped from a file: written as a stream, scanned exactly by FAISS."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from service.types import Float16Array, Float32Array, Int64Array, UInt8Array

Found = tuple[Float32Array, Int64Array]
"""Similarities (q, k), highest first in each row, and places of rows (q, k); -1 where there are fewer than `k`."""

BLOCK = 16_384
"""Rows that are decoded, written or compared with many queries at once: 16 MB of 512 dimensions."""
_PIECE = 1_024


def flat(rows: Float16Array) -> Any:
    """A FAISS `SQfp16` index by inner product over rows (n, dimension), C-contiguous, without a copy of them.

    It lives only as long as the caller keeps `rows`.
    """
    # Its types know nothing of views.
    faiss: Any = import_module("faiss")
    dimension = rows.shape[1]
    index = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    address = faiss.cast_integer_to_uint8_ptr(rows.ctypes.data)
    # The owner of a vector that owns nothing: NumPy keeps the memory.
    owner = faiss.MaybeOwnedVectorUInt8().owner
    index.codes = faiss.MaybeOwnedVectorUInt8.create_view(address, rows.nbytes, owner)
    index.ntotal = len(rows)
    return index


def decoded(rows: Float16Array) -> Float32Array:
    """Rows (n, dimension) as float32; FAISS is several times quicker at it than NumPy."""
    if not len(rows):
        return np.empty(rows.shape, np.float32)
    rows = np.ascontiguousarray(rows)
    vectors: Float32Array = flat(rows).reconstruct_n(0, len(rows))
    return vectors


def encoded(vectors: Float16Array | Float32Array) -> Float16Array:
    """Vectors (n, dimension) as float16."""
    if vectors.dtype == np.float16 or not len(vectors):
        return np.ascontiguousarray(vectors, np.float16)
    rows = np.empty(vectors.shape, np.float16)
    codes: UInt8Array = flat(rows).sa_encode(np.ascontiguousarray(vectors, np.float32))
    return codes.view(np.float16)


def nearest(
    rows: Float16Array, queries: Float32Array, k: int, places: Int64Array | None = None, *, once: bool = False
) -> Found:
    """The `k` nearest of `rows` (n, dimension), or of those at `places`, to each of `queries` (q, dimension); exact.

    With `once` the memory of mapped rows is given back as they are read.
    """
    import faiss

    total = len(rows) if places is None else len(places)
    if total <= BLOCK:
        block = rows if places is None else rows[places]
        if not total:
            return np.full((len(queries), k), -1.0, np.float32), np.full((len(queries), k), -1, np.int64)
        similarities, found = flat(block).search(queries, k)
        return similarities, found if places is None else np.where(found >= 0, places[found], -1)
    best = faiss.ResultHeap(len(queries), k, keep_max=True)
    for start in range(0, total, BLOCK):
        block = rows[start : start + BLOCK] if places is None else rows[places[start : start + BLOCK]]
        similarities, found = flat(block).search(queries, k)
        best.add_result(similarities, np.where(found >= 0, found + start, -1))
        if once:
            let_go(rows)
    best.finalize()
    return best.D, best.I if places is None else np.where(best.I >= 0, places[best.I], -1)


def mapped(file: Any, dimension: int) -> Float16Array:
    """The rows of an open file that holds nothing else, mapped for reading."""
    if not os.fstat(file.fileno()).st_size:
        return np.empty((0, dimension), np.float16)
    return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.float16).reshape(-1, dimension)


def let_go(rows: Float16Array) -> None:
    """Give the memory of mapped rows back that has been read through once; whoever needs them reads the file again."""
    holder: Any = rows
    while holder is not None and not isinstance(holder, mmap.mmap):
        holder = holder.obj if isinstance(holder, memoryview) else getattr(holder, "base", None)
    if holder is not None and hasattr(mmap, "MADV_DONTNEED"):
        holder.madvise(mmap.MADV_DONTNEED)


def spread(rows: Float16Array, most: int) -> Float32Array:
    """At most `most` rows (n, dimension), evenly over all, as float32; memory of mapped rows is given back."""
    places = np.unique(np.linspace(0, max(len(rows) - 1, 0), min(len(rows), most)).astype(np.int64))
    taken = np.empty((len(places), rows.shape[1]), np.float16)
    # The system maps what lies around each row too, which comes to the whole file.
    for start in range(0, len(places), _PIECE):
        taken[start : start + _PIECE] = rows[places[start : start + _PIECE]]
        let_go(rows)
    return decoded(taken)


class Spool:
    """Takes vectors as a stream: few stay in memory, many go to a file without a name, which ends with its map.

    Args:
        dimension: of the vectors.
        folder: where the file is to be; None keeps all in memory.
        in_memory: rows from which on there is a file.
    """

    def __init__(self, dimension: int, folder: Path | None, in_memory: int) -> None:
        self._dimension = dimension
        self._folder = folder
        self._in_memory = in_memory
        self._ids: list[Int64Array] = []
        self._rows: list[Float16Array] = []
        self._count = 0
        self._file: Any = None

    def add(self, ids: Int64Array, vectors: Float16Array | Float32Array) -> None:
        """Append ids (n,) and vectors (n, dimension); raises `OSError` where the disk does not take them."""
        self._ids.append(np.array(ids, np.int64))
        self._rows.append(encoded(vectors))
        self._count += len(ids)
        if self._folder is not None and self._count > self._in_memory:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - closed by `finish`
            for rows in self._rows:
                self._file.write(rows.tobytes())
            self._rows.clear()

    def finish(self) -> tuple[Float16Array, Int64Array]:
        """All rows (n, dimension) and ids (n,) in the order in which they came."""
        ids = np.concatenate([*self._ids, np.empty(0, np.int64)])
        if self._file is not None:
            self._file.flush()
            rows = mapped(self._file, self._dimension)
            self.close()
            return rows, ids
        rows = np.empty((self._count, self._dimension), np.float16)
        done = 0
        # From the front, each part freed as it is copied: all of them twice would be gigabytes.
        self._rows.reverse()
        while self._rows:
            part = self._rows.pop()
            rows[done : done + len(part)] = part
            done += len(part)
        return rows, ids

    def close(self) -> None:
        """Let go of the file; what is mapped of it stays."""
        if self._file is not None:
            self._file.close()


def spooled(
    chunks: Callable[[], Iterable[tuple[Int64Array, Float16Array | Float32Array]]],
    dimension: int,
    folder: Path | None,
    in_memory: int,
) -> tuple[Float16Array, Int64Array]:
    """The rows and ids of a stream; on a disk that is full or read-only all of it again, into memory."""
    for place in dict.fromkeys((folder, None)):
        spool = Spool(dimension, place, in_memory)
        parts: Iterator[tuple[Int64Array, Float16Array | Float32Array]] = iter(chunks())
        try:
            for ids, vectors in parts:
                spool.add(ids, vectors)
            return spool.finish()
        except OSError:
            if place is None:
                raise
        finally:
            spool.close()
            close = getattr(parts, "close", None)
            if close is not None:
                close()
    raise AssertionError("a stream is read into memory in the end")
